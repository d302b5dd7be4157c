using System.Diagnostics.Metrics;

namespace Rynxs.Server.Metrics;

/// <summary>
/// What the server counts. Names are those of the exported text; labels take values from closed sets only, never from callers. What
/// sandboxes do is counted by their runtime, under the documented <c>hardened_sandbox_*</c> names.
/// </summary>
internal sealed class ServerMetrics : IDisposable
{
    public const string MeterName = "Rynxs.Server";

    private static readonly double[] RequestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly Meter _meter;
    private readonly Counter<long> _requests;
    private readonly Histogram<double> _requestDuration;
    private readonly Counter<long> _denied;
    private readonly Counter<long> _rejected;

    public ServerMetrics(IMeterFactory meterFactory)
    {
        _meter = meterFactory.Create(MeterName);
        _requests = _meter.CreateCounter<long>("rynxs_http_requests_total", null, "HTTP requests, by method, route and status.");
        _requestDuration = _meter.CreateHistogram(
            "rynxs_http_request_duration_seconds", "s", "Time to answer an HTTP request.", tags: null, Advice(RequestBuckets));
        _denied = _meter.CreateCounter<long>("rynxs_requests_denied_total", null, "Requests refused by authentication or authorisation, by reason.");
        _rejected = _meter.CreateCounter<long>("rynxs_executions_rejected_total", null, "Executions that never started, by reason.");
    }

    /// <summary>Gauges read their value when they are scraped.</summary>
    public void Observe(Func<int> queuedExecutions, Func<int> agents, Func<long> ledgerHead)
    {
        _meter.CreateObservableGauge("rynxs_executions_queued", queuedExecutions, null, "Executions that wait for a place.");
        _meter.CreateObservableGauge("rynxs_agents_running", agents, null, "Agent loops of this process.");
        _meter.CreateObservableGauge("rynxs_ledger_control_head_seq", ledgerHead, null, "Sequence of the last committed record of the control chain.");
        string version = Hosting.RynxsServer.Version;
        _meter.CreateObservableGauge(
            "rynxs_build_info", () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", version)), null, "Always 1; the label names the version.");
    }

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
