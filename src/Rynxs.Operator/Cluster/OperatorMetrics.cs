using System.Diagnostics.Metrics;
using Rynxs.Kubernetes.Leases;

namespace Rynxs.Operator.Cluster;

/// <summary>Measurements of the operator, under the names of the original: its alerts read them.</summary>
internal sealed class OperatorMetrics : IDisposable
{
    public const string MeterName = "Rynxs.Operator";

    private readonly Meter _meter;
    private readonly Histogram<double> _reconcile;
    private readonly Histogram<double> _replay;
    private readonly Counter<long> _transitions;
    private readonly Counter<long> _failures;

    /// <param name="factory">Makes the meter.</param>
    /// <param name="isLeader">Asked at each collection: it turns false by itself when the lease is not renewed.</param>
    public OperatorMetrics(IMeterFactory factory, Func<bool> isLeader)
    {
        _meter = factory.Create(MeterName);
        _reconcile = _meter.CreateHistogram<double>(
            "rynxs_reconcile_duration_seconds", "s", "One pass over one agent.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [.01, .05, .1, .5, 1, 5, 10, 30, 60] });
        _replay = _meter.CreateHistogram<double>(
            "rynxs_replay_duration_seconds", "s", "Reading the control chain at the begin of a term.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [.1, .5, 1, 5, 10, 30, 60, 120] });
        _transitions = _meter.CreateCounter<long>("rynxs_leader_transitions_total", description: "Leadership acquired and lost.");
        _failures = _meter.CreateCounter<long>("rynxs_leader_election_failures_total", description: "Terms that ended otherwise than by a stop.");
        _meter.CreateObservableGauge("rynxs_leader_election_status", () => isLeader() ? 1 : 0, description: "1 while this process leads.");
    }

    public void Reconciled(TimeSpan took) => _reconcile.Record(took.TotalSeconds);

    public void Replayed(TimeSpan took) => _replay.Record(took.TotalSeconds);

    /// <summary>Leadership was acquired (null) or lost.</summary>
    public void LeadershipChanged(LeadershipEnd? end)
    {
        _transitions.Add(1, new KeyValuePair<string, object?>("event", end is null ? "acquired" : "lost"));
        if (end is LeadershipEnd.RenewalFailed or LeadershipEnd.TakenOver)
        {
            _failures.Add(1, new KeyValuePair<string, object?>("reason", end == LeadershipEnd.TakenOver ? "taken_over" : "renewal_failed"));
        }
    }

    public void Dispose() => _meter.Dispose();
}
