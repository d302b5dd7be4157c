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
    private readonly CancellationTokenSource _waiting = new();
    private readonly CancellationTokenSource _running = new();
    private readonly ITimer? _deadline;
    private int _cause;

    public MessageStop(DateTimeOffset? deadline, TimeProvider timeProvider)
    {
        if (deadline is { } end)
        {
            // Timers take at most about 49 days; whatever is later is looked at again by whoever set the deadline.
            TimeSpan left = end - timeProvider.GetUtcNow();
            TimeSpan due = left < TimeSpan.Zero ? TimeSpan.Zero : left > TimeSpan.FromDays(40) ? TimeSpan.FromDays(40) : left;
            _deadline = timeProvider.CreateTimer(_ => Stop(StopCause.Deadline), null, due, Timeout.InfiniteTimeSpan);
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

    public void Dispose()
    {
        _deadline?.Dispose();
        _waiting.Dispose();
        _running.Dispose();
    }
}
