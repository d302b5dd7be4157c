using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Rynxs.Ledger;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Agents;

/// <summary>What the controller needs.</summary>
public sealed record AgentControllerOptions
{
    /// <summary>Objects; acts as the system principal.</summary>
    public required IResourceClient Resources { get; init; }

    /// <summary>The control chain, open for appending.</summary>
    public required ILedgerChain Chain { get; init; }

    /// <summary>Brings actions about.</summary>
    public required IActionExecutor Executor { get; init; }

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Delays between attempts at a failed action.</summary>
    public RetryBackoff Backoff { get; init; } = RetryBackoff.Default;

    /// <summary>Spreads retries.</summary>
    public Random Random { get; init; } = Random.Shared;

    /// <summary>Every agent is looked at this often even when nothing changed. Default 5 min.</summary>
    public TimeSpan ResyncInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>What actions bring about is still there after this process ended, as objects of a cluster are. Default false: an agent's loop ends with us.</summary>
    public bool EffectsOutliveProcess { get; init; }

    /// <summary>What an agent whose actions are all in effect still waits for, such as its pod; null when it runs. Default: nothing.</summary>
    public Func<NamespacedName, string?> WaitsFor { get; init; } = _ => null;
}

/// <summary>
/// Keeps agents as their objects say: observes, records, decides, records the intent, acts, records the outcome, reports the status.
/// One worker per agent, so that a slow agent holds up no other.
/// </summary>
/// <remarks>
/// Stopping: cancelling ends the watch and every worker; an action that is cut off leaves no outcome and is run again at the next start;
/// the task ends when all workers have ended.
/// </remarks>
public sealed partial class AgentController(AgentControllerOptions options, ILogger<AgentController> logger)
{
    private readonly ConcurrentDictionary<string, AgentWorker> _workers = new(StringComparer.Ordinal);

    /// <summary>Works until cancelled. A lasting failure of the control chain or one of the fold ends it: the host must then stop.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var log = new ControlLog(options.Chain, Principal.System.Name);
        await log.ReplayAsync(cancellationToken);
        LogReplayed(log.State.LastSeq + 1, log.State.Agents.Count);

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var failed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reconciler = new AgentReconciler(options, log, logger);
        Task watch = WatchAsync(reconciler, log, failed, stop.Token);
        Task first = await Task.WhenAny(watch, failed.Task);
        await stop.CancelAsync();
        await Task.WhenAll([IgnoreCancellationAsync(watch), .. _workers.Values.Select(worker => worker.Completion)]);
        _workers.Clear();
        await first;
        cancellationToken.ThrowIfCancellationRequested();
        await failed.Task;
    }

    private async Task WatchAsync(AgentReconciler reconciler, ControlLog log, TaskCompletionSource failed, CancellationToken cancellationToken)
    {
        while (true)
        {
            ResourceList<AgentResource> list = await options.Resources.ListAsync<AgentResource>(new ResourceQuery(), cancellationToken);

            // Also those that the chain knows and the list does not: they were deleted while nobody watched.
            IEnumerable<string> all = list.Items.Select(agent => agent.Id.ToString()).Concat(log.State.Agents.Keys).Distinct(StringComparer.Ordinal);
            foreach (string id in all)
            {
                Wake(id, reconciler, failed, cancellationToken);
            }

            try
            {
                await foreach (WatchEvent<AgentResource> change in options.Resources.WatchAsync<AgentResource>(
                    new ResourceQuery(), list.ResourceVersion, cancellationToken))
                {
                    if (change.Type != WatchEventType.Bookmark)
                    {
                        Wake(change.Resource.Id.ToString(), reconciler, failed, cancellationToken);
                    }
                }
            }
            catch (ResourceException exception) when (exception.Reason == ResourceErrorReason.Gone)
            {
                LogResync(list.ResourceVersion);
            }
        }
    }

    private void Wake(string id, AgentReconciler reconciler, TaskCompletionSource failed, CancellationToken cancellationToken)
    {
        int slash = id.IndexOf('/', StringComparison.Ordinal);
        var name = new NamespacedName(id[..slash], id[(slash + 1)..]);
        AgentWorker worker = _workers.GetOrAdd(id, _ => new AgentWorker(name, reconciler, options, failed, cancellationToken));
        worker.Wake();
    }

    private static async Task IgnoreCancellationAsync(Task task)
    {
        try
        {
            await task;
        }
        catch (OperationCanceledException)
        {
            // The stop that we asked for.
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Replayed {Records} control records: {Agents} agents")]
    private partial void LogReplayed(long records, int agents);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The watch history no longer reaches back to version {Version}: listing again")]
    private partial void LogResync(string version);
}
