using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Rynxs.Server.Metrics;

/// <summary>One metric with its series. Safe for concurrent use.</summary>
internal sealed class MetricFamily
{
    private static readonly double[] DefaultBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    private readonly ConcurrentDictionary<string, MetricSeries> _series = new(StringComparer.Ordinal);
    private readonly string _help;
    private readonly double[] _buckets;

    private MetricFamily(string name, string help, MetricKind kind, double[] buckets)
    {
        Name = name;
        _help = help;
        Kind = kind;
        _buckets = buckets;
    }

    public string Name { get; }
    public MetricKind Kind { get; }

    /// <summary>The family of an instrument; null for kinds that the format has no place for.</summary>
    public static MetricFamily? TryCreate(Instrument instrument)
    {
        Type type = instrument.GetType();
        Type? definition = type.IsGenericType ? type.GetGenericTypeDefinition() : null;
        MetricKind? kind = definition switch
        {
            _ when definition == typeof(Counter<>) => MetricKind.Counter,
            _ when definition == typeof(UpDownCounter<>) => MetricKind.UpDown,
            _ when definition == typeof(Histogram<>) => MetricKind.Histogram,
            _ when definition == typeof(ObservableCounter<>) => MetricKind.ObservedCounter,
            _ when definition == typeof(ObservableGauge<>) || definition == typeof(ObservableUpDownCounter<>) || definition == typeof(Gauge<>)
                => MetricKind.Gauge,
            _ => null,
        };
        if (kind is null)
        {
            return null;
        }

        double[] buckets = instrument is Histogram<double> { Advice.HistogramBucketBoundaries: { } boundaries } ? [.. boundaries] : DefaultBuckets;
        return new MetricFamily(NameOf(instrument, kind.Value), instrument.Description ?? instrument.Name, kind.Value, buckets);
    }

    /// <summary>Takes a measurement; false when it would make a label set too many.</summary>
    public bool TryRecord(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, int maxSeries)
    {
        string labels = PrometheusText.Labels(tags);
        if (!_series.TryGetValue(labels, out MetricSeries? series))
        {
            if (_series.Count >= maxSeries)
            {
                return false;
            }

            series = _series.GetOrAdd(labels, _ => new MetricSeries(Kind == MetricKind.Histogram ? _buckets : []));
        }

        series.Record(Kind, value);
        return true;
    }

    public void WriteTo(StringBuilder text)
    {
        text.Append("# HELP ").Append(Name).Append(' ').Append(PrometheusText.EscapeHelp(_help)).Append('\n');
        text.Append("# TYPE ").Append(Name).Append(' ').Append(Kind switch
        {
            MetricKind.Counter or MetricKind.ObservedCounter => "counter",
            MetricKind.Histogram => "histogram",
            _ => "gauge",
        }).Append('\n');
        foreach ((string labels, MetricSeries series) in _series.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (Kind == MetricKind.Histogram)
            {
                series.WriteHistogram(text, Name, labels, _buckets);
            }
            else
            {
                PrometheusText.Sample(text, Name, labels, series.Value);
            }
        }
    }

    // Our own instruments are named as exported; those of other parts may use dots, and counters may lack the suffix.
    private static string NameOf(Instrument instrument, MetricKind kind)
    {
        string name = PrometheusText.Sanitize(instrument.Name);
        bool counter = kind is MetricKind.Counter or MetricKind.ObservedCounter;
        return counter && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
    }
}

/// <summary>How measurements combine.</summary>
internal enum MetricKind
{
    /// <summary>Adds up.</summary>
    Counter,

    /// <summary>Adds up, both ways; exported as a gauge.</summary>
    UpDown,

    /// <summary>Each observation is the total.</summary>
    ObservedCounter,

    /// <summary>The last one counts.</summary>
    Gauge,
    Histogram,
}

/// <summary>The numbers of one label set.</summary>
internal sealed class MetricSeries(double[] buckets)
{
    private readonly Lock _gate = new();
    private readonly long[] _counts = new long[buckets.Length + 1];
    private double _value;
    private double _sum;

    public double Value
    {
        get
        {
            lock (_gate)
            {
                return _value;
            }
        }
    }

    public void Record(MetricKind kind, double value)
    {
        lock (_gate)
        {
            switch (kind)
            {
                case MetricKind.Counter or MetricKind.UpDown:
                    _value += value;
                    break;
                case MetricKind.Histogram:
                    int index = Array.FindIndex(buckets, bound => value <= bound);
                    _counts[index < 0 ? buckets.Length : index]++;
                    _sum += value;
                    break;
                default:
                    _value = value;
                    break;
            }
        }
    }

    public void WriteHistogram(StringBuilder text, string name, string labels, double[] bounds)
    {
        lock (_gate)
        {
            long cumulative = 0;
            for (int i = 0; i <= bounds.Length; i++)
            {
                cumulative += _counts[i];
                string bound = i == bounds.Length ? "+Inf" : bounds[i].ToString("R", CultureInfo.InvariantCulture);
                PrometheusText.Sample(text, name + "_bucket", labels.Length == 0 ? $"le=\"{bound}\"" : $"{labels},le=\"{bound}\"", cumulative);
            }

            PrometheusText.Sample(text, name + "_sum", labels, _sum);
            PrometheusText.Sample(text, name + "_count", labels, cumulative);
        }
    }
}
