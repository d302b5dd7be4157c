namespace Rynxs.Agents.Loop;

/// <summary>Why work on a message stops early.</summary>
internal enum StopCause
{
    None,

    /// <summary>Somebody cancelled it: answered as cancelled.</summary>
    Cancelled,

    /// <summary>Its deadline passed: answered as failed.</summary>
    Deadline,

    /// <summary>The loop stops: not answered, resumed by the next one.</summary>
    Shutdown,
}

/// <summary>
/// Stops work on one message and keeps the cause. Waiting (model, approvals) ends at once; a running tool call ends at once for a
/// cancellation or deadline, and only after the drain time for a shutdown.
/// </summary>
internal sealed class MessageStop : IDisposable
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(40);
    private readonly CancellationTokenSource _waiting = new();
    private readonly CancellationTokenSource _running = new();
    private readonly ITimer? _timer;
    private int _cause;

    public MessageStop(DateTimeOffset? deadline, TimeProvider timeProvider)
    {
        if (deadline is not { } end)
        {
            return;
        }

        if (end <= timeProvider.GetUtcNow())
        {
            // Here and not by a timer: a timer fires on another thread, and the work would have begun by then.
            Stop(StopCause.Deadline);
            return;
        }

        _timer = timeProvider.CreateTimer(_ => Wait(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Wait();

        void Wait()
        {
            TimeSpan left = end - timeProvider.GetUtcNow();
            if (left <= TimeSpan.Zero)
            {
                Stop(StopCause.Deadline);
            }
            else
            {
                // A timer takes at most about 49 days; a later deadline is waited for in parts.
                _timer?.Change(left > LongestWait ? LongestWait : left, Timeout.InfiniteTimeSpan);
            }
        }
    }

    /// <summary>The first cause that was given.</summary>
    public StopCause Cause => (StopCause)Volatile.Read(ref _cause);

    /// <summary>For waits without effects.</summary>
    public CancellationToken Waiting => _waiting.Token;

    /// <summary>For effects.</summary>
    public CancellationToken Running => _running.Token;

    /// <summary>Stops for a cause; the first one stays.</summary>
    public void Stop(StopCause cause)
    {
        _ = Interlocked.CompareExchange(ref _cause, (int)cause, (int)StopCause.None);
        _waiting.Cancel();
        if (cause != StopCause.Shutdown)
        {
            _running.Cancel();
        }
    }

    /// <summary>The drain time is over.</summary>
    public void Kill() => _running.Cancel();

    /// <summary>
    /// Ends the wait for the deadline. The sources are left to the collector (they hold no handle): a timer's last call may still be under way,
    /// and cancelling a disposed source would throw on its thread.
    /// </summary>
    public void Dispose() => _timer?.Dispose();
}
