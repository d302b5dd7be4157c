using Rynxs.Agents.Lifecycle;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Agents;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Images;
using Rynxs.Server.Audit;
using Rynxs.Server.State;

namespace Rynxs.Server.Agents;

/// <summary>Brings decided actions about on this host. Every one of them can be run again at any time.</summary>
internal sealed class LocalExecutor(AgentWorkspaces workspaces, AgentChains chains, ImageStore images, AgentRuntimes runtimes) : IActionExecutor
{
    private const string Created = "CREATED";
    private const string AlreadyMatched = "ALREADY_MATCHED";

    public async Task<ActionResult> ExecuteAsync(ControlAction action, AgentResource agent, CancellationToken cancellationToken)
    {
        try
        {
            return action.Type switch
            {
                ControlActionType.EnsureWorkspace => EnsureWorkspace(agent),
                ControlActionType.EnsureAuditChain => await EnsureAuditChainAsync(agent, cancellationToken),
                ControlActionType.EnsureImage => await EnsureImageAsync(agent, cancellationToken),
                ControlActionType.EnsureAgentRuntime => await EnsureRuntimeAsync(agent, cancellationToken),
                ControlActionType.RemoveAgentRuntime => await RemoveRuntimeAsync(agent, cancellationToken),
                _ => new ActionResult.Failed(new ActionError("Unsupported", "unsupported_action"), $"This server does not run {action.Type}."),
            };
        }
        catch (AgentStartException exception)
        {
            return new ActionResult.Failed(new ActionError("AgentStart", exception.Code), exception.Message);
        }
        catch (ImageException exception)
        {
            return new ActionResult.Failed(new ActionError("Image", exception.Code), exception.Message);
        }
        catch (SandboxRefusedException exception)
        {
            return new ActionResult.Failed(new ActionError("SandboxRefused", "sandbox_refused"), $"{exception.Control}: {exception.Message}");
        }
        catch (LedgerUnavailableException exception)
        {
            // The agent's own chain: the other agents go on.
            return new ActionResult.Failed(new ActionError("Storage", "ledger_unavailable"), exception.Message);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return new ActionResult.Failed(new ActionError("Storage", "storage_unavailable"), exception.Message);
        }
    }

    private ActionResult.Applied EnsureWorkspace(AgentResource agent) =>
        new(workspaces.Ensure(agent.Metadata.Namespace, agent.Metadata.Name) ? Created : AlreadyMatched);

    private async Task<ActionResult> EnsureAuditChainAsync(AgentResource agent, CancellationToken cancellationToken)
    {
        ILedgerChain chain = await chains.OpenAsync(agent.Metadata.Namespace, agent.Metadata.Name, cancellationToken);
        return new ActionResult.Applied(chain.Head.Seq <= 0 ? Created : AlreadyMatched);
    }

    private async Task<ActionResult> EnsureImageAsync(AgentResource agent, CancellationToken cancellationToken)
    {
        ImageResolution resolution = await images.ResolveAsync(agent.Spec.Image?.ToString() ?? ImageStore.BuiltInName, cancellationToken);
        return new ActionResult.Applied(AlreadyMatched, new ResolvedImage(resolution.Image.Digest, resolution.Substituted, resolution.Reason));
    }

    private async Task<ActionResult> EnsureRuntimeAsync(AgentResource agent, CancellationToken cancellationToken)
    {
        bool running = runtimes.List().Any(status => status.Agent == agent.Id);
        AgentImage image = await runtimes.EnsureRunningAsync(agent, cancellationToken);
        return new ActionResult.Applied(
            running ? "PATCHED" : Created,
            new ResolvedImage(
                image.Descriptor.Digest, image.Substituted,
                image.Substituted ? $"'{image.Requested}' cannot be had here; '{image.Descriptor.Name}' is used in its place." : ""));
    }

    private async Task<ActionResult> RemoveRuntimeAsync(AgentResource agent, CancellationToken cancellationToken)
    {
        bool running = runtimes.List().Any(status => status.Agent == agent.Id);
        await runtimes.StopAsync(agent.Id, cancellationToken);
        return new ActionResult.Applied(running ? "DELETED" : AlreadyMatched);
    }
}
