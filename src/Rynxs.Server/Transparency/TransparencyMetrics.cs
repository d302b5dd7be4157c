using System.Diagnostics.Metrics;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Witnessing;

namespace Rynxs.Server.Transparency;

/// <summary>Checkpoints, witnesses and alarms as metrics; the alerts over them are in docs/operations/evidence.md.</summary>
internal sealed class TransparencyMetrics : IDisposable
{
    public const string MeterName = "Rynxs.Transparency";

    private static readonly WitnessOutcome[] Outcomes = Enum.GetValues<WitnessOutcome>();

    private readonly Meter _meter;
    private readonly HashSet<string> _seen = []; // The exporter reads one at a time.

    public TransparencyMetrics(IMeterFactory meters, CheckpointPublisher publisher)
    {
        _meter = meters.Create(MeterName);
        _meter.CreateObservableGauge("rynxs_ledger_alarms", () => publisher.Log.Status.Alarms.Count, null, "Chains that are no longer what was signed of them.");
        _meter.CreateObservableGauge("rynxs_ledger_uncovered_records", () => publisher.Log.Uncovered, null, "Records that no checkpoint or anchor covers yet.");
        _meter.CreateObservableGauge("rynxs_checkpoint_size", () => publisher.Log.Status.Checkpoint?.Size ?? 0, null, "Records of the control chain under the last checkpoint.");
        _meter.CreateObservableGauge(
            "rynxs_checkpoint_timestamp_seconds", () => publisher.Log.Status.PublishedAt?.ToUnixTimeSeconds() ?? 0, "s",
            "When this process published its last checkpoint, seconds since 1970; 0 before the first.");
        _meter.CreateObservableCounter("rynxs_checkpoint_failures_total", () => publisher.State.Failures, null, "Checkpoints that could not be published.");
        _meter.CreateObservableGauge("rynxs_checkpoint_failing", () => publisher.State.Problem is null ? 0 : 1, null, "1 while the last attempt to publish failed.");
        _meter.CreateObservableGauge(
            "rynxs_ledger_settings_failing", () => publisher.State.SettingsProblem is null ? 0 : 1, null, "1 while changed keys or a changed witness policy cannot be taken.");
        _meter.CreateObservableGauge("rynxs_witness_quorum_met", () => publisher.Log.Status.QuorumMet ? 1 : 0, null, "1 while enough witnesses cosigned the last checkpoint.");
        _meter.CreateObservableGauge("rynxs_witness_outcome", () => Witnesses(publisher.Log.Status), null, "1 for how asking a witness ended last.");
    }

    public void Dispose() => _meter.Dispose();

    /// <summary>
    /// As labels: names of witnesses come from the operator's policy, outcomes from a closed set. A witness that is asked no more is told as zeros, because the
    /// exporter keeps the last value of a series.
    /// </summary>
    private IEnumerable<Measurement<int>> Witnesses(TransparencyStatus status)
    {
        _seen.UnionWith(status.Witnesses.Select(witness => witness.Witness));
        return _seen.SelectMany(name => Outcomes.Select(outcome => new Measurement<int>(
            status.Witnesses.Any(witness => witness.Witness == name && witness.Outcome == outcome) ? 1 : 0,
            new KeyValuePair<string, object?>("witness", name),
            new KeyValuePair<string, object?>("outcome", TransparencyEndpoints.NameOf(outcome)))));
    }
}
