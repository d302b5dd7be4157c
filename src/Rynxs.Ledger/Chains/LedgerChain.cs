using System.Buffers;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Chains;

/// <summary>One open chain over any store: prepares entries on their callers' threads, has them committed in groups, reads.</summary>
/// <remarks>Lifetime: Dispose finishes what was queued (<see cref="Committer"/>) and closes the store.</remarks>
internal sealed class LedgerChain : IClaimableChain, IErasableChain, IAsyncDisposable
{
    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private readonly ChainSettings _settings;
    private readonly IChainStore _store;
    private readonly MirrorFile? _mirror;
    private readonly Committer _committer;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _loadingKeys = new(1);
    private bool _disposed;

    private LedgerChain(ChainId id, ChainOptions options, ChainSettings settings, IChainStore store, FoundChain found)
    {
        (Id, _settings, _store) = (id, settings, store);
        _mirror = options.MirrorPath is null ? null : new MirrorFile(options.MirrorPath, store, settings.TimeProvider);
        _committer = new Committer(id, settings, store, found, _mirror);
    }

    /// <inheritdoc/>
    public ChainId Id { get; }

    /// <inheritdoc/>
    public ChainHead Head => _committer.Head;

    /// <inheritdoc/>
    public long Epoch => _committer.Epoch;

    /// <summary>True once it refuses every append until it is opened again.</summary>
    public bool HasFailed => _committer.Failure is not null;

    /// <summary>True once another writer has taken it over.</summary>
    public bool IsFenced => _committer.Failure is LedgerFencedException;

    public string? MirrorPath => _mirror?.Path;

    public long MirrorFailures => _mirror?.Failures ?? 0;

