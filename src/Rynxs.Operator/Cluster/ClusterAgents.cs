using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Queues;
using Rynxs.Kubernetes.Requests;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Agents;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Operator.Cluster;

/// <summary>
/// Keeps the agents of a cluster as their objects say, for one term of leadership: changes wake a key in a queue, a worker takes it and observes, records,
/// decides, records the intent, acts, records the outcome. Nothing is asked or written while nothing changes.
/// </summary>
/// <remarks>Stopping: cancelling ends the workers; an action that is cut off leaves no outcome and is run again by the next leader.</remarks>
internal sealed partial class ClusterAgents(
    KubernetesApi api, ClusterView view, ILedgerChain chain, ClusterOptions options, TimeProvider timeProvider, OperatorMetrics metrics, ILogger logger)
{
    private readonly KubernetesExecutor _executor = new(api, view, options);

    /// <summary>Works until cancelled. A chain that another writer has taken, or that fails for good, ends it with that exception.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var log = new ControlLog(chain, Principal.System.Name);
        long started = timeProvider.GetTimestamp();
        await log.ReplayAsync(cancellationToken);
        metrics.Replayed(timeProvider.GetElapsedTime(started));
        LogReplayed(log.State.LastSeq + 1, log.State.Agents.Count);

        using var queue = new WorkQueue<NamespacedName>(new WorkQueueOptions { TimeProvider = timeProvider });
        view.Changed = queue.Add;
        try
        {
            // Also those that the chain knows and the cluster does not: they were deleted while nobody led.
            foreach (NamespacedName id in view.Agents.Objects.Select(item => item.Id).Concat(log.State.Agents.Values.Select(agent => new NamespacedName(agent.Namespace, agent.Name))))
            {
                queue.Add(id);
            }

            var reconciler = new AgentReconciler(
                new AgentControllerOptions
                {
                    Resources = new KubernetesResourceClient(api), Chain = chain, Executor = _executor, TimeProvider = timeProvider, EffectsOutliveProcess = true,
                    WaitsFor = WaitsFor,
                },
                log,
                logger);
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            Task[] workers = [.. Enumerable.Range(0, options.Workers).Select(_ => Task.Run(() => WorkAsync(queue, reconciler, log, stop.Token), CancellationToken.None))];
            Task first = await Task.WhenAny(workers);
            await stop.CancelAsync();
            queue.Close();
            await Task.WhenAll(workers).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            await first;
        }
        finally
        {
            view.Changed = null;
        }
    }

    private async Task WorkAsync(WorkQueue<NamespacedName> queue, AgentReconciler reconciler, ControlLog log, CancellationToken cancellationToken)
    {
        while (await queue.TakeAsync(cancellationToken) is { Taken: true, Key: var id })
        {
            try
            {
                long started = timeProvider.GetTimestamp();
                await RecordDriftAsync(id, log, cancellationToken);
                TimeSpan? again = await reconciler.ReconcileAsync(id, cancellationToken);
                metrics.Reconciled(timeProvider.GetElapsedTime(started));
                if (again is { } delay)
                {
                    queue.AddAfter(id, delay);
                }
            }
            finally
            {
                queue.Done(id);
            }
        }
    }

    /// <summary>What somebody else changed becomes an event, so that the fold, not a side path, says that it is to be done again.</summary>
    private async Task RecordDriftAsync(NamespacedName id, ControlLog log, CancellationToken cancellationToken)
    {
        string agentId = id.ToString();
        if (log.State.Agents.GetValueOrDefault(agentId) is not { Deleting: false } observed || view.Agents.Find(id) is not { IsDeleting: false } found)
        {
            return;
        }

        // Against the spec that was decided on: a newer one is a change, and no drift.
        AgentResource agent = AgentJson.ToResource(observed, ResourceJson.Deserialize<AgentResource>(found.Document));
        if (!log.State.Desired.TryGetValue(agentId, out AgentDecision? decision) || !decision.Actions.Any(action => log.State.Applied.ContainsKey(action.Id)))
        {
            return; // nothing is in effect yet, so nothing can have drifted
        }

        ILookup<ControlActionType, string> drifted;
        try
        {
            drifted = await _executor.FindDriftAsync(agent, cancellationToken);
        }
        catch (KubernetesException exception) when (exception.IsTransient)
        {
            return; // what cannot be looked at now is looked at with the next change; the pass that follows says so
        }

        foreach (IGrouping<ControlActionType, string> drift in drifted)
        {
            string[] objects = [.. drift];
            await log.CommitAsync(
                state => Applied(state, agentId, drift.Key) is { } action
                    ? (agentId, new DriftObserved { ActionId = action.Id, ActionType = action.Type.ToString(), Target = agentId, Objects = objects }, null)
                    : null,
                cancellationToken);
        }
    }

    // Only what is in effect can drift.
    private static ControlAction? Applied(ControlState state, string agentId, ControlActionType type) =>
        state.Desired.TryGetValue(agentId, out AgentDecision? decision)
            ? decision.Actions.FirstOrDefault(action => action.Type == type && state.Applied.ContainsKey(action.Id))
            : null;

    private string? WaitsFor(NamespacedName id)
    {
        KubeObject? runtime = view.Find(ApiResources.StatefulSets, id);
        return runtime?.At("status", "readyReplicas") is { ValueKind: System.Text.Json.JsonValueKind.Number } ready && ready.GetInt32() > 0
            && runtime.At("status", "observedGeneration")?.GetRawText() == runtime.At("metadata", "generation")?.GetRawText()
            ? null
            : "PodNotReady";
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replayed {Records} control records: {Agents} agents")]
    private partial void LogReplayed(long records, int agents);
}
