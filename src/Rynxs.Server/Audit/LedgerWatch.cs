using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;

namespace Rynxs.Server.Audit;

/// <summary>
/// Notes how appends end, on every chain, so that a ledger that cannot be written shows in <c>/readyz</c> and metrics, not only to the callers that were
/// refused. It changes nothing about them.
/// </summary>
internal sealed class LedgerWatch : IDisposable
{
    public const string MeterName = "Rynxs.Ledger";

    private readonly Meter _meter;
    private long _refused;
    private long _fencings;
    private readonly ConcurrentDictionary<ChainId, string> _lasting = [];
    private volatile bool _lastFailed;

    public LedgerWatch(IMeterFactory meters)
    {
        _meter = meters.Create(MeterName);
        _meter.CreateObservableCounter(
            "rynxs_ledger_append_failures_total",
            () => new[]
            {
                new Measurement<long>(Interlocked.Read(ref _refused), new KeyValuePair<string, object?>("reason", "unavailable")),
                new Measurement<long>(Interlocked.Read(ref _fencings), new KeyValuePair<string, object?>("reason", "fenced")),
            },
            null, "Appends that the ledger refused.");
        _meter.CreateObservableGauge("rynxs_ledger_writable", () => _lastFailed || !_lasting.IsEmpty ? 0 : 1, null, "0 while the last append failed, or a chain takes no more until the next start.");
        _meter.CreateObservableGauge("rynxs_ledger_fenced", () => IsFenced ? 1 : 0, null, "1 once another writer has taken a chain of this process over.");
    }

    /// <summary>
    /// A chain takes no more records until it is opened again. A failure that may pass (a full disk) does not count here: readiness that waited for an
    /// append would wait for ever, as nobody appends on a server that is not ready.
    /// </summary>
    public bool HasFailedChain => !_lasting.IsEmpty;

    /// <summary>Another writer has taken a chain over: this process is not the writer any more.</summary>
    public bool IsFenced => Interlocked.Read(ref _fencings) > 0;

    /// <summary>The same ledger, watched.</summary>
    public ILedger Around(ILedger ledger) => new Watched(ledger, this);

    public void Dispose() => _meter.Dispose();

    private void Succeeded() => _lastFailed = false;

    private void Opened(ChainId chain) => _lasting.TryRemove(chain, out _);

    private void Failed(ChainId chain, LedgerUnavailableException exception)
    {
        if (exception is LedgerFencedException)
        {
            Interlocked.Increment(ref _fencings);
        }
        else
        {
            Interlocked.Increment(ref _refused);
        }

        _lastFailed = true;
        if (exception.IsLasting)
        {
            _lasting[chain] = exception.Message;
        }
    }

    private sealed class Watched(ILedger inner, LedgerWatch watch) : ILedger
    {
        private readonly Dictionary<ChainId, WatchedChain> _chains = [];

        public async ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
        {
            ILedgerChain opened = await inner.OpenAsync(id, options, cancellationToken);
            lock (_chains)
            {
                // The same instance while the inner one is the same, as the contract says; a chain that failed is opened as a new one.
                if (_chains.TryGetValue(id, out WatchedChain? known) && known.IsOver(opened))
                {
                    return known;
                }

                watch.Opened(id);
                return _chains[id] = new WatchedChain(opened, watch);
            }
        }

        public IReadOnlyList<ChainId> ListChains() => inner.ListChains();

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    private sealed class WatchedChain(ILedgerChain inner, LedgerWatch watch) : IErasableChain
    {
        public ChainId Id => inner.Id;

        public ChainHead Head => inner.Head;

        public long Epoch => inner.Epoch;

        public bool IsOver(ILedgerChain chain) => ReferenceEquals(inner, chain);

        public async ValueTask<AppendedRecord> AppendAsync(LedgerEntry entry, CancellationToken cancellationToken)
        {
            try
            {
                AppendedRecord record = await inner.AppendAsync(entry, cancellationToken);
                watch.Succeeded();
                return record;
            }
            catch (LedgerUnavailableException exception)
            {
                watch.Failed(Id, exception);
                throw;
            }
        }

        public ValueTask<int> EraseBlobAsync(Commitment commitment, CancellationToken cancellationToken) => inner is IErasableChain erasable
            ? erasable.EraseBlobAsync(commitment, cancellationToken)
            : throw new LedgerUnavailableException("The texts of this ledger cannot be erased while it is open.");

        public IAsyncEnumerable<LedgerRecord> ReadAsync(long fromSeq, CancellationToken cancellationToken) => inner.ReadAsync(fromSeq, cancellationToken);

        public Task WaitForAppendAsync(long seq, CancellationToken cancellationToken) => inner.WaitForAppendAsync(seq, cancellationToken);

        public ValueTask<SideBlob?> ReadBlobAsync(Commitment commitment, CancellationToken cancellationToken) => inner.ReadBlobAsync(commitment, cancellationToken);
    }
}
