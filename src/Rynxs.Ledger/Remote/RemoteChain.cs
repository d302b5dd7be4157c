using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Remote;

/// <summary>
/// A chain that the role <c>ledger</c> writes for this process. Entries go to the spool, and from there, in order, to the role; an entry whose
/// answer was lost is sent again under its key.
/// </summary>
/// <remarks>
/// One task sends. It ends when the chain is closed (after it has tried, for a bounded time, to empty the spool) or fenced.
/// </remarks>
public sealed class RemoteChain : ILedgerChain, IAsyncDisposable
{
    private const int BatchBytes = 4 * 1024 * 1024;
    private static readonly TimeSpan Drain = TimeSpan.FromSeconds(5);

    private readonly RemoteLedgerOptions _options;
    private readonly string _writer = Guid.NewGuid().ToString("N"); // Of this opening: another process, or the next one, is another writer.
    private readonly RoleClient _role;
    private readonly Spool _spool;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _sending;
    private readonly TaskCompletionSource _claimed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile LedgerUnavailableException? _failure;
    private long _refused;
    private volatile Known _known = new(new ChainHead(-1, ChainPosition.Genesis), 0);
    private bool _disposed;

    internal RemoteChain(ChainId id, RemoteLedgerOptions options, RoleClient role, Spool spool)
    {
        (Id, _options, _role, _spool) = (id, options, role, spool);
        _sending = Task.Run(SendAllAsync);
    }

    /// <inheritdoc/>
    public ChainId Id { get; }

    /// <summary>The head as the role last told it; sequence -1 before it was first reached.</summary>
    public ChainHead Head => _known.Head;

    /// <summary>The epoch that this writer has claimed; 0 before the role was first reached.</summary>
    public long Epoch => _known.Epoch;

    /// <summary>Bytes of entries that the role has not confirmed.</summary>
    public long SpooledBytes => _spool.Bytes;

    /// <summary>Whether another writer has claimed the chain; what waited then lies in the spool's <c>fenced</c> directory, never to be sent.</summary>
    public bool IsFenced => _failure is LedgerFencedException;

    /// <summary>Entries that nobody waited for and that the role will never take; they lie in the spool's <c>refused.jsonl</c>.</summary>
    public long RefusedEntries => Interlocked.Read(ref _refused);

    /// <summary>Completes when the chain was first claimed. The chain can be used before: entries then wait in the spool.</summary>
    internal Task Claimed => _claimed.Task;

    /// <summary>
    /// Appends and waits for the role. On <see cref="LedgerUnavailableException"/> after the time limit the entry is in the spool, and will be recorded.
    /// </summary>
    /// <inheritdoc/>
    public async ValueTask<AppendedRecord> AppendAsync(LedgerEntry entry, CancellationToken cancellationToken)
    {
        var done = new TaskCompletionSource<AppendedRecord>(TaskCreationOptions.RunContinuationsAsynchronously);
        await SpoolAsync(entry, done, cancellationToken).ConfigureAwait(false);
        try
        {
            return await done.Task.WaitAsync(_options.AppendTimeout, _options.TimeProvider, CancellationToken.None).ConfigureAwait(false);
        }
        catch (TimeoutException exception)
        {
            throw new LedgerUnavailableException(
                $"The ledger role has not recorded the entry within {_options.AppendTimeout}. It is in the spool and will be recorded when the role is back.", exception);
        }
    }

    /// <summary>Returns when the entry is durable in the spool. It is recorded later, in order; if this process dies, by the next one with this spool.</summary>
    /// <exception cref="LedgerUnavailableException">The spool is full or its disk failed; the entry is not in it.</exception>
    /// <exception cref="ArgumentException">The entry has no canonical form, or is too large.</exception>
    public async ValueTask SpoolAsync(LedgerEntry entry, CancellationToken cancellationToken) =>
        await SpoolAsync(entry, done: null, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public async IAsyncEnumerable<LedgerRecord> ReadAsync(long fromSeq, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fromSeq);
        RemoteHead head = await _role.HeadAsync(Id, after: null, cancellationToken).ConfigureAwait(false);
        await foreach (LedgerRecord record in ChainReader.ReadAsync(
            ReadLinesAsync(fromSeq, head.Seq, cancellationToken), fromSeq, new ChainHead(head.Seq, head.EventHash), cancellationToken).ConfigureAwait(false))
        {
            yield return record;
        }
    }

