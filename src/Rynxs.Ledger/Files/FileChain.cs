using System.Buffers;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Files;

/// <summary>
/// One chain in one directory. Callers prepare their entries and queue them; whoever has the committer's role commits all that has
/// gathered with one write and one fdatasync (two of each when there are side blobs).
/// </summary>
/// <remarks>
/// A lone caller commits on its own thread, which saves two changes of thread per record. Once commits hold several entries, the role goes
/// to the end of the thread pool's queue instead, so that callers who were just answered can queue their next entries first.
/// Lifetime: Dispose closes the queue, takes the role (so it waits for a commit that runs), commits what was queued (bounded by the queue)
/// and closes the files; it never gives the role back.
/// </remarks>
internal sealed class FileChain : ILedgerChain, IAsyncDisposable
{
    /// <summary>A commit takes no further entry once it has this many bytes.</summary>
    private const long CommitBytes = 4 * 1024 * 1024;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private readonly FileLedgerOptions _options;
    private readonly SegmentWriter _segments;
    private readonly BlobFiles _blobs;
    private readonly MirrorFile? _mirror;
    private readonly Channel<Pending> _queue;
    private readonly CommitBuffer _buffer = new();
    private readonly List<Pending> _batch = [];
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ChainSnapshot _committed;
    private volatile TaskCompletionSource _advanced = NewSignal();
    private volatile LedgerUnavailableException? _failure;
    private readonly SemaphoreSlim _committer = new(1);
    private int _lastBatch;
    private bool _disposed;

    private FileChain(
        ChainId id, ChainOptions options, FileLedgerOptions ledgerOptions, SegmentWriter segments, BlobFiles blobs, long epoch)
    {
        (Id, Epoch, _options, _segments, _blobs) = (id, epoch, ledgerOptions, segments, blobs);
        _mirror = options.MirrorPath is null ? null : new MirrorFile(options.MirrorPath, ledgerOptions.TimeProvider);
        _committed = segments.Committed;
        _queue = Channel.CreateBounded<Pending>(new BoundedChannelOptions(ledgerOptions.QueueCapacity)
        {
            FullMode = BoundedChannelFullMode.Wait,
            SingleReader = true, // Only the committer reads.
        });
    }

    /// <inheritdoc/>
    public ChainId Id { get; }

    /// <inheritdoc/>
    public ChainHead Head => _committed.Head;

    /// <inheritdoc/>
    public long Epoch { get; }

    /// <summary>True once it refuses every append until it is opened again.</summary>
    public bool HasFailed => _failure is not null;

    public string? MirrorPath => _mirror?.Path;

    public long MirrorFailures => _mirror?.Failures ?? 0;

    /// <summary>Recovers the chain, appends its <see cref="LedgerOpened"/> and starts the commit loop.</summary>
    public static async Task<FileChain> OpenAsync(
        ChainId id, ChainOptions options, FileLedgerOptions ledgerOptions, CancellationToken cancellationToken)
    {
        (FileChain chain, TornTailAside? torn) = await Task.Run(() => Recover(id, options, ledgerOptions, cancellationToken), cancellationToken)
            .ConfigureAwait(false);
        try
        {
            // No token: once recovery has changed files the open record belongs to them.
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = new LedgerOpened { Epoch = chain.Epoch, TornBytes = torn?.Bytes, TornSha256 = torn?.Sha256 },
                    AggregateId = id.AgentName is null ? "rynxs/control" : $"{id.AgentNamespace}/{id.AgentName}",
                    Principal = "system:ledger",
                },
                CancellationToken.None).ConfigureAwait(false);
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
        var pending = new Pending(PreparedEntry.Prepare(entry, _options.WriterId));
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

        CommitUnlessSomeoneDoes();
        return await pending.Done.Task.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<LedgerRecord> ReadAsync(long fromSeq, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fromSeq);
        ChainSnapshot committed = _committed;
        if (fromSeq > committed.Head.Seq)
        {
            yield break;
        }

