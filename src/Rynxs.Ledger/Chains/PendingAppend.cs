using System.Threading.Tasks.Sources;

namespace Rynxs.Ledger.Chains;

/// <summary>Entries that wait for their commit, all of them for the same one: they are recorded in their order, or none of them is.</summary>
/// <remarks>
/// It is itself what its one caller awaits, so that a record costs neither a task nor a state machine of its own. Continuations go to the
/// thread pool: the committer never runs a caller's code.
/// </remarks>
/// <param name="entries">What to record; not empty.</param>
/// <param name="epoch">Epoch in which it must be recorded; null for whichever there is.</param>
/// <param name="isClaim">It begins the epoch.</param>
internal sealed class PendingAppend(PreparedEntry[] entries, long? epoch, bool isClaim) : IValueTaskSource, IValueTaskSource<AppendedRecord>
{
    // Mutable and not readonly: it is a struct that changes in place.
    private ManualResetValueTaskSourceCore<bool> _done = new() { RunContinuationsAsynchronously = true };
    private bool _answered;

    public PreparedEntry[] Entries { get; } = entries;

    /// <summary>Upper bound of what they add to a commit.</summary>
    public long Bytes { get; } = entries.Length == 1 ? entries[0].Bytes : entries.Sum(entry => entry.Bytes);

    public long? Epoch { get; } = epoch;

    public bool IsClaim { get; } = isClaim;

    /// <summary>Another claim was quicker; nothing was recorded.</summary>
    public bool LostClaim { get; set; }

    /// <summary>Why they are not recorded; null when they are, or were before.</summary>
    public Exception? Refusal { get; set; }

    /// <summary>Where the first is; to be awaited once, instead of <see cref="DoneAsync"/>.</summary>
    public ValueTask<AppendedRecord> FirstAsync() => new(this, _done.Version);

    /// <summary>Ends with the commit, or with what refused it; to be awaited once.</summary>
    public ValueTask DoneAsync() => new(this, _done.Version);

    /// <summary>The commit is durable and each entry knows its place.</summary>
    public void SetDone()
    {
        _answered = true;
        _done.SetResult(true);
    }

    /// <summary>Nothing of it was recorded; what was answered before stays.</summary>
    public void SetRefused(Exception exception)
    {
        if (!_answered)
        {
            _answered = true;
            _done.SetException(exception);
        }
    }

    void IValueTaskSource.GetResult(short token) => _done.GetResult(token);

    AppendedRecord IValueTaskSource<AppendedRecord>.GetResult(short token)
    {
        _done.GetResult(token);
        return Entries[0].Place;
    }

    public ValueTaskSourceStatus GetStatus(short token) => _done.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _done.OnCompleted(continuation, state, token, flags);
}
