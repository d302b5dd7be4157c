using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Agents;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Quantities;

namespace Rynxs.Operator.Cluster;

/// <summary>
/// Brings decided actions about in a cluster, by server-side apply. What is there already costs no write, and most often no request. An object of the same
/// name that is not the agent's is never touched.
/// </summary>
internal sealed class KubernetesExecutor(KubernetesApi api, ClusterView view, ClusterOptions options) : IActionExecutor
{
    private const string Created = "CREATED";
    private const string Patched = "PATCHED";
    private const string AlreadyMatched = "ALREADY_MATCHED";

    /// <inheritdoc/>
    public async Task<ActionResult> ExecuteAsync(ControlAction action, AgentResource agent, CancellationToken cancellationToken)
    {
        try
        {
            return action.Type switch
            {
                ControlActionType.EnsureWorkspace or ControlActionType.EnsureAgentRuntime => await EnsureAsync(action.Type, agent, cancellationToken),

                // The role ledger makes a chain when its writer, the agent, first claims it. Opening it here would take it from the agent.
                ControlActionType.EnsureAuditChain => new ActionResult.Applied(AlreadyMatched),
                ControlActionType.EnsureImage => EnsureImage(agent),
                ControlActionType.RemoveAgentRuntime => await RemoveAsync(agent.Id, cancellationToken),
                _ => Failed("Unsupported", "unsupported_action", $"A cluster's operator does not run {action.Type}."),
            };
        }
        catch (KubernetesException exception) when (exception.Failure is not KubernetesFailure.Refused)
        {
            // Refused goes up: this process no longer leads, and has no outcome to tell.
            return new ActionResult.Failed(
                new ActionError("Kubernetes", Code(exception.Failure), exception.Code > 0 ? exception.Code : null, exception.Reason), exception.Message);
        }
    }

    /// <summary>
    /// The objects of an agent that differ from what is wanted, by the action that makes them. What is as it should be in memory costs no request; the rest
    /// is looked at on the server, because memory lags behind our own writes.
    /// </summary>
    public async Task<ILookup<ControlActionType, string>> FindDriftAsync(AgentResource agent, CancellationToken cancellationToken)
    {
        List<DesiredObject> drifted = [];
        foreach (DesiredObject desired in agent.Metadata.Name.Length > AgentNames.MaxLength ? [] : AgentObjects.Of(agent, options))
        {
            if ((view.Find(desired) is not { } known || !Drift.IsThere(desired.Content, known.Document))
                && (await api.TryGetAsync(desired.Resource, desired.Namespace, desired.Name, cancellationToken) is not { } found || !Drift.IsThere(desired.Content, found.Document)))
            {
                drifted.Add(desired);
            }
        }

        return drifted.ToLookup(desired => desired.Action, desired => desired.Reference);
    }

    private async Task<ActionResult> EnsureAsync(ControlActionType type, AgentResource agent, CancellationToken cancellationToken)
    {
        if (agent.Metadata.Uid is null)
        {
            return Failed("Gone", "agent_gone", "The Agent is gone; nothing is made for it.");
        }

        if (agent.Metadata.Name.Length > AgentNames.MaxLength)
        {
            return Failed("Name", "name_too_long", $"In a cluster an agent's name has at most {AgentNames.MaxLength} characters: its pod's labels hold it and a hash.");
        }

        string result = AlreadyMatched;
        foreach (DesiredObject desired in AgentObjects.Of(agent, options).Where(desired => desired.Action == type))
        {
            switch (await EnsureAsync(desired, agent.Metadata.Uid, cancellationToken))
            {
                case ActionResult.Applied { ResultCode: var one } when one != AlreadyMatched:
                    result = one == Created && result == AlreadyMatched ? Created : Patched;
                    break;
                case ActionResult.Failed failed:
                    return failed;
            }
        }

        return new ActionResult.Applied(result);
    }

