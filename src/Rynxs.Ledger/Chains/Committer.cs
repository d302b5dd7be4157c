using System.Threading.Channels;

namespace Rynxs.Ledger.Chains;

/// <summary>
/// The one place through which a chain grows: callers queue their entries, and whoever has the committer's role commits all that has gathered
/// at once.
/// </summary>
/// <remarks>
/// A lone caller commits on its own thread, which saves two changes of thread per record. Once commits hold several entries, the role goes
/// to the end of the thread pool's queue instead, so that callers who were just answered can queue their next entries first.
/// Lifetime: <see cref="DisposeAsync"/> closes the queue, takes the role (so it waits for a commit that runs), commits what was queued (bounded by
/// the queue) and never gives the role back.
/// </remarks>
internal sealed class Committer : IThreadPoolWorkItem, IAsyncDisposable
{
    /// <summary>A commit takes no further entry once it has this many bytes.</summary>
    private const long CommitBytes = 4 * 1024 * 1024;

    /// <summary>Nor once it has this many records, so that a store of batches knows how far back the batch of a sequence can begin.</summary>
    internal const int CommitRecords = 4096;

    private readonly ChainId _id;
    private readonly IChainStore _store;
    private readonly MirrorFile? _mirror;
    private readonly Channel<PendingAppend> _queue;
    private readonly SemaphoreSlim _role = new(1);

    // Written by the committer, read by anyone.
    private volatile HeadAt _head;
    private volatile TaskCompletionSource _advanced = NewSignal();
    private volatile LedgerUnavailableException? _failure;
    private volatile IdempotencyWindow? _keys;
    private long _epoch;

    // The committer's own.
    private readonly CommitPlan _plan;
    private readonly List<PendingAppend> _batch = [];
    private int _lastBatch;

    public Committer(ChainId id, ChainSettings settings, IChainStore store, FoundChain found, MirrorFile? mirror)
    {
        (_id, _store, _mirror, _epoch) = (id, store, mirror, found.Epoch);
        _head = new HeadAt(found.Head);
        _plan = new CommitPlan(id, settings.TimeProvider);
        _queue = Channel.CreateBounded<PendingAppend>(new BoundedChannelOptions(settings.QueueCapacity)
        {
            FullMode = BoundedChannelFullMode.Wait,
            SingleReader = true, // Only the committer reads.
        });
    }

    /// <summary>The last committed record.</summary>
    public ChainHead Head => _head.Value;

    /// <summary>Its epoch.</summary>
    public long Epoch => Interlocked.Read(ref _epoch);

    /// <summary>Why every further entry is refused; null while none is.</summary>
    public LedgerUnavailableException? Failure => _failure;

    /// <summary>Ends with the next commit. To be taken before the head is read, so that no commit is missed.</summary>
    public Task NextCommit => _advanced.Task;

    /// <summary>The keys that make no second record; null while no entry ever had one. Set before the first entry with a key is queued.</summary>
    public IdempotencyWindow? Keys
    {
        get => _keys;
        set => _keys = value;
    }

    /// <summary>
    /// Queues entries and sees to it that somebody commits them. What happened to them the entries themselves tell; this fails only when they
    /// were not queued. With room in the queue and over a local store nothing here waits for anybody else.
    /// </summary>
    /// <exception cref="LedgerUnavailableException">The chain is closed.</exception>
    public ValueTask QueueAsync(PendingAppend pending, CancellationToken cancellationToken) =>
        _queue.Writer.TryWrite(pending) ? TakeTurnAsync() : QueueWhenThereIsRoomAsync(pending, cancellationToken);

    /// <summary>Commits what is still queued and takes nothing more.</summary>
    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await _role.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        while (_queue.Reader.TryPeek(out _))
        {
            await CommitBatchAsync().ConfigureAwait(false);
        }
    }

    /// <summary>A turn on the thread pool. Its owner is the role: closing takes it, and so waits for what runs here.</summary>
    public void Execute()
    {
        ValueTask commit = CommitBatchAsync();
        if (commit.IsCompletedSuccessfully)
        {
            PassOn();
        }
        else
        {
            // Every failure is answered inside the commit; what could escape is out of memory.
            _ = PassOnAfterAsync(commit).AsTask();
        }
    }

    private async ValueTask QueueWhenThereIsRoomAsync(PendingAppend pending, CancellationToken cancellationToken)
    {
        try
        {
            await _queue.Writer.WriteAsync(pending, cancellationToken).ConfigureAwait(false);
        }
        catch (ChannelClosedException exception)
        {
            throw new LedgerUnavailableException($"The chain {_id} is closed.", exception) { IsLasting = true };
        }

        await TakeTurnAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Commits what is queued if nobody else does. No entry is forgotten: who fails to get the role queued before its holder looked at the queue
    /// for the last time, which is after giving the role back.
    /// </summary>
    private ValueTask TakeTurnAsync()
    {
        if (!TryBecomeCommitter())
        {
            return ValueTask.CompletedTask;
        }

        if (_lastBatch > 1)
        {
            QueueTurn();
            return ValueTask.CompletedTask;
        }

        ValueTask commit = CommitBatchAsync();
        if (!commit.IsCompletedSuccessfully)
        {
            return PassOnAfterAsync(commit);
        }

        PassOn();
        return ValueTask.CompletedTask;
    }

    private bool TryBecomeCommitter() => _queue.Reader.TryPeek(out _) && _role.Wait(0, CancellationToken.None);

    private void QueueTurn() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    private async ValueTask PassOnAfterAsync(ValueTask commit)
    {
        await commit.ConfigureAwait(false);
        PassOn();
    }

    /// <summary>Gives the role back. If others queued meanwhile, the pool works for them: this caller has its answer.</summary>
    private void PassOn()
    {
        _role.Release();
        if (TryBecomeCommitter())
        {
            QueueTurn();
        }
    }

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
            _failure = new LedgerUnavailableException($"The chain {_id} failed: {exception.Message}", exception);
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

        ChainCommit commit = _plan.Build(_batch, Head, Epoch, Keys);
        if (commit.Count > 0)
        {
            try
            {
                await _store.CommitAsync(commit).ConfigureAwait(false);
            }
            catch (LedgerUnavailableException exception) when (_store.HasFailed || exception is LedgerFencedException)
            {
                _failure = exception;
                throw;
            }

            Publish(commit);
        }

        _plan.RememberKeys();
        foreach (PendingAppend pending in _batch)
        {
            if (pending.Refusal is { } refusal)
            {
                pending.SetRefused(refusal);
            }
            else
            {
                pending.SetDone();
            }
        }

        if (_mirror is not null && commit.Count > 0)
        {
            await _mirror.FollowAsync(commit.Before.Seq + 1, commit.Lines, commit.Head).ConfigureAwait(false);
        }
    }

    private void Publish(ChainCommit commit)
    {
        Interlocked.Exchange(ref _epoch, commit.Epoch);
        _head = new HeadAt(commit.Head);
        TaskCompletionSource advanced = _advanced;
        _advanced = NewSignal();
        advanced.SetResult();
    }

    private void RefuseBatch(LedgerUnavailableException exception)
    {
        foreach (PendingAppend pending in _batch)
        {
            // Each caller gets an exception of its own: a stack trace is written into it when it is thrown.
            pending.SetRefused(pending.Refusal ?? (exception is LedgerFencedException
                ? new LedgerFencedException(exception.Message, exception)
                : new LedgerUnavailableException(exception.Message, exception) { IsLasting = _failure is not null }));
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The head as one reference: it is replaced whole, so that readers need no lock.</summary>
    private sealed record HeadAt(ChainHead Value);
}
