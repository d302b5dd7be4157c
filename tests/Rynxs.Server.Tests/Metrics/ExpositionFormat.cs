using System.Globalization;
using System.Text.RegularExpressions;

namespace Rynxs.Server.Tests.Metrics;

/// <summary>
/// A strict reader of the Prometheus text format 0.0.4, written from its specification and not from our writer: names, label syntax and
/// escapes, one HELP and TYPE per family before its samples, no repeated series, histograms complete and cumulative.
/// </summary>
public static partial class ExpositionFormat
{
    public static IReadOnlyDictionary<string, double> Parse(string text)
    {
        text.ShouldEndWith("\n");
        var samples = new Dictionary<string, double>(StringComparer.Ordinal);
        var types = new Dictionary<string, string>(StringComparer.Ordinal);
        string current = "";
        foreach (string line in text[..^1].Split('\n'))
        {
            if (HelpLine().Match(line) is { Success: true })
            {
                continue;
            }

            if (TypeLine().Match(line) is { Success: true } type)
            {
                current = type.Groups[1].Value;
                types.TryAdd(current, type.Groups[2].Value).ShouldBeTrue($"a second TYPE of {current}");
                continue;
            }

            Match sample = SampleLine().Match(line);
            sample.Success.ShouldBeTrue($"not a sample: {line}");
            string name = sample.Groups["name"].Value;
            bool belongs = types[current] == "histogram"
                ? name == current + "_bucket" || name == current + "_sum" || name == current + "_count"
                : name == current;
            belongs.ShouldBeTrue($"{name} stands under {current}");
            samples.TryAdd(name + sample.Groups["labels"].Value, Value(sample.Groups["value"].Value)).ShouldBeTrue($"repeated series: {line}");
        }

        foreach (string histogram in types.Where(type => type.Value == "histogram").Select(type => type.Key))
        {
            CheckHistogram(histogram, samples);
        }

        return samples;
    }

    private static void CheckHistogram(string name, Dictionary<string, double> samples)
    {
        foreach ((string series, double count) in samples.Where(sample => sample.Key.StartsWith(name + "_count", StringComparison.Ordinal)))
        {
            string labels = series[(name + "_count").Length..].Trim('{', '}');
            double[] buckets = [.. samples.Where(sample => sample.Key.StartsWith(name + "_bucket", StringComparison.Ordinal)
                && Bound().Replace(sample.Key[(name + "_bucket").Length..].Trim('{', '}'), "").TrimEnd(',') == labels).Select(sample => sample.Value)];
            buckets.Length.ShouldBeGreaterThan(1, name);
            buckets.SequenceEqual(buckets.Order()).ShouldBeTrue($"{name} is cumulative");
            buckets[^1].ShouldBe(count, $"{name}: +Inf equals the count");
        }
    }

    private static double Value(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture),
    };

    [GeneratedRegex("^# HELP [a-zA-Z_:][a-zA-Z0-9_:]* ([^\\\\]|\\\\\\\\|\\\\n)*$")]
    private static partial Regex HelpLine();

    [GeneratedRegex("^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$")]
    private static partial Regex TypeLine();

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?<labels>\{[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\\\|\\"|\\n)*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\\\|\\"|\\n)*")*\})? (?<value>[+-]Inf|NaN|[-+0-9.eE]+)$""")]
    private static partial Regex SampleLine();

    [GeneratedRegex(",?le=\"[^\"]*\"")]
    private static partial Regex Bound();
}
