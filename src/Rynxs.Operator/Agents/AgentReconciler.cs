using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Agents;

/// <summary>One pass over one agent.</summary>
internal sealed partial class AgentReconciler(AgentControllerOptions options, ControlLog log, ILogger logger)
{
    private static readonly string[] HiddenAnnotations = ["kubectl.kubernetes.io/", "deployment.kubernetes.io/"];

    // When a failed action may be tried again. Not part of the fold: time enters there only as recorded events, and after a restart
    // trying at once is right.
    private readonly ConcurrentDictionary<string, (long FailedAt, TimeSpan Delay)> _retries = new(StringComparer.Ordinal);

    /// <summary>
    /// Brings one agent closer to its object. Returns when to look again, or null when nothing is open.
    /// </summary>
    public async Task<TimeSpan?> ReconcileAsync(NamespacedName id, CancellationToken cancellationToken)
    {
        try
        {
            AgentResource? current = await options.Resources.TryGetAsync<AgentResource>(id, cancellationToken);
            if (current is null || current.Metadata.DeletionTimestamp is not null)
            {
                await ObserveDeletionAsync(id, cancellationToken);
            }
            else
            {
                current = await EnsureFinalizerAsync(current, cancellationToken);
                await ObserveAsync(current, cancellationToken);
            }

            ControlState state = await DecideAsync(id, cancellationToken);
            return await ExecuteAsync(id, current, state, cancellationToken);
        }
        catch (ResourceException exception) when (exception.Reason is ResourceErrorReason.Conflict or ResourceErrorReason.NotFound)
        {
            // Somebody changed the object between our read and our write: the watch wakes us again; look soon in any case.
            return TimeSpan.FromSeconds(1);
        }
        catch (ResourceException exception) when (exception.Reason == ResourceErrorReason.StoreUnavailable)
        {
            LogStoreUnavailable(id.ToString(), exception.Message);
            return TimeSpan.FromSeconds(10);
        }
        catch (LedgerUnavailableException exception) when (!exception.IsLasting)
        {
            // A full disk, say: nothing was recorded, so nothing is done, and later it may be. A chain that failed for good ends the controller.
            LogStoreUnavailable(id.ToString(), exception.Message);
            return TimeSpan.FromSeconds(10);
        }
    }

    private async Task ObserveAsync(AgentResource current, CancellationToken cancellationToken)
    {
        string agentId = current.Id.ToString();
        JsonElement spec = AgentJson.SpecOf(current);
        string specHash = AgentJson.SpecHash(spec);
        await log.CommitAsync(
            state => state.Agents.TryGetValue(agentId, out ObservedAgent? known) && !known.Deleting && known.SpecHash == specHash
                ? null
                : (agentId, new AgentObserved
                {
                    Name = current.Metadata.Name,
                    Namespace = current.Metadata.Namespace,
                    Labels = current.Metadata.Labels,
                    Annotations = current.Metadata.Annotations
                        .Where(pair => !HiddenAnnotations.Any(prefix => pair.Key.StartsWith(prefix, StringComparison.Ordinal)) && pair.Value.Length <= 256)
                        .ToImmutableSortedDictionary(StringComparer.Ordinal),
                    Spec = spec,
                    SpecHash = specHash,
                    ObservedLogicalTime = state.LastSeq + 1,
                }, null),
            cancellationToken);
    }

    private async Task ObserveDeletionAsync(NamespacedName id, CancellationToken cancellationToken) =>
        await log.CommitAsync(
            state => state.Agents.TryGetValue(id.ToString(), out ObservedAgent? known) && !known.Deleting
                ? (id.ToString(), new AgentDeletionObserved { Name = id.Name, Namespace = id.Namespace, ObservedLogicalTime = state.LastSeq + 1 }, null)
                : null,
            cancellationToken);

    private async Task<ControlState> DecideAsync(NamespacedName id, CancellationToken cancellationToken) =>
        await log.CommitAsync(
            state => AgentDecider.DecideMissing(state).FirstOrDefault(decision => decision.AgentId == id.ToString()) is { } decision
                ? (decision.AgentId, decision, AgentDecider.Version)
                : null,
            cancellationToken);

