using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Rynxs.Server.Metrics;

/// <summary>
/// Collects our instruments with a <see cref="MeterListener"/> and writes them in the Prometheus text format 0.0.4. Only meters whose name
/// starts with <c>Rynxs.</c> and that belong to this server (or to nobody) are taken; a metric keeps at most
/// <see cref="MaxSeries"/> label sets, what is beyond is counted in <c>rynxs_metric_series_dropped_total</c>.
/// </summary>
internal sealed class PrometheusExporter : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";
    internal const int MaxSeries = 1000;

    private readonly ConcurrentDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);
    private readonly MeterListener _listener = new();
    private readonly Lock _scrape = new();
    private long _dropped;

    public PrometheusExporter(IMeterFactory meterFactory)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            bool ours = instrument.Meter.Name.StartsWith("Rynxs.", StringComparison.Ordinal)
                && (instrument.Meter.Scope is null || ReferenceEquals(instrument.Meter.Scope, meterFactory));
            if (ours && MetricFamily.TryCreate(instrument) is { } family)
            {
                listener.EnableMeasurementEvents(instrument, _families.GetOrAdd(family.Name, family));
            }
        };
        _listener.SetMeasurementEventCallback<byte>((_, value, tags, state) => Record(value, tags, state));
        _listener.SetMeasurementEventCallback<short>((_, value, tags, state) => Record(value, tags, state));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Record(value, tags, state));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Record(value, tags, state));
        _listener.SetMeasurementEventCallback<float>((_, value, tags, state) => Record(value, tags, state));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Record(value, tags, state));
        _listener.SetMeasurementEventCallback<decimal>((_, value, tags, state) => Record((double)value, tags, state));
        _listener.Start();
    }

    /// <summary>All metrics, families in ordinal order, series in ordinal order of their labels.</summary>
    public string Write()
    {
        var text = new StringBuilder(16 * 1024);
        lock (_scrape)
        {
            _listener.RecordObservableInstruments();
            foreach (MetricFamily family in _families.Values.OrderBy(family => family.Name, StringComparer.Ordinal))
            {
                family.WriteTo(text);
            }
        }

        text.Append("# HELP rynxs_metric_series_dropped_total Measurements of label sets beyond the bound of a metric.\n");
        text.Append("# TYPE rynxs_metric_series_dropped_total counter\n");
        text.Append(CultureInfo.InvariantCulture, $"rynxs_metric_series_dropped_total {Interlocked.Read(ref _dropped)}\n");
        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        if (state is MetricFamily family && !family.TryRecord(value, tags, MaxSeries))
        {
            Interlocked.Increment(ref _dropped);
        }
    }
}
