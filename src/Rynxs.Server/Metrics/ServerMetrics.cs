using System.Diagnostics.Metrics;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Server.Metrics;

/// <summary>
/// What the server counts. Names are those of the exported text; labels take values from closed sets only, never from callers. The
/// <c>hardened_sandbox_*</c> names are the documented ones of the hardened sandbox API.
/// </summary>
internal sealed class ServerMetrics : IDisposable
{
    public const string MeterName = "Rynxs.Server";

    /// <summary>Seconds; programs may run for 600.</summary>
    private static readonly double[] DurationBuckets = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
    private static readonly double[] ColdStartBuckets = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60];
    private static readonly double[] RequestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly Meter _meter;
    private readonly Counter<long> _executions;
    private readonly Histogram<double> _executionDuration;
    private readonly Counter<long> _violations;
    private readonly Counter<long> _escapeAttempts;
    private readonly Histogram<double> _coldStart;
    private readonly Counter<long> _requests;
    private readonly Histogram<double> _requestDuration;
    private readonly Counter<long> _denied;
    private readonly Counter<long> _rejected;

    public ServerMetrics(IMeterFactory meterFactory)
    {
        _meter = meterFactory.Create(MeterName);
        _executions = _meter.CreateCounter<long>("hardened_sandbox_executions_total", null, "Programs that the execute API ran, by runtime and result.");
        _executionDuration = _meter.CreateHistogram(
            "hardened_sandbox_execution_duration_seconds", "s", "Run time of programs.", tags: null, Advice(DurationBuckets));
        _violations = _meter.CreateCounter<long>("hardened_sandbox_violations_total", null, "Security violations, by type and severity.");
        _escapeAttempts = _meter.CreateCounter<long>("hardened_sandbox_escape_attempts_total", null, "Violations of severity high or critical, by pattern.");
        _coldStart = _meter.CreateHistogram(
            "hardened_sandbox_cold_start_duration_seconds", "s", "From the request for a sandbox to its being ready.", tags: null, Advice(ColdStartBuckets));
        _requests = _meter.CreateCounter<long>("rynxs_http_requests_total", null, "HTTP requests, by method, route and status.");
        _requestDuration = _meter.CreateHistogram(
            "rynxs_http_request_duration_seconds", "s", "Time to answer an HTTP request.", tags: null, Advice(RequestBuckets));
        _denied = _meter.CreateCounter<long>("rynxs_requests_denied_total", null, "Requests refused by authentication or authorisation, by reason.");
        _rejected = _meter.CreateCounter<long>("rynxs_executions_rejected_total", null, "Executions that never started, by reason.");
    }

    /// <summary>Gauges read their value when they are scraped.</summary>
    public void Observe(Func<int> activeSandboxes, Func<int> queuedExecutions, Func<int> agents, Func<long> ledgerHead)
    {
        _meter.CreateObservableGauge("active_hardened_sandboxes_count", activeSandboxes, null, "Sandboxes that are alive.");
        _meter.CreateObservableGauge("rynxs_executions_queued", queuedExecutions, null, "Executions that wait for a place.");
        _meter.CreateObservableGauge("rynxs_agents_running", agents, null, "Agent loops of this process.");
        _meter.CreateObservableGauge("rynxs_ledger_control_head_seq", ledgerHead, null, "Sequence of the last committed record of the control chain.");
        string version = Hosting.RynxsServer.Version;
        _meter.CreateObservableGauge(
            "rynxs_build_info", () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", version)), null, "Always 1; the label names the version.");
    }

    public void ExecutionEnded(string runtime, TerminationReason reason, TimeSpan duration, IReadOnlyList<Violation> violations)
    {
        string result = reason == TerminationReason.Completed ? "success" : "failure";
        _executions.Add(1, Tag("runtime", runtime), Tag("result", result), Tag("termination_reason", WireNames.Of(reason)));
        _executionDuration.Record(duration.TotalSeconds, Tag("runtime", runtime), Tag("result", result));
        foreach (Violation violation in violations)
        {
            // A violation type is the name of a rule of ours, not text of the guest.
            _violations.Add(
                1, Tag("type", violation.ViolationType), Tag("severity", WireNames.Of(violation.Severity)),
                Tag("detection_layer", WireNames.Of(violation.DetectionLayer)));
            if (violation.Severity >= Severity.High)
            {
                _escapeAttempts.Add(
                    1, Tag("pattern", violation.ViolationType), Tag("runtime", runtime), Tag("blocked", violation.Blocked ? "true" : "false"));
            }
        }
    }

    public void ColdStarted(string runtime, TimeSpan duration) => _coldStart.Record(duration.TotalSeconds, Tag("runtime", runtime));

    public void RequestEnded(string method, string route, int status, TimeSpan duration)
    {
        _requests.Add(1, Tag("method", method), Tag("route", route), Tag("status", status.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        _requestDuration.Record(duration.TotalSeconds, Tag("method", method), Tag("route", route));
    }

    public void RequestDenied(string reason) => _denied.Add(1, Tag("reason", reason));

    public void ExecutionRejected(string reason) => _rejected.Add(1, Tag("reason", reason));

    public void Dispose() => _meter.Dispose();

    private static InstrumentAdvice<double> Advice(double[] buckets) => new() { HistogramBucketBoundaries = buckets };

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}