    private async Task<TimeSpan?> ExecuteAsync(NamespacedName id, AgentResource? current, ControlState state, CancellationToken cancellationToken)
    {
        string agentId = id.ToString();
        ResolvedImage? image = null;
        foreach (ControlAction action in state.Pending(agentId, options.EffectsOutliveProcess))
        {
            if (!state.Agents.TryGetValue(agentId, out ObservedAgent? agent))
            {
                break;
            }

            // Our own status update wakes us: without this the backoff would be none.
            if (RemainingDelay(action.Id) is { } remaining)
            {
                return remaining;
            }

            AgentResource resource = AgentJson.ToResource(agent, current);
            ActionResult result = action.Type == ControlActionType.ReleaseFinalizer
                ? await ReleaseFinalizerAsync(id, cancellationToken)
                : await options.Executor.ExecuteAsync(action, resource, cancellationToken);
            switch (result)
            {
                case ActionResult.Applied applied:
                    image = applied.Image ?? image;
                    _retries.TryRemove(action.Id, out _);
                    state = await log.CommitAsync(
                        _ => (agentId, new ActionApplied
                        {
                            ActionId = action.Id, ActionType = action.Type.ToString(), Target = action.Target, ResultCode = applied.ResultCode,
                        }, null),
                        cancellationToken);
                    break;
                case ActionResult.Failed failed:
                    state = await log.CommitAsync(
                        _ => (agentId, new ActionFailed
                        {
                            ActionId = action.Id, ActionType = action.Type.ToString(), Target = action.Target,
                            ResultCode = failed.Error.Code, Error = failed.Error,
                        }, null),
                        cancellationToken);
                    int failures = state.Failures.TryGetValue(action.Id, out FailedAction? history) ? history.Count : 1;
                    LogActionFailed(action.Type, agentId, failed.Error.Code, failures);
                    TimeSpan delay = options.Backoff.After(failures, options.Random.NextDouble());
                    _retries[action.Id] = (options.TimeProvider.GetTimestamp(), delay);
                    await ReportAsync(id, AgentStatusReport.NotReady(failed, failures), image, cancellationToken);
                    return delay;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }

        if (current is { Metadata.DeletionTimestamp: null } && state.Desired.ContainsKey(agentId))
        {
            await ReportAsync(id, options.WaitsFor(id) is { } reason ? AgentStatusReport.Waiting(reason) : AgentStatusReport.Ready, image, cancellationToken);
        }

        return null;
    }

    private TimeSpan? RemainingDelay(string actionId)
    {
        if (!_retries.TryGetValue(actionId, out (long FailedAt, TimeSpan Delay) retry))
        {
            return null;
        }

        TimeSpan remaining = retry.Delay - options.TimeProvider.GetElapsedTime(retry.FailedAt);
        return remaining > TimeSpan.Zero ? remaining : null;
    }

    private async Task<AgentResource> EnsureFinalizerAsync(AgentResource current, CancellationToken cancellationToken)
    {
        if (current.Metadata.Finalizers.Contains(AgentDecider.Finalizer))
        {
            return current;
        }

        // The version makes this a compare-and-swap: a merge patch replaces the whole list.
        return await PatchFinalizersAsync(current, [.. current.Metadata.Finalizers, AgentDecider.Finalizer], cancellationToken);
    }

    private async Task<ActionResult> ReleaseFinalizerAsync(NamespacedName id, CancellationToken cancellationToken)
    {
        AgentResource? current = await options.Resources.TryGetAsync<AgentResource>(id, cancellationToken);
        if (current is null || !current.Metadata.Finalizers.Contains(AgentDecider.Finalizer))
        {
            return new ActionResult.Applied("ALREADY_MATCHED");
        }

        if (current.Metadata.DeletionTimestamp is null)
        {
            // Deleted and created again under the same name: the new object keeps its finalizer, the old one is gone.
            return new ActionResult.Applied("ALREADY_MATCHED");
        }

        await PatchFinalizersAsync(
            current, [.. current.Metadata.Finalizers.Where(finalizer => finalizer != AgentDecider.Finalizer)], cancellationToken);
        return new ActionResult.Applied("PATCHED");
    }

    private async Task<AgentResource> PatchFinalizersAsync(AgentResource current, IReadOnlyList<string> finalizers, CancellationToken cancellationToken)
    {
        var patch = new JsonObject
        {
            ["metadata"] = new JsonObject
            {
                ["resourceVersion"] = current.Metadata.ResourceVersion,
                ["finalizers"] = new JsonArray([.. finalizers.Select(finalizer => (JsonNode)finalizer)]),
            },
        };
        return await options.Resources.MergePatchAsync<AgentResource>(
            current.Id, JsonSerializer.SerializeToElement(patch, OperatorJson.Default.JsonObject), subresource: null, cancellationToken);
    }

    private async Task ReportAsync(NamespacedName id, AgentStatusReport report, ResolvedImage? image, CancellationToken cancellationToken)
    {
        AgentResource? current = await options.Resources.TryGetAsync<AgentResource>(id, cancellationToken);
        if (current is null)
        {
            return;
        }

        AgentStatus status = report.ApplyTo(current, image, options.TimeProvider.GetUtcNow());
        if (!AgentStatusReport.Same(current.Status, status))
        {
            await options.Resources.UpdateStatusAsync(current with { Status = status }, cancellationToken);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Action} of agent {Agent} failed with {Code}, attempt {Attempt}")]
    private partial void LogActionFailed(ControlActionType action, string agent, string code, int attempt);

    [LoggerMessage(Level = LogLevel.Error, Message = "Agent {Agent} cannot be reconciled now: {Reason}")]
    private partial void LogStoreUnavailable(string agent, string reason);
}
