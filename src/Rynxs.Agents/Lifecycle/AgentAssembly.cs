using Microsoft.Extensions.Logging;
using Rynxs.Agents.Approvals;
using Rynxs.Agents.Loop;
using Rynxs.Agents.Policies;
using Rynxs.Agents.Providers;
using Rynxs.Agents.Tasks;
using Rynxs.Agents.Tools;
using Rynxs.Ledger;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Quantities;
using Rynxs.Resources.Universes;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Files;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Limits;

namespace Rynxs.Agents.Lifecycle;

/// <summary>Puts one agent together from its spec, or says why it cannot be.</summary>
internal sealed class AgentAssembly(AgentServices services, AgentRuntimesOptions options, Action<MessageProgress> progress)
{
    /// <exception cref="AgentStartException">Names the field or the missing part.</exception>
    public async Task<RunningAgent> BuildAsync(AgentResource agent, PolicyGate gate, CancellationToken cancellationToken)
    {
        NamespacedName id = agent.Id;
        if (services.Sandboxes.Tiers.All(tier => tier.Name != agent.Spec.Sandbox.Runtime))
        {
            throw new AgentStartException(
                "RuntimeUnavailable", $"spec.sandbox.runtime: '{agent.Spec.Sandbox.Runtime}' is not available here; available: {string.Join(", ", services.Sandboxes.Tiers.Select(tier => tier.Name))}.");
        }

        await RefreshPolicyAsync(agent, gate, failClosed: false, cancellationToken);
        AgentImage image = await ResolveImageAsync(agent.Spec, cancellationToken);
        AgentPaths paths = AgentPaths.Of(services.WorkspacesDirectory, services.AgentStateDirectory, id);
        paths.Create();
        var audit = new AuditTrail(await OpenChainAsync(id, paths, cancellationToken), id, Principal.ForAgent(id.Namespace, id.Name).Name);
        IModelProvider provider = ProviderFactory.Create(id, agent.Spec.Provider, services);
        var sandbox = new AgentSandbox(
            services.Sandboxes, SandboxSpecOf(agent, image.Descriptor, paths), audit, services.Recordings,
            services.Egress is { } egress ? token => egress.OfSandboxAsync(id, token) : null);
        WorkspaceFiles files = WorkspaceFiles.Open(paths.Files, QuantityOf("spec.workspace.size", agent.Spec.Workspace.Size).Units, services.TimeProvider);
        var context = new AgentContext
        {
            Agent = id,
            Spec = agent.Spec,
            Provider = provider,
            Tools = new ToolRegistry(sandbox, files, new ExecutionDefaults(TimeSpan.FromSeconds(agent.Spec.Limits.TimeoutSeconds), agent.Spec.Limits.OutputBytes), services.Egress is { } gateway ? token => gateway.FetcherAsync(id, token) : null),
            Sandbox = sandbox,
            Audit = audit,
            Approvals = new ApprovalDesk(
                services.Resources, id, Principal.ForAgent(id.Namespace, id.Name).Name, services.TimeProvider, options.ApprovalLifetime, options.MaxOpenApprovals),
            Gate = gate,
            RefreshPolicyAsync = token => RefreshPolicyAsync(agent, gate, failClosed: true, token),
            JournalPath = paths.Journal,
            TimeProvider = services.TimeProvider,
        };
        var loop = new AgentLoop(context, paths, options, new TaskGuard(services.Resources), progress, services.LoggerFactory.CreateLogger<AgentLoop>());
        return new RunningAgent(agent, image, context, loop, files);
    }