    /// <inheritdoc/>
    public async Task WaitForAppendAsync(long seq, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                if ((await _role.HeadAsync(Id, after: seq, cancellationToken).ConfigureAwait(false)).Seq > seq)
                {
                    return;
                }
            }
            catch (LedgerUnavailableException) when (!_stop.IsCancellationRequested)
            {
                await Task.Delay(_options.MaxBackoff, _options.TimeProvider, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask<SideBlob?> ReadBlobAsync(Commitment commitment, CancellationToken cancellationToken)
    {
        if (await _role.TryReadBlobAsync(Id, commitment, cancellationToken).ConfigureAwait(false) is not { } line)
        {
            return null;
        }

        SideBlob? blob = BlobLine.TryParse(line);
        return blob?.Commitment == commitment
            ? blob
            : throw new LedgerCorruptException("The ledger role's side blob is not what its commitment says.", Id.RelativePath, -1, commitment.Value, blob?.Commitment.Value);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
        {
            return;
        }

        await _spool.CloseAsync().ConfigureAwait(false);
        await Task.WhenAny(_sending, Task.Delay(Drain, _options.TimeProvider, CancellationToken.None)).ConfigureAwait(false);
        await _stop.CancelAsync().ConfigureAwait(false);
        await _sending.ConfigureAwait(false);
        await _spool.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task SpoolAsync(LedgerEntry entry, TaskCompletionSource<AppendedRecord>? done, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(entry);
        PreparedEntry.Prepare(entry, ""); // What the role would refuse never enters the spool.
        if (_failure is { } failure)
        {
            throw Again(failure);
        }

        string key = entry.IdempotencyKey ?? Guid.NewGuid().ToString("N");
        byte[] line = JsonSerializer.SerializeToUtf8Bytes(RemoteEntry.Of(entry, key), SpoolJson.Default.RemoteEntry);
        await _spool.AddAsync(line, done, cancellationToken).ConfigureAwait(false);
        if (_failure is { } late)
        {
            throw Again(late);
        }
    }

    private async IAsyncEnumerable<StoredLines> ReadLinesAsync(long fromSeq, long toSeq, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (long next = fromSeq; next <= toSeq;)
        {
            byte[] lines = await _role.ReadAsync(Id, next, cancellationToken).ConfigureAwait(false);
            if (lines.Length == 0)
            {
                yield break;
            }

            yield return new StoredLines($"the ledger role's chain {Id}", next, next == 0 ? ChainPosition.Genesis : null, lines);
            next += lines.AsSpan().Count((byte)'\n');
        }
    }

    private async Task SendAllAsync()
    {
        var batch = new List<SpooledEntry>();
        bool singly = false;
        bool reclaim = false;
        int failures = 0;
        while (true)
        {
            try
            {
                if (Epoch == 0 || reclaim)
                {
                    await ClaimAsync(afterSeq: Epoch == 0 ? null : Head.Seq).ConfigureAwait(false);
                    reclaim = false;
                }

                if (batch.Count == 0 && !await FillAsync(batch).ConfigureAwait(false))
                {
                    return;
                }

                await (singly ? SendSinglyAsync(batch) : SendAsync(batch)).ConfigureAwait(false);
                batch.Clear();
                (failures, singly) = (0, false);
            }
            catch (EpochChangedException)
            {
                // The role itself opened the chain anew, or another writer has claimed it: the next round asks, and hears which.
                // Where the asking itself ends so, the chain cannot be claimed now: it is asked again after a while.
                if ((reclaim || Epoch == 0) && !await PauseAsync(failures++, null).ConfigureAwait(false))
                {
                    return;
                }

                reclaim = true;
            }
            catch (EntryRefusedException) when (batch.Count > 0 && !singly)
            {
                singly = true; // One of them is to blame. Sent alone each gets its own answer.
            }
            catch (EntryRefusedException)
            {
                // A claim that was refused: no entry's fault, and asking again at once would only burn.
                if (!await PauseAsync(failures++, null).ConfigureAwait(false))
                {
                    return;
                }
            }
            catch (LedgerFencedException exception)
            {
                await FailAsync(exception, batch).ConfigureAwait(false);
                return;
            }
            catch (LedgerUnavailableException exception)
            {
                if (!await PauseAsync(failures++, (exception as RoleBusyException)?.RetryAfter).ConfigureAwait(false))
                {
                    return;
                }
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return; // What is left lies in the spool.
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                // Top of the loop: an error that nobody foresaw, such as a spool that cannot be read back. Nothing more is taken.
                await FailAsync(new LedgerUnavailableException($"The chain {Id} failed: {exception.Message}", exception) { IsLasting = true }, batch).ConfigureAwait(false);
                return;
            }
        }
    }

    private async Task<bool> FillAsync(List<SpooledEntry> batch)
    {
        if (!await _spool.WaitAsync(_stop.Token).ConfigureAwait(false))
        {
            return false;
        }

        long bytes = 0;
        while (batch.Count < RemoteLimits.MaxEntries && bytes < BatchBytes && _spool.TryTake(out SpooledEntry? entry) && entry is not null)
        {
            batch.Add(entry);
            bytes += entry.Length;
        }

        return true;
    }

    private async Task SendSinglyAsync(List<SpooledEntry> batch)
    {
        foreach (SpooledEntry entry in batch.ToArray())
        {
            try
            {
                await SendAsync([entry]).ConfigureAwait(false);
            }
            catch (EntryRefusedException exception)
            {
                Refuse(entry, exception);
            }

            batch.Remove(entry); // So that after a failure of the role only the rest is sent again.
        }
    }

    private async Task SendAsync(List<SpooledEntry> batch)
    {
        var body = new ArrayBufferWriter<byte>();
        body.Write(System.Text.Encoding.ASCII.GetBytes($"{{\"epoch\":{Epoch},\"entries\":["));
        foreach (SpooledEntry entry in batch)
        {
            if (entry != batch[0])
            {
                body.Write(","u8);
            }

            body.Write(_spool.Read(entry));
        }

        body.Write("]}"u8);
        RemoteAppended answer = await _role.AppendAsync(Id, body.WrittenMemory, _stop.Token).ConfigureAwait(false);
        if (answer.Records.Count != batch.Count)
        {
            throw new LedgerUnavailableException($"The ledger role answered {batch.Count} entries with {answer.Records.Count} places.");
        }

        _spool.Confirm(batch[^1], batch.Sum(entry => entry.Length + 1L));
        RemoteRecord last = answer.Records.MaxBy(record => record.Seq)!; // Not empty: a batch has an entry.
        if (last.Seq > Head.Seq)
        {
            _known = _known with { Head = new ChainHead(last.Seq, last.EventHash) };
        }

        for (int index = 0; index < batch.Count; index++)
        {
            RemoteRecord record = answer.Records[index];
            batch[index].Done?.TrySetResult(new AppendedRecord(record.Seq, record.EventHash, record.PrevHash));
        }
    }

    private async Task ClaimAsync(long? afterSeq)
    {
        RemoteHead claimed = await _role.ClaimAsync(Id, new RemoteClaim(afterSeq, _writer, _options.Writer), _stop.Token).ConfigureAwait(false);
        _known = new Known(new ChainHead(claimed.Seq, claimed.EventHash), claimed.Epoch);
        _claimed.TrySetResult();
    }

    private void Refuse(SpooledEntry entry, EntryRefusedException exception)
    {
        if (entry.Done is null)
        {
            _spool.KeepRefused(entry);
            Interlocked.Increment(ref _refused);
        }

        _spool.Confirm(entry, entry.Length + 1L);
        entry.Done?.TrySetException(new ArgumentException(exception.Message, exception));
    }

    private async Task FailAsync(LedgerUnavailableException failure, IEnumerable<SpooledEntry> batch)
    {
        _failure = failure;
        _claimed.TrySetResult();

        // Closed first: nothing may come into it behind what is set aside below, where the next process would find and send it.
        await _spool.CloseAsync().ConfigureAwait(false);
        foreach (SpooledEntry entry in batch)
        {
            entry.Done?.TrySetException(Again(failure));
        }

        while (_spool.TryTake(out SpooledEntry? entry))
        {
            entry?.Done?.TrySetException(Again(failure));
        }

        if (failure is LedgerFencedException)
        {
            _spool.SetAside();
        }
    }

    /// <summary>A random part of a wait that doubles, or what the role asked for; false when the chain is being closed.</summary>
    private async Task<bool> PauseAsync(int failures, TimeSpan? asked)
    {
        double most = Math.Min(_options.MaxBackoff.TotalMilliseconds, 50 * Math.Pow(2, Math.Min(failures, 20)));
        TimeSpan wait = asked is { } wanted && wanted < _options.MaxBackoff ? wanted : TimeSpan.FromMilliseconds(Random.Shared.NextDouble() * most);
        try
        {
            await Task.Delay(wait, _options.TimeProvider, _stop.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static LedgerUnavailableException Again(LedgerUnavailableException failure) => failure is LedgerFencedException
        ? new LedgerFencedException(failure.Message, failure)
        : new LedgerUnavailableException(failure.Message, failure) { IsLasting = true };

    private sealed record Known(ChainHead Head, long Epoch);
}
