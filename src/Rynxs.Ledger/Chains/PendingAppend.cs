namespace Rynxs.Ledger.Chains;

/// <summary>An entry that waits for its commit.</summary>
/// <param name="entry">What to record.</param>
/// <param name="epoch">Epoch in which it must be recorded; null for whichever there is.</param>
/// <param name="isClaim">It begins the epoch.</param>
internal sealed class PendingAppend(PreparedEntry entry, long? epoch, bool isClaim)
{
    public PreparedEntry Entry { get; } = entry;

    public long? Epoch { get; } = epoch;

    public bool IsClaim { get; } = isClaim;

    /// <summary>Another claim was quicker; nothing was recorded.</summary>
    public bool LostClaim { get; set; }

    /// <summary>Why it is not recorded; null when it is, or was before.</summary>
    public Exception? Refusal { get; set; }

    public AppendedRecord Result { get; set; }

    public TaskCompletionSource<AppendedRecord> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
