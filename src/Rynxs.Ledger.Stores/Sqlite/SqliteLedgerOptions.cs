namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>Settings of a <see cref="SqliteLedger"/>.</summary>
public sealed record SqliteLedgerOptions
{
    /// <summary>The database file; created (mode 0600) when it does not exist. <c>-wal</c>, <c>-shm</c> and <c>.lock</c> lie beside it.</summary>
    public required string Path { get; init; }

    /// <summary>Gives <c>meta.time</c>. Nothing depends on its order: it may jump back.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Recorded as <c>meta.writer_id</c>; left out when empty, the default.</summary>
    public string WriterId { get; init; } = "";

    /// <summary>
    /// Take the ledger from a process that has it open, which is fenced: its next append fails with <see cref="LedgerFencedException"/>. Off by
    /// default: then <see cref="Files.LedgerLockedException"/>.
    /// </summary>
    public bool TakeOver { get; init; }

    /// <summary>Entries that may wait for a commit per chain, 1024 unless told; a full queue makes callers wait, it drops nothing.</summary>
    public int QueueCapacity { get; init; } = 1024;
}