    /// <summary>Begins an epoch over a store that was recovered; the store belongs to the chain from here on.</summary>
    public static async Task<LedgerChain> OpenAsync(ChainId id, ChainOptions options, ChainSettings settings, IChainStore store, FoundChain found)
    {
        var chain = new LedgerChain(id, options, settings, store, found);
        try
        {
            // No token: once recovery has changed the store the open record belongs to it.
            await chain.ClaimAsync(found, "system:ledger", writerId: null).ConfigureAwait(false);
            return chain;
        }
        catch
        {
            await chain.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public ValueTask<AppendedRecord> AppendAsync(LedgerEntry entry, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var pending = new PendingAppend([PreparedEntry.Prepare(entry, _settings.WriterId)], epoch: null, isClaim: false);
        ValueTask queued = QueueAsync(pending, cancellationToken);

        // The usual case: the caller awaits the entry itself, and nothing is allocated for waiting.
        return queued.IsCompletedSuccessfully ? pending.FirstAsync() : AfterAsync(queued, pending);

        static async ValueTask<AppendedRecord> AfterAsync(ValueTask queued, PendingAppend pending)
        {
            await queued.ConfigureAwait(false);
            return await pending.FirstAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<AppendedRecord>> AppendAsync(IReadOnlyList<LedgerEntry> entries, long epoch, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entries);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(entries.Count, Committer.CommitRecords, nameof(entries));
        if (entries.Count == 0)
        {
            return [];
        }

        var pending = new PendingAppend([.. entries.Select(entry => PreparedEntry.Prepare(entry, _settings.WriterId))], epoch, isClaim: false);
        await QueueAsync(pending, cancellationToken).ConfigureAwait(false);
        await pending.DoneAsync().ConfigureAwait(false);
        return Array.ConvertAll(pending.Entries, static entry => entry.Place);
    }

    /// <inheritdoc/>
    public async ValueTask<long> ClaimAsync(string principal, string? writerId, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return await ClaimAsync(new FoundChain(Head, Epoch), principal, writerId).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<LedgerRecord> ReadAsync(long fromSeq, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fromSeq);
        return ChainReader.ReadAsync(_store, fromSeq, Head, cancellationToken);
    }

    /// <summary>The committed lines from a sequence on, as they are stored and unverified; they may begin before it.</summary>
    internal IAsyncEnumerable<StoredLines> ReadLinesAsync(long fromSeq, CancellationToken cancellationToken) => _store.ReadAsync(fromSeq, Head, cancellationToken);

    /// <inheritdoc/>
    public async Task WaitForAppendAsync(long seq, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task advanced = _committer.NextCommit;
            if (Head.Seq > seq)
            {
                return;
            }

            if (await Task.WhenAny(advanced, _closed.Task).WaitAsync(cancellationToken).ConfigureAwait(false) == _closed.Task
                && Head.Seq <= seq)
            {
                throw new LedgerUnavailableException($"The chain {Id} is closed.");
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask<SideBlob?> ReadBlobAsync(Commitment commitment, CancellationToken cancellationToken)
    {
        bool wellFormed = commitment.Value is { Length: 71 } value && value.StartsWith("sha256:", StringComparison.Ordinal)
            && value.AsSpan(7).IndexOfAnyExcept(HexDigits) < 0;
        return wellFormed ? await _store.FindBlobAsync(commitment, cancellationToken).ConfigureAwait(false) : null;
    }

    /// <inheritdoc/>
    public async ValueTask<int> EraseBlobAsync(Commitment commitment, CancellationToken cancellationToken) =>
        await _store.EraseBlobAsync(commitment, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
        {
            return;
        }

        await _committer.DisposeAsync().ConfigureAwait(false);
        _closed.TrySetResult();
        await _store.DisposeAsync().ConfigureAwait(false);
        _mirror?.Dispose();
    }

    private async ValueTask<long> ClaimAsync(FoundChain found, string principal, string? writerId)
    {
        // The epoch stands in the payload, so it is fixed before the entry is queued; if another claim is quicker, this one is tried again.
        while (true)
        {
            long epoch = Epoch + 1;
            var entry = new LedgerEntry
            {
                Payload = new LedgerOpened { Epoch = epoch, TornBytes = found.TornBytes, TornSha256 = found.TornSha256 },
                AggregateId = Id.AgentName is null ? "rynxs/control" : $"{Id.AgentNamespace}/{Id.AgentName}",
                Principal = principal,
            };
            var claim = new PendingAppend([PreparedEntry.Prepare(entry, writerId ?? _settings.WriterId)], epoch, isClaim: true);
            await _committer.QueueAsync(claim, CancellationToken.None).ConfigureAwait(false);
            await claim.DoneAsync().ConfigureAwait(false);
            if (!claim.LostClaim)
            {
                return epoch;
            }
        }
    }

    private ValueTask QueueAsync(PendingAppend pending, CancellationToken cancellationToken) =>
        _committer.Keys is null && Array.Exists(pending.Entries, static entry => entry.Key is not null)
            ? QueueWithKeysAsync(pending, cancellationToken)
            : _committer.QueueAsync(pending, cancellationToken);

    private async ValueTask QueueWithKeysAsync(PendingAppend pending, CancellationToken cancellationToken)
    {
        await LoadKeysAsync(cancellationToken).ConfigureAwait(false);
        await _committer.QueueAsync(pending, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The first entry with a key makes the chain read its newest records; who never uses keys never pays for them.</summary>
    private async Task LoadKeysAsync(CancellationToken cancellationToken)
    {
        await _loadingKeys.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_committer.Keys is not null)
            {
                return;
            }

            var keys = new IdempotencyWindow();
            ChainHead head = Head;
            await foreach (LedgerRecord record in ChainReader.ReadAsync(
                _store, Math.Max(0, head.Seq + 1 - IdempotencyWindow.Capacity), head, cancellationToken).ConfigureAwait(false))
            {
                keys.Add(record);
            }

            // What was committed meanwhile has no key: entries with one wait here.
            _committer.Keys = keys;
        }
        finally
        {
            _loadingKeys.Release();
        }
    }
}