        for (int index = committed.IndexOf(fromSeq); index < committed.Segments.Length; index++)
        {
            using SegmentReader reader = SegmentReader.Open(committed, index);
            while (await Task.Run(() => reader.ReadSome(fromSeq, cancellationToken), cancellationToken).ConfigureAwait(false) is { Count: > 0 } some)
            {
                foreach (LedgerRecord record in some)
                {
                    yield return record;
                }
            }
        }
    }

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
        return wellFormed
            ? await Task.Run(() => _blobs.Find(commitment, cancellationToken), cancellationToken).ConfigureAwait(false)
            : null;
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
            CommitBatch();
        }

        _closed.TrySetResult();
        _segments.Dispose();
        _blobs.Dispose();
        _mirror?.Dispose();
    }

    private static (FileChain Chain, TornTailAside? Torn) Recover(
        ChainId id, ChainOptions options, FileLedgerOptions ledgerOptions, CancellationToken cancellationToken)
    {
        string directory = Path.Combine(ledgerOptions.Directory, id.RelativePath);
        try
        {
            LedgerFile.CreateDirectory(directory);
            RecoveredChain recovered = ChainRecovery.Recover(directory, cancellationToken);
            var segments = new SegmentWriter(directory, ledgerOptions.SegmentBytes, recovered);
            try
            {
                BlobFiles blobs = BlobFiles.Open(directory, ledgerOptions.SegmentBytes);
                return (new FileChain(id, options, ledgerOptions, segments, blobs, recovered.Epoch + 1), recovered.Torn);
            }
            catch
            {
                segments.Dispose();
                throw;
            }
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The chain {id} cannot be opened: {exception.Message}", exception);
        }
    }

    /// <summary>
    /// Called after queueing. No entry is forgotten: who fails to get the role queued before its holder looked at the queue for the last
    /// time, which is after giving the role back.
    /// </summary>
    private void CommitUnlessSomeoneDoes()
    {
        if (!TryBecomeCommitter())
        {
            return;
        }

        if (_lastBatch > 1)
        {
            CommitOnThreadPool();
            return;
        }

        CommitBatch();
        _committer.Release();
        if (TryBecomeCommitter())
        {
            // Others queued meanwhile. This caller has its answer and must not work for them.
            CommitOnThreadPool();
        }
    }

    private bool TryBecomeCommitter() => _queue.Reader.TryPeek(out _) && _committer.Wait(0, CancellationToken.None);

    private void CommitOnThreadPool() => ThreadPool.UnsafeQueueUserWorkItem(
        static chain =>
        {
            chain.CommitBatch();
            chain._committer.Release();
            if (chain.TryBecomeCommitter())
            {
                chain.CommitOnThreadPool();
            }
        },
        this,
        preferLocal: false);

    private void CommitBatch()
    {
        TakeBatch();
        _lastBatch = _batch.Count;
        try
        {
            if (_batch.Count > 0)
            {
                Commit();
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
        for (long bytes = 0; bytes < CommitBytes && _queue.Reader.TryRead(out Pending? next); bytes += next.Entry.Bytes)
        {
            _batch.Add(next);
        }
    }

    private void Commit()
    {
        if (_failure is { } failure)
        {
            throw new LedgerUnavailableException(failure.Message, failure) { IsLasting = true };
        }

        long before = _segments.Committed.Bytes;
        try
        {
            BlobLine[] blobs = [.. _batch.SelectMany(pending => pending.Entry.Blobs)];
            if (blobs.Length > 0)
            {
                _blobs.Append(blobs);
            }

            _buffer.Begin(_segments.Committed.Head, _options.TimeProvider.GetUtcNow());
            foreach (Pending pending in _batch)
            {
                pending.Result = _buffer.Add(pending.Entry, Epoch);
            }

            _segments.Append(_buffer.Lines, _buffer.Head);
        }
        catch (LedgerUnavailableException exception) when (_segments.HasFailed || _blobs.HasFailed)
        {
            _failure = exception;
            throw;
        }

        Publish(_segments.Committed);
        foreach (Pending pending in _batch)
        {
            pending.Done.SetResult(pending.Result);
        }

        _mirror?.Follow(_segments.Committed, _buffer.Lines);
    }

    private void Publish(ChainSnapshot committed)
    {
        _committed = committed;
        TaskCompletionSource advanced = _advanced;
        _advanced = NewSignal();
        advanced.SetResult();
    }

    private void RefuseBatch(LedgerUnavailableException exception)
    {
        foreach (Pending pending in _batch)
        {
            // Each caller gets an exception of its own: a stack trace is written into it when it is thrown.
            pending.Done.TrySetException(new LedgerUnavailableException(exception.Message, exception) { IsLasting = HasFailed });
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class Pending(PreparedEntry entry)
    {
        public PreparedEntry Entry { get; } = entry;

        public AppendedRecord Result { get; set; }

        public TaskCompletionSource<AppendedRecord> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
