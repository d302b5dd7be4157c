using Rynxs.Ledger.Blobs;

namespace Rynxs.Ledger;

/// <summary>
/// A set of hash chains with one writer. Implementations: files (here), SQLite and S3 (Rynxs.Ledger.Stores).
/// </summary>
public interface ILedger : IAsyncDisposable
{
    /// <summary>Opens a chain for appending, creating it if needed; opening it again returns the same instance.</summary>
    /// <exception cref="LedgerCorruptException">A committed record does not verify.</exception>
    /// <exception cref="LedgerUnavailableException">The store cannot be read or written.</exception>
    ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken);

    /// <summary>The chains that exist, in ordinal order of their paths.</summary>
    IReadOnlyList<ChainId> ListChains();
}

/// <summary>Settings of one chain.</summary>
public sealed record ChainOptions
{
    /// <summary>
    /// File that receives a copy of every committed line (an agent's <c>audit.jsonl</c>), or null. It is a convenience, not the
    /// evidence: it is rewritten from the chain when the two disagree at open.
    /// </summary>
    public string? MirrorPath { get; init; }
}

/// <summary>One hash chain, open for appending. Safe for concurrent use; appends are committed in groups.</summary>
public interface ILedgerChain
{
    /// <summary>Which chain this is.</summary>
    ChainId Id { get; }

    /// <summary>The last committed (durable) record.</summary>
    ChainHead Head { get; }

    /// <summary>The writer's epoch: grows by one each time the chain is opened for writing.</summary>
    long Epoch { get; }

    /// <summary>
    /// Appends one entry and returns when it and its blobs are durable. Cancellation is honoured only until the entry is queued for a
    /// commit: afterwards the answer tells what happened.
    /// </summary>
    /// <exception cref="LedgerUnavailableException">
    /// Nothing can be appended (disk full, read-only, device error). The caller refuses the action that it wanted to record.
    /// </exception>
    /// <exception cref="LedgerFencedException">Another writer has taken the chain over.</exception>
    /// <exception cref="IdempotencyConflictException">The entry's key has made a record with other content.</exception>
    /// <exception cref="ArgumentException">The entry has no canonical form or exceeds <see cref="LedgerLimits.MaxRecordBytes"/>.</exception>
    ValueTask<AppendedRecord> AppendAsync(LedgerEntry entry, CancellationToken cancellationToken);

    /// <summary>Reads committed records from <paramref name="fromSeq"/> (inclusive) to the head as it is when reading starts.</summary>
    /// <exception cref="LedgerCorruptException">A record does not verify.</exception>
    IAsyncEnumerable<LedgerRecord> ReadAsync(long fromSeq, CancellationToken cancellationToken);

    /// <summary>Waits until the head is past <paramref name="seq"/>, for followers.</summary>
    Task WaitForAppendAsync(long seq, CancellationToken cancellationToken);

    /// <summary>The side blob behind a commitment, or null when it was erased or never stored.</summary>
    ValueTask<SideBlob?> ReadBlobAsync(Commitment commitment, CancellationToken cancellationToken);
}

/// <summary>A chain whose side blobs can be erased while it is open for writing: one in files.</summary>
public interface IErasableChain : ILedgerChain
{
    /// <summary>Removes the side blob behind a commitment from the store. Recording who asked and why comes first, and is <see cref="BlobErasure"/>'s.</summary>
    /// <returns>How many copies there were.</returns>
    /// <exception cref="LedgerUnavailableException">It cannot be removed; doing it again completes it.</exception>
    ValueTask<int> EraseBlobAsync(Commitment commitment, CancellationToken cancellationToken);
}

/// <summary>A chain whose writer can change while it is open: the chain of a store of ours, as the role <c>ledger</c> serves it.</summary>
public interface IClaimableChain : ILedgerChain
{
    /// <summary>
    /// Begins a new epoch with a <c>LedgerOpened</c> and returns it. Appends that name an older one are fenced from then on.
    /// </summary>
    /// <exception cref="LedgerUnavailableException">Nothing can be appended.</exception>
    /// <param name="principal">On whose behalf.</param>
    /// <param name="writerId">Recorded as <c>meta.writer_id</c> of the claim, so that a claim whose answer was lost is known again; null: the ledger's own.</param>
    /// <param name="cancellationToken">Honoured until the claim is queued.</param>
    ValueTask<long> ClaimAsync(string principal, string? writerId, CancellationToken cancellationToken);

    /// <inheritdoc cref="ClaimAsync(string, string?, CancellationToken)"/>
    ValueTask<long> ClaimAsync(string principal, CancellationToken cancellationToken) => ClaimAsync(principal, writerId: null, cancellationToken);

    /// <summary>Appends entries in an epoch that the caller has claimed: in their order, and in one commit, so all of them or none.</summary>
    /// <param name="entries">At most 4096.</param>
    /// <param name="epoch">As <see cref="ClaimAsync(string, string?, CancellationToken)"/> gave it.</param>
    /// <param name="cancellationToken">Honoured until the entries are queued for a commit.</param>
    /// <exception cref="LedgerFencedException">The chain is in another epoch; nothing was appended.</exception>
    /// <inheritdoc cref="ILedgerChain.AppendAsync"/>
    ValueTask<IReadOnlyList<AppendedRecord>> AppendAsync(IReadOnlyList<LedgerEntry> entries, long epoch, CancellationToken cancellationToken);
}

/// <summary>The store refused or failed; nothing was appended as far as is known.</summary>
public class LedgerUnavailableException(string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>The chain takes no more records until it is opened again; otherwise a later append may succeed, as when a full disk has space again.</summary>
    public bool IsLasting { get; init; }
}

/// <summary>
/// Another writer has taken the chain over: it has a newer epoch. Nothing of what this one tried to append since is part of the chain, and it
/// must not open the chain again on its own: leadership is decided elsewhere.
/// </summary>
public sealed class LedgerFencedException : LedgerUnavailableException
{
    /// <summary>Makes the exception; it is lasting.</summary>
    public LedgerFencedException(string message, Exception? innerException = null)
        : base(message, innerException) => IsLasting = true;
}

/// <summary>An idempotency key was used again with other content: one of the two entries is a mistake, and only the first was recorded.</summary>
public sealed class IdempotencyConflictException(string key, long seq)
    : Exception($"The idempotency key '{key}' has made the record with sequence {seq}, which has other content.")
{
    /// <summary>Sequence of the record that the key made.</summary>
    public long Seq { get; } = seq;
}

/// <summary>Stored bytes do not verify.</summary>
public sealed class LedgerCorruptException(string message, string file, long seq, string? expected, string? actual) : Exception(message)
{
    /// <summary>
    /// What is wrong, for programs: <c>form</c>, <c>event_hash</c>, <c>prev_hash</c>, <c>sequence</c>, <c>checkpoint</c>; null where the place
    /// that found it does not say.
    /// </summary>
    public string? Code { get; init; }

    /// <summary>File in which the record lies.</summary>
    public string File { get; } = file;

    /// <summary>Sequence of the first bad record.</summary>
    public long Seq { get; } = seq;

    /// <summary>What should have been there.</summary>
    public string? Expected { get; } = expected;

    /// <summary>What is there.</summary>
    public string? Actual { get; } = actual;
}
