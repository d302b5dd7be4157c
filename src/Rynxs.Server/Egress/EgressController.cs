using System.Threading.Channels;
using Rynxs.Ledger;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Meta;

namespace Rynxs.Server.Egress;

/// <summary>
/// Follows the objects: each change compiles anew, swaps what the gateway decides by, and reports back in the policies' status the digest that is read from the
/// gateway. Level-triggered: every pass looks at everything as it is.
/// </summary>
internal sealed partial class EgressController(IResourceClient resources, EgressService service, EgressDesk desk, TimeProvider timeProvider, ILogger<EgressController> logger)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5), Pause = TimeSpan.FromSeconds(1);

    /// <summary>How old the last pass that worked may be before the gateway counts as not enforcing.</summary>
    private static readonly TimeSpan Stale = TimeSpan.FromSeconds(60);

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private long _lastPass = timeProvider.GetTimestamp();

    /// <summary>Whether the models are those of the objects.</summary>
    public bool IsCurrent => timeProvider.GetElapsedTime(Interlocked.Read(ref _lastPass)) < Stale;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var watching = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task[] watches =
        [
            WatchAsync<EgressPolicyResource>(watching.Token), WatchAsync<EgressApprovalResource>(watching.Token), WatchAsync<ApprovalResource>(watching.Token),
            WatchAsync<AgentResource>(watching.Token),
        ];
        try
        {
            while (true)
            {
                DateTimeOffset? next = await TryPassAsync(cancellationToken);
                await WaitAsync(next, cancellationToken);
            }
        }
        finally
        {
            await watching.CancelAsync();
            await Task.WhenAll(watches).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>One look at everything: first what is enforced, then what is told of it.</summary>
    internal async Task<DateTimeOffset?> PassAsync(CancellationToken cancellationToken)
    {
        await service.RefreshAsync(cancellationToken);
        DateTimeOffset? next = await desk.PassAsync(cancellationToken);
        await ReportAsync(cancellationToken);
        Interlocked.Exchange(ref _lastPass, timeProvider.GetTimestamp());
        return next;
    }

    private async Task ReportAsync(CancellationToken cancellationToken)
    {
        foreach (EgressPolicyResource policy in (await resources.ListAsync<EgressPolicyResource>(new ResourceQuery(), cancellationToken)).Items)
        {
            string due = EgressCompiler.Layer(policy).Digest;
            string[] enforced =
            [
                .. service.Channels.All.Where(channel => channel.Subject.Namespace == policy.Metadata.Namespace)
                    .SelectMany(channel => channel.Channel.Enforced.Layers).Where(layer => layer.Name == policy.Metadata.Name).Select(layer => layer.Digest),
            ];
            if (enforced.Any(digest => digest != due))
            {
                continue; // Not what the object says yet: the change that is on its way wakes another pass.
            }

            EgressPolicyStatus status = new()
            {
                Phase = "Enforced", Digest = enforced.FirstOrDefault() ?? due, ObservedGeneration = policy.Metadata.Generation, Sandboxes = enforced.Length,
                Conditions = policy.Status?.Conditions ?? [],
            };
            if (policy.Status is { } told && (told.Phase, told.Digest, told.ObservedGeneration, told.Sandboxes) == (status.Phase, status.Digest, status.ObservedGeneration, status.Sandboxes))
            {
                continue;
            }

            try
            {
                await resources.UpdateStatusAsync(policy with { Status = status }, cancellationToken);
            }
            catch (ResourceException raced) when (raced.Reason is ResourceErrorReason.Conflict or ResourceErrorReason.NotFound)
            {
                _wake.Writer.TryWrite(true);
            }
        }
    }

    private async Task WatchAsync<T>(CancellationToken cancellationToken)
        where T : Resource
    {
        while (true)
        {
            try
            {
                ResourceList<T> now = await resources.ListAsync<T>(new ResourceQuery(), cancellationToken);
                _wake.Writer.TryWrite(true);
                await foreach (WatchEvent<T> change in resources.WatchAsync<T>(new ResourceQuery(), now.ResourceVersion, cancellationToken))
                {
                    if (change.Type != WatchEventType.Bookmark)
                    {
                        _wake.Writer.TryWrite(true);
                    }
                }
            }
            catch (ResourceException lost)
            {
                LogWatchLost(typeof(T).Name, lost.Reason);
            }

            await Task.Delay(Pause, timeProvider, cancellationToken);
        }
    }

    private async Task WaitAsync(DateTimeOffset? next, CancellationToken cancellationToken)
    {
        TimeSpan wait = next is { } due ? due - timeProvider.GetUtcNow() : LongestWait;
        wait = wait < TimeSpan.FromMilliseconds(10) ? TimeSpan.FromMilliseconds(10) : wait > LongestWait ? LongestWait : wait;
        using var timer = new CancellationTokenSource(wait, timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timer.Token);
        try
        {
            await _wake.Reader.ReadAsync(linked.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time for another look.
        }
    }

    private async Task<DateTimeOffset?> TryPassAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await PassAsync(cancellationToken);
        }
        catch (Exception failed) when (failed is ResourceException or LedgerUnavailableException)
        {
            // What is enforced stays; /readyz says so when it lasts.
            LogPassFailed(failed);
            return timeProvider.GetUtcNow() + Pause;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Watching {Kind} ended: {Reason}")]
    private partial void LogWatchLost(string kind, ResourceErrorReason reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Egress policies could not be looked at; the gateway enforces what it had")]
    private partial void LogPassFailed(Exception exception);
}
