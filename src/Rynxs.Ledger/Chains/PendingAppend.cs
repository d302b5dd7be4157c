namespace Rynxs.Ledger.Chains;

/// <summary>Entries that wait for their commit, all of them for the same one: they are recorded in their order, or none of them is.</summary>
/// <param name="entries">What to record; not empty.</param>
/// <param name="epoch">Epoch in which it must be recorded; null for whichever there is.</param>
/// <param name="isClaim">It begins the epoch.</param>
internal sealed class PendingAppend(PreparedEntry[] entries, long? epoch, bool isClaim)
{
    public PreparedEntry[] Entries { get; } = entries;

    /// <summary>Upper bound of what they add to a commit.</summary>
    public long Bytes { get; } = entries.Length == 1 ? entries[0].Bytes : entries.Sum(entry => entry.Bytes);

    public long? Epoch { get; } = epoch;

    public bool IsClaim { get; } = isClaim;

    /// <summary>Another claim was quicker; nothing was recorded.</summary>
    public bool LostClaim { get; set; }

    /// <summary>Why they are not recorded; null when they are, or were before.</summary>
    public Exception? Refusal { get; set; }

    /// <summary>Where each is; filled by the commit.</summary>
    public AppendedRecord[] Results { get; } = new AppendedRecord[entries.Length];

    public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
