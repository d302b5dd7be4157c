using System.Buffers;
using System.Threading.Channels;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Chains;

/// <summary>
/// One open chain over any store. Callers prepare their entries and queue them; whoever has the committer's role commits all that has
/// gathered at once.
/// </summary>
/// <remarks>
/// A lone caller commits on its own thread, which saves two changes of thread per record. Once commits hold several entries, the role goes
/// to the end of the thread pool's queue instead, so that callers who were just answered can queue their next entries first.
/// Lifetime: Dispose closes the queue, takes the role (so it waits for a commit that runs), commits what was queued (bounded by the queue)
/// and closes the store; it never gives the role back.
/// </remarks>
internal sealed class LedgerChain : IClaimableChain, IAsyncDisposable
{
    /// <summary>A commit takes no further entry once it has this many bytes.</summary>
    private const long CommitBytes = 4 * 1024 * 1024;

    /// <summary>Nor once it has this many records, so that a store of batches knows how far back the batch of a sequence can begin.</summary>
    internal const int CommitRecords = 4096;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private readonly ChainSettings _settings;
    private readonly IChainStore _store;
    private readonly MirrorFile? _mirror;
    private readonly Channel<PendingAppend> _queue;
    private readonly SemaphoreSlim _committer = new(1);
    private readonly CommitWork _work;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _loadingKeys = new(1);

    // Written by the committer, read by anyone.
    private volatile HeadAt _head;
    private volatile TaskCompletionSource _advanced = NewSignal();
    private volatile LedgerUnavailableException? _failure;
    private long _epoch;

    // The committer's own.
    private readonly CommitBuffer _buffer = new();
    private readonly List<PendingAppend> _batch = [];
    private readonly List<BlobLine> _blobs = [];
    private readonly List<(string Key, string Content, AppendedRecord Record)> _addedKeys = [];
    private readonly Dictionary<string, int> _addedKeyAt = new(StringComparer.Ordinal);
    private volatile IdempotencyWindow? _keys;
    private int _lastBatch;
    private bool _disposed;

    private LedgerChain(ChainId id, ChainOptions options, ChainSettings settings, IChainStore store, FoundChain found)
    {
        (Id, _settings, _store, _epoch) = (id, settings, store, found.Epoch);
        _head = new HeadAt(found.Head);
        _work = new CommitWork(this);
        _mirror = options.MirrorPath is null ? null : new MirrorFile(options.MirrorPath, store, settings.TimeProvider);
        _queue = Channel.CreateBounded<PendingAppend>(new BoundedChannelOptions(settings.QueueCapacity)
        {
            FullMode = BoundedChannelFullMode.Wait,
            SingleReader = true, // Only the committer reads.
        });
    }

    /// <inheritdoc/>
    public ChainId Id { get; }

    /// <inheritdoc/>
    public ChainHead Head => _head.Value;

    /// <inheritdoc/>
    public long Epoch => Interlocked.Read(ref _epoch);

    /// <summary>True once it refuses every append until it is opened again.</summary>
    public bool HasFailed => _failure is not null;

    /// <summary>True once another writer has taken it over.</summary>
    public bool IsFenced => _failure is LedgerFencedException;

    public string? MirrorPath => _mirror?.Path;

    public long MirrorFailures => _mirror?.Failures ?? 0;

    /// <summary>Begins an epoch over a store that was recovered; the store belongs to the chain from here on.</summary>
    public static async Task<LedgerChain> OpenAsync(ChainId id, ChainOptions options, ChainSettings settings, IChainStore store, FoundChain found)
    {
        var chain = new LedgerChain(id, options, settings, store, found);
        try
        {
            // No token: once recovery has changed the store the open record belongs to it.
            await chain.ClaimAsync(found, "system:ledger").ConfigureAwait(false);
            return chain;
        }
        catch
        {
            await chain.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<AppendedRecord> AppendAsync(LedgerEntry entry, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var pending = new PendingAppend([PreparedEntry.Prepare(entry, _settings.WriterId)], epoch: null, isClaim: false);
        await AppendAsync(pending, cancellationToken).ConfigureAwait(false);
        return pending.Results[0];
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<AppendedRecord>> AppendAsync(IReadOnlyList<LedgerEntry> entries, long epoch, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entries);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(entries.Count, CommitRecords, nameof(entries));
        if (entries.Count == 0)
        {
            return [];
        }

        var pending = new PendingAppend([.. entries.Select(entry => PreparedEntry.Prepare(entry, _settings.WriterId))], epoch, isClaim: false);
        await AppendAsync(pending, cancellationToken).ConfigureAwait(false);
        return pending.Results;
    }

    /// <inheritdoc/>
    public async ValueTask<long> ClaimAsync(string principal, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return await ClaimAsync(new FoundChain(Head, Epoch), principal).ConfigureAwait(false);
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
            Task advanced = _advanced.Task; // Taken before the head is read, so that no commit is missed.
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
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
        {
            return;
        }

        _queue.Writer.TryComplete();
        await _committer.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        while (_queue.Reader.TryPeek(out _))
        {
            await CommitBatchAsync().ConfigureAwait(false);
        }

        _closed.TrySetResult();
        await _store.DisposeAsync().ConfigureAwait(false);
        _mirror?.Dispose();
    }

    private async ValueTask<long> ClaimAsync(FoundChain found, string principal)
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
            var claim = new PendingAppend([PreparedEntry.Prepare(entry, _settings.WriterId)], epoch, isClaim: true);
            await AppendAsync(claim, CancellationToken.None).ConfigureAwait(false);
            if (!claim.LostClaim)
            {
                return epoch;
            }
        }
    }