    /// <summary>Rules of the agent and of its universe as they are now. A universe that is gone denies everything, unless the caller wants to know at start.</summary>
    private async Task RefreshPolicyAsync(AgentResource agent, PolicyGate gate, bool failClosed, CancellationToken cancellationToken)
    {
        UniverseSpec? universe = null;
        if (agent.Spec.UniverseRef is { } name)
        {
            universe = (await services.Resources.TryGetAsync<UniverseResource>(new NamespacedName("", name), cancellationToken))?.Spec;
            if (universe is null && !failClosed)
            {
                throw new AgentStartException("UniverseNotFound", $"spec.universeRef: there is no Universe '{name}'.");
            }

            universe ??= new UniverseSpec { Policies = new UniversePolicies { DenyTools = ["*"] } };
        }

        try
        {
            gate.Model = AgentPolicy.Build(agent.Spec, universe);
        }
        catch (AgentPolicyException invalid) when (failClosed)
        {
            // The universe changed into something without meaning: nothing is allowed until it has one again.
            services.LoggerFactory.CreateLogger<AgentAssembly>().LogPolicyUnreadable(agent.Id.ToString(), invalid.Message);
            gate.Model = new Policy.ToolPolicyModel();
        }
        catch (AgentPolicyException invalid)
        {
            throw new AgentStartException("InvalidPolicy", invalid.Message, invalid);
        }
    }

    private async Task<AgentImage> ResolveImageAsync(AgentSpec spec, CancellationToken cancellationToken)
    {
        if (spec.Image is { Verify: true })
        {
            throw new AgentStartException("ImageUnavailable", "spec.image.verify: signatures of images cannot be verified here, so the image is not used.");
        }

        try
        {
            ImageResolution resolution = await services.Images.ResolveAsync(spec.Image?.ToString() ?? ImageStore.BuiltInName, cancellationToken);
            return new AgentImage(resolution.Image, resolution.Substituted, spec.Image?.ToString(), resolution.Reason);
        }
        catch (ImageException none)
        {
            throw new AgentStartException("ImageUnavailable", none.Message, none);
        }
    }

    private async Task<ILedgerChain> OpenChainAsync(NamespacedName id, AgentPaths paths, CancellationToken cancellationToken)
    {
        try
        {
            return await services.Ledger.OpenAsync(
                ChainId.Agent(id.Namespace, id.Name), new ChainOptions { MirrorPath = paths.Audit }, cancellationToken);
        }
        catch (LedgerUnavailableException unavailable)
        {
            throw new AgentStartException("LedgerUnavailable", "The agent's audit chain cannot be opened; without it the agent does nothing.", unavailable);
        }
        catch (LedgerCorruptException corrupt)
        {
            throw new AgentStartException(
                "LedgerCorrupt", $"The agent's audit chain is damaged at sequence {corrupt.Seq}; 'rynxs audit verify {id.Name}' shows where.", corrupt);
        }
    }

    private static SandboxSpec SandboxSpecOf(AgentResource agent, ImageDescriptor image, AgentPaths paths)
    {
        var defaults = new SandboxLimits();
        IReadOnlyDictionary<string, string> limits = agent.Spec.Resources.Limits;
        return new SandboxSpec
        {
            Owner = new SandboxOwner(agent.Id.Namespace, agent.Id.Name),
            Image = image,
            WorkspaceDirectory = paths.Files,
            WorkspaceBytes = QuantityOf("spec.workspace.size", agent.Spec.Workspace.Size).Units,
            Limits = defaults with
            {
                MemoryBytes = limits.TryGetValue("memory", out string? memory) ? QuantityOf("spec.resources.limits.memory", memory).Units : defaults.MemoryBytes,
                Cpus = limits.TryGetValue("cpu", out string? cpu) ? QuantityOf("spec.resources.limits.cpu", cpu).Thousandths / 1000.0 : defaults.Cpus,
                Pids = agent.Spec.Limits.Pids,
            },
            Runtime = agent.Spec.Sandbox.Runtime,
            Platform = agent.Spec.Sandbox.Platform,
        };
    }

    private static Quantity QuantityOf(string field, string text) => Quantity.TryParse(text, out Quantity quantity)
        ? quantity
        : throw new AgentStartException("InvalidLimits", $"{field}: '{text}' is not a quantity such as 512Mi.");
}

internal static partial class AgentAssemblyLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "The policy of agent {Agent} cannot be read any more ({Reason}); every tool is denied")]
    public static partial void LogPolicyUnreadable(this ILogger logger, string agent, string reason);
}
