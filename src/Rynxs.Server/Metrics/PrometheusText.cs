using System.Globalization;
using System.Text;

namespace Rynxs.Server.Metrics;

/// <summary>The lexical rules of the text format 0.0.4.</summary>
internal static class PrometheusText
{
    private const int MaxLabelValue = 200;

    /// <summary>A metric or label name: anything else becomes an underscore.</summary>
    public static string Sanitize(string name)
    {
        var result = new StringBuilder(name.Length);
        foreach (char c in name)
        {
            bool valid = char.IsAsciiLetter(c) || c == '_' || c == ':' || (char.IsAsciiDigit(c) && result.Length > 0);
            result.Append(valid ? c : '_');
        }

        return result.Length == 0 ? "_" : result.ToString();
    }

    /// <summary>The text between the braces, labels in ordinal order of their names; empty without labels.</summary>
    public static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty)
        {
            return "";
        }

        var pairs = new List<(string Name, string Value)>(tags.Length);
        foreach ((string name, object? value) in tags)
        {
            pairs.Add((Sanitize(name).Replace(':', '_'), Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""));
        }

        return string.Join(',', pairs.DistinctBy(pair => pair.Name).OrderBy(pair => pair.Name, StringComparer.Ordinal)
            .Select(pair => $"{pair.Name}=\"{EscapeValue(pair.Value)}\""));
    }

    public static string EscapeHelp(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    public static void Sample(StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0)
        {
            text.Append('{').Append(labels).Append('}');
        }

        text.Append(' ').Append(value switch
        {
            double.PositiveInfinity => "+Inf",
            double.NegativeInfinity => "-Inf",
            _ => value.ToString("R", CultureInfo.InvariantCulture),
        }).Append('\n');
    }

    private static string EscapeValue(string value)
    {
        string bounded = value.Length <= MaxLabelValue ? value : value[..MaxLabelValue];
        return bounded.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
    }
}