    private async ValueTask AppendAsync(PendingAppend pending, CancellationToken cancellationToken)
    {
        if (_keys is null && Array.Exists(pending.Entries, static entry => entry.Key is not null))
        {
            await LoadKeysAsync(cancellationToken).ConfigureAwait(false);
        }

        try
        {
            if (!_queue.Writer.TryWrite(pending))
            {
                await _queue.Writer.WriteAsync(pending, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (ChannelClosedException exception)
        {
            throw new LedgerUnavailableException($"The chain {Id} is closed.", exception) { IsLasting = true };
        }

        // No entry is forgotten: who fails to get the role queued before its holder looked at the queue for the last time, which is after
        // giving the role back.
        if (TryBecomeCommitter())
        {
            if (_lastBatch > 1)
            {
                _work.Queue();
            }
            else
            {
                await CommitBatchAsync().ConfigureAwait(false);
                _committer.Release();
                if (TryBecomeCommitter())
                {
                    // Others queued meanwhile. This caller has its answer and must not work for them.
                    _work.Queue();
                }
            }
        }

        await pending.Done.Task.ConfigureAwait(false);
    }

    /// <summary>The first entry with a key makes the chain read its newest records; who never uses keys never pays for them.</summary>
    private async Task LoadKeysAsync(CancellationToken cancellationToken)
    {
        await _loadingKeys.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_keys is not null)
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
            _keys = keys;
        }
        finally
        {
            _loadingKeys.Release();
        }
    }

    private bool TryBecomeCommitter() => _queue.Reader.TryPeek(out _) && _committer.Wait(0, CancellationToken.None);

    private async ValueTask CommitBatchAsync()
    {
        TakeBatch();
        _lastBatch = _batch.Count;
        try
        {
            if (_batch.Count > 0)
            {
                await CommitAsync().ConfigureAwait(false);
            }
        }
        catch (LedgerUnavailableException exception)
        {
            RefuseBatch(exception);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // Top of the commit: an error that nobody foresaw. The chain may be in any state, so it takes nothing more.
            _failure = new LedgerUnavailableException($"The chain {Id} failed: {exception.Message}", exception);
            RefuseBatch(_failure);
        }
    }

    private void TakeBatch()
    {
        _batch.Clear();
        long bytes = 0;
        int records = 0;
        while (bytes < CommitBytes && _queue.Reader.TryPeek(out PendingAppend? next) && records + next.Entries.Length <= CommitRecords
            && _queue.Reader.TryRead(out next))
        {
            _batch.Add(next);
            bytes += next.Bytes;
            records += next.Entries.Length;
        }
    }

    private async ValueTask CommitAsync()
    {
        if (_failure is { } failure)
        {
            throw failure;
        }

        ChainHead before = Head;
        long epoch = BuildCommit();
        if (_buffer.Head.Seq > before.Seq)
        {
            try
            {
                await _store.CommitAsync(new ChainCommit
                {
                    Before = before,
                    Head = _buffer.Head,
                    EpochBefore = Epoch,
                    Epoch = epoch,
                    Lines = _buffer.Lines,
                    Blobs = _blobs,
                }).ConfigureAwait(false);
            }
            catch (LedgerUnavailableException exception) when (_store.HasFailed || exception is LedgerFencedException)
            {
                _failure = exception;
                throw;
            }

            Publish(_buffer.Head, epoch);
        }

        foreach ((string key, string content, AppendedRecord record) in _addedKeys)
        {
            _keys?.Add(key, content, record);
        }

        foreach (PendingAppend pending in _batch)
        {
            if (pending.Refusal is { } refusal)
            {
                pending.Done.SetException(refusal);
            }
            else
            {
                pending.Done.SetResult();
            }
        }

        if (_mirror is not null && Head.Seq > before.Seq)
        {
            await _mirror.FollowAsync(before.Seq + 1, _buffer.Lines, Head).ConfigureAwait(false);
        }
    }

    /// <summary>Gives each entry its place, or the reason why it has none; returns the epoch after the commit.</summary>
    private long BuildCommit()
    {
        long epoch = Epoch;
        _blobs.Clear();
        _addedKeys.Clear();
        _addedKeyAt.Clear();
        _buffer.Begin(Head, _settings.TimeProvider.GetUtcNow());
        foreach (PendingAppend pending in _batch)
        {
            if (pending.IsClaim)
            {
                pending.LostClaim = pending.Epoch != epoch + 1;
                epoch = pending.LostClaim ? epoch : epoch + 1;
            }
            else if (pending.Epoch is { } named && named != epoch)
            {
                pending.Refusal = new LedgerFencedException($"The chain {Id} is in epoch {epoch}; the entry is of epoch {named}.");
            }
            else
            {
                pending.Refusal = Conflict(pending);
            }

            if (!pending.LostClaim && pending.Refusal is null)
            {
                Add(pending, epoch);
            }
        }

        return epoch;
    }

    /// <summary>Asked before anything of a group is added: it is recorded as a whole.</summary>
    private IdempotencyConflictException? Conflict(PendingAppend pending)
    {
        foreach (PreparedEntry entry in pending.Entries)
        {
            if (entry.Key is { } key && Known(key) is { } known && known.Content != entry.Content)
            {
                return new IdempotencyConflictException(key, known.Record.Seq);
            }
        }

        return null;
    }

    private void Add(PendingAppend pending, long epoch)
    {
        for (int index = 0; index < pending.Entries.Length; index++)
        {
            PreparedEntry entry = pending.Entries[index];
            if (entry.Key is { } repeated && Known(repeated) is { } known)
            {
                pending.Results[index] = known.Record;
                continue;
            }

            pending.Results[index] = _buffer.Add(entry, epoch);
            if (entry.Blobs.Count > 0)
            {
                _blobs.AddRange(entry.Blobs);
            }

            if (entry.Key is { } key)
            {
                _addedKeyAt.Add(key, _addedKeys.Count);
                _addedKeys.Add((key, entry.Content, pending.Results[index]));
            }
        }
    }

    private (string Content, AppendedRecord Record)? Known(string key)
    {
        if (_addedKeyAt.TryGetValue(key, out int at))
        {
            return (_addedKeys[at].Content, _addedKeys[at].Record);
        }

        return _keys?.Find(key);
    }

    private void Publish(ChainHead head, long epoch)
    {
        Interlocked.Exchange(ref _epoch, epoch);
        _head = new HeadAt(head);
        TaskCompletionSource advanced = _advanced;
        _advanced = NewSignal();
        advanced.SetResult();
    }

    private void RefuseBatch(LedgerUnavailableException exception)
    {
        foreach (PendingAppend pending in _batch)
        {
            // Each caller gets an exception of its own: a stack trace is written into it when it is thrown.
            pending.Done.TrySetException(pending.Refusal ?? (exception is LedgerFencedException
                ? new LedgerFencedException(exception.Message, exception)
                : new LedgerUnavailableException(exception.Message, exception) { IsLasting = HasFailed }));
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The head as one reference: it is replaced whole, so that readers need no lock.</summary>
    private sealed record HeadAt(ChainHead Value);

    /// <summary>The committer's work on the thread pool. Its owner is the role: Dispose takes it, and so waits for what runs here.</summary>
    private sealed class CommitWork(LedgerChain chain) : IThreadPoolWorkItem
    {
        public void Queue() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

        public void Execute()
        {
            ValueTask commit = chain.CommitBatchAsync();
            if (commit.IsCompletedSuccessfully)
            {
                PassOn();
            }
            else
            {
                _ = PassOnAfterAsync(commit); // Every failure is answered inside the commit; what could escape is out of memory.
            }
        }

        private async Task PassOnAfterAsync(ValueTask commit)
        {
            await commit.ConfigureAwait(false);
            PassOn();
        }

        private void PassOn()
        {
            chain._committer.Release();
            if (chain.TryBecomeCommitter())
            {
                Queue();
            }
        }
    }
}