    private async Task<ActionResult> EnsureAsync(DesiredObject desired, string agentUid, CancellationToken cancellationToken)
    {
        if (view.Find(desired) is { } known && AgentNames.OwnerOf(known)?.Uid == agentUid && Drift.IsThere(desired.Content, known.Document))
        {
            return new ActionResult.Applied(AlreadyMatched);
        }

        // What is in memory may be a moment old, and holds nothing of strangers.
        KubeObject? found = await api.TryGetAsync(desired.Resource, desired.Namespace, desired.Name, cancellationToken);
        if (found is null)
        {
            // Without force: should a stranger make one of that name just now, its fields are in conflict with ours and stay.
            await api.ApplyAsync(desired.Resource, desired.Content, force: false, cancellationToken);
            return new ActionResult.Applied(Created);
        }

        if (AgentNames.OwnerOf(found)?.Uid != agentUid)
        {
            return Failed("Ownership", "object_not_ours", $"{desired.Reference} exists and does not belong to this agent.");
        }

        if (found.IsDeleting)
        {
            return Failed("Ownership", "object_going", $"{desired.Reference} is being deleted.");
        }

        if (Drift.IsThere(desired.Content, found.Document))
        {
            return new ActionResult.Applied(AlreadyMatched);
        }

        if (desired.Resource == ApiResources.PersistentVolumeClaims && Shrinks(desired, found))
        {
            return Failed("Workspace", "workspace_cannot_shrink", $"{desired.Reference} is larger than spec.workspace.size; a volume cannot be made smaller.");
        }

        // With force: the fields are ours, whoever changed them. The uid is a precondition: never one of the same name that came after.
        var content = (JsonObject)desired.Content.DeepClone();
        content["metadata"]!["uid"] = found.Uid; // AgentObjects writes metadata into every object
        await api.ApplyAsync(desired.Resource, content, force: true, cancellationToken);
        return new ActionResult.Applied(Patched);
    }

    // Cosign is not part of this image: a signature that was asked for and cannot be checked refuses the agent.
    private static ActionResult EnsureImage(AgentResource agent) => agent.Spec.Image is { Verify: true }
        ? Failed("Image", "signature_not_checked", "spec.image.verify is set, and signatures cannot be checked here yet.")
        : new ActionResult.Applied(AlreadyMatched);

    private async Task<ActionResult> RemoveAsync(NamespacedName agent, CancellationToken cancellationToken)
    {
        // The policies go last, with the Agent itself by their owner references: while the pod is there, they hold.
        KubeObject? runtime = await api.TryGetAsync(ApiResources.StatefulSets, agent.Namespace, agent.Name, cancellationToken);
        bool ours = runtime is not null && AgentNames.OwnerOf(runtime)?.Agent == agent;
        if (ours && !runtime!.IsDeleting)
        {
            await api.DeleteAsync(ApiResources.StatefulSets, agent.Namespace, agent.Name, new DeleteTerms { Uid = runtime.Uid }, cancellationToken);
        }

        KubeObject? pod = await api.TryGetAsync(ApiResources.Pods, agent.Namespace, AgentNames.Pod(agent.Name), cancellationToken);
        return pod?.Label(AgentNames.AgentLabel) == agent.Name
            ? Failed("Pod", "pod_terminating", $"Pod {AgentNames.Pod(agent.Name)} has not ended yet.")
            : new ActionResult.Applied(ours ? "DELETED" : AlreadyMatched);
    }

    private static bool Shrinks(DesiredObject desired, KubeObject found) =>
        Quantity.TryParse((string?)desired.Content["spec"]?["resources"]?["requests"]?["storage"], out Quantity wanted)
        && Quantity.TryParse(found.TextAt("spec", "resources", "requests", "storage"), out Quantity there) && wanted < there;

    private static ActionResult.Failed Failed(string type, string code, string message) => new(new ActionError(type, code), message);

    private static string Code(KubernetesFailure failure) => JsonNamingPolicy.SnakeCaseLower.ConvertName(failure.ToString());
}
