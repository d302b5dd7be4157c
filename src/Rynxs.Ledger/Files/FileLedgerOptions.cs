namespace Rynxs.Ledger.Files;

/// <summary>Settings of a <see cref="FileLedger"/>.</summary>
public sealed record FileLedgerOptions
{
    /// <summary>Root of the ledger; created (mode 0700) when it does not exist. Chains lie in <c>control</c> and <c>agents/NS/NAME</c> below.</summary>
    public required string Directory { get; init; }

    /// <summary>Gives <c>meta.time</c>. Nothing depends on its order: it may jump back.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Recorded as <c>meta.writer_id</c>; left out when empty, the default.</summary>
    public string WriterId { get; init; } = "";

    /// <summary>
    /// A new segment begins once the live one has at least this many bytes: 64 MiB unless told. A segment can exceed it by one commit
    /// (at most 8 MiB), because a commit never spans two segments.
    /// </summary>
    public long SegmentBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>
    /// Take the ledger from a process that has it open, which is fenced: its next append fails with <see cref="LedgerFencedException"/>. Off by
    /// default: then <see cref="LedgerLockedException"/>. For local file systems, as everything here.
    /// </summary>
    public bool TakeOver { get; init; }

    /// <summary>
    /// Verify every segment when a chain is opened. Off by default: then a file is not read again that, by inode, length and both times, is the
    /// one that this ledger verified or wrote before.
    /// </summary>
    public bool VerifyEverythingOnOpen { get; init; }

    /// <summary>Entries that may wait for a commit per chain, 1024 unless told; a full queue makes callers wait, it drops nothing.</summary>
    public int QueueCapacity { get; init; } = 1024;
}
