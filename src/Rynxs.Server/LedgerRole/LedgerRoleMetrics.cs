using System.Diagnostics.Metrics;

namespace Rynxs.Server.LedgerRole;

/// <summary>How an append ended, as a label.</summary>
internal enum AppendOutcome
{
    /// <summary>Recorded.</summary>
    Ok,

    /// <summary>429: too much is in work.</summary>
    Busy,

    /// <summary>422 or 400: the role will never take it.</summary>
    Refused,

    /// <summary>409: the writer's epoch is not the chain's.</summary>
    EpochChanged,

    /// <summary>503 or 507: the store cannot be written.</summary>
    Unavailable,
}

/// <summary>What the role counts; <c>/metrics</c> needs a token like everything else.</summary>
internal sealed class LedgerRoleMetrics : IDisposable
{
    private static readonly double[] Buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly Meter _meter;
    private readonly Counter<long> _appends;
    private readonly Counter<long> _entries;
    private readonly Counter<long> _claims;
    private readonly Counter<long> _fencings;
    private readonly Histogram<double> _duration;
    private long _inWork;
    private long _inWorkBytes;
    private volatile bool _unavailable;

    public LedgerRoleMetrics(IMeterFactory meters, RoleChains chains)
    {
        _meter = meters.Create("Rynxs.LedgerRole");
        _appends = _meter.CreateCounter<long>("rynxs_ledger_role_appends_total", null, "Requests to append, by how they ended.");
        _entries = _meter.CreateCounter<long>("rynxs_ledger_role_entries_total", null, "Entries that were answered as recorded; one that was sent again counts again.");
        _claims = _meter.CreateCounter<long>("rynxs_ledger_role_claims_total", null, "Chains that a writer claimed.");
        _fencings = _meter.CreateCounter<long>("rynxs_ledger_role_fenced_total", null, "Writers that were refused because another one has their chain.");
        _duration = _meter.CreateHistogram(
            "rynxs_ledger_role_append_duration_seconds", "s", "Time to record an append.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = Buckets });
        _meter.CreateObservableGauge("rynxs_ledger_role_appends_in_work", () => Interlocked.Read(ref _inWork), null, "Appends in work.");
        _meter.CreateObservableGauge("rynxs_ledger_role_append_bytes_in_work", () => Interlocked.Read(ref _inWorkBytes), "By", "Bytes of append bodies in work.");
        _meter.CreateObservableGauge("rynxs_ledger_role_deposed", () => chains.IsDeposed ? 1 : 0, null, "1 once another process has taken the store over.");
        _meter.CreateObservableGauge("rynxs_ledger_role_writable", () => _unavailable ? 0 : 1, null, "0 while the last append or claim failed for the store's sake.");
    }

    /// <summary>Lets a body in unless too much is in work.</summary>
    public bool TryEnter(long bytes, int maxAppends, long maxBytes)
    {
        if (Interlocked.Increment(ref _inWork) <= maxAppends)
        {
            if (Interlocked.Add(ref _inWorkBytes, bytes) <= maxBytes)
            {
                return true;
            }

            Interlocked.Add(ref _inWorkBytes, -bytes);
        }

        Interlocked.Decrement(ref _inWork);
        return false;
    }

    public void Leave(long bytes)
    {
        Interlocked.Decrement(ref _inWork);
        Interlocked.Add(ref _inWorkBytes, -bytes);
    }

    public void Appended(AppendOutcome outcome, int entries, TimeSpan duration)
    {
        _appends.Add(1, new KeyValuePair<string, object?>("outcome", NameOf(outcome)));
        if (outcome == AppendOutcome.Ok)
        {
            _entries.Add(entries);
            _duration.Record(duration.TotalSeconds);
        }

        _unavailable = outcome == AppendOutcome.Unavailable || (_unavailable && outcome != AppendOutcome.Ok);
    }

    public void Claimed() => _claims.Add(1);

    public void Fenced() => _fencings.Add(1);

    public void Dispose() => _meter.Dispose();

    private static string NameOf(AppendOutcome outcome) => outcome switch
    {
        AppendOutcome.Ok => "ok",
        AppendOutcome.Busy => "busy",
        AppendOutcome.Refused => "refused",
        AppendOutcome.EpochChanged => "epoch_changed",
        _ => "unavailable",
    };
}
