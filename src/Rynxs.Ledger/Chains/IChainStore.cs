using Rynxs.Ledger.Blobs;

namespace Rynxs.Ledger.Chains;

/// <summary>
/// Where one chain lies: makes commits durable and gives lines back. Everything else (canonical form, hashes, queueing, group commit,
/// epochs, idempotency keys, the mirror) is in <see cref="LedgerChain"/>, once for all stores.
/// </summary>
/// <remarks>Commits come one at a time; reads and lookups from any thread, also during a commit.</remarks>
internal interface IChainStore : IAsyncDisposable
{
    /// <summary>True once it refuses every commit until the chain is opened again.</summary>
    bool HasFailed { get; }

    /// <summary>Makes a commit durable: its blobs first, or together with its records. A store on local files completes synchronously.</summary>
    /// <exception cref="LedgerFencedException">Another writer has taken the chain over; nothing of the commit is readable.</exception>
    /// <exception cref="LedgerUnavailableException">
    /// Nothing of the commit counts, unless the store could not find out: then it says so and <see cref="HasFailed"/> is true.
    /// </exception>
    ValueTask CommitAsync(ChainCommit commit);

    /// <summary>Makes blobs durable that no record of this commit refers to: for copying.</summary>
    /// <exception cref="LedgerUnavailableException">They are not durable.</exception>
    ValueTask AddBlobsAsync(IReadOnlyList<BlobLine> blobs);

    /// <summary>
    /// Committed lines up to a head, whole lines only, beginning at a place of the store's choice at or before <paramref name="fromSeq"/>.
    /// They are verified by the caller.
    /// </summary>
    /// <exception cref="LedgerUnavailableException">The store cannot be read.</exception>
    IAsyncEnumerable<StoredLines> ReadAsync(long fromSeq, ChainHead head, CancellationToken cancellationToken);

    /// <summary>The blob behind a well-formed commitment, or null.</summary>
    /// <exception cref="LedgerCorruptException">The stored content is not what the commitment says.</exception>
    Task<SideBlob?> FindBlobAsync(Commitment commitment, CancellationToken cancellationToken);

    /// <summary>Removes the blob behind a commitment while commits go on; the number of copies. A store that cannot says so.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be removed.</exception>
    Task<int> EraseBlobAsync(Commitment commitment, CancellationToken cancellationToken) =>
        throw new LedgerUnavailableException("Texts are erased from ledgers in files only.");
}

/// <summary>Consecutive lines as a store holds them.</summary>
/// <param name="Source">File, row or object: for messages.</param>
/// <param name="FirstSeq">Sequence that the first line must have.</param>
/// <param name="PrevHash">
/// Hash that the first line must name, when the store has it from a place that was verified; null when the store only has the lines. Then the
/// reader relies on the links forward to the head.
/// </param>
/// <param name="Lines">Whole lines, each with its newline; valid until the next item is asked for.</param>
internal readonly record struct StoredLines(string Source, long FirstSeq, string? PrevHash, ReadOnlyMemory<byte> Lines);

/// <summary>What one commit makes durable.</summary>
internal sealed class ChainCommit
{
    /// <summary>The head that it goes behind.</summary>
    public required ChainHead Before { get; init; }

    /// <summary>The head that it makes.</summary>
    public required ChainHead Head { get; init; }

    /// <summary>The epoch before it; a store that can compare refuses the commit when it finds another one.</summary>
    public required long EpochBefore { get; init; }

    /// <summary>The epoch of its last record.</summary>
    public required long Epoch { get; init; }

    /// <summary>Its records, each with its newline. Belongs to the engine: valid during the call only.</summary>
    public required ReadOnlyMemory<byte> Lines { get; init; }

    /// <summary>Its side blobs.</summary>
    public required IReadOnlyList<BlobLine> Blobs { get; init; }

    /// <summary>Number of records.</summary>
    public int Count => (int)(Head.Seq - Before.Seq);
}

/// <summary>What a store found when a chain was opened in it.</summary>
/// <param name="Head">Last committed record.</param>
/// <param name="Epoch">Highest epoch in the chain; 0 when it has none.</param>
/// <param name="TornBytes">Length of an unfinished write that was set aside; null when there was none.</param>
/// <param name="TornSha256">Its hash.</param>
internal sealed record FoundChain(ChainHead Head, long Epoch, long? TornBytes = null, string? TornSha256 = null);

/// <summary>Settings that all stores share.</summary>
/// <param name="TimeProvider">Gives <c>meta.time</c>.</param>
/// <param name="WriterId">Recorded as <c>meta.writer_id</c>; left out when empty.</param>
/// <param name="QueueCapacity">Entries that may wait for a commit.</param>
internal sealed record ChainSettings(TimeProvider TimeProvider, string WriterId, int QueueCapacity);
