namespace Rynxs.Ledger.Files;

/// <summary>Another process (or another instance in this one) writes to the ledger.</summary>
public sealed class LedgerLockedException(string message, int? ownerPid) : Exception(message)
{
    /// <summary>Process id of the writer as it left it in the lock file; null when that is not readable.</summary>
    public int? OwnerPid { get; } = ownerPid;
}
