using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Rynxs.Resources.Crds;

/// <summary>Manifests as YAML in block style; texts that any reader of YAML might take for something else stand in double quotation marks.</summary>
internal static partial class YamlWriter
{
    /// <summary>A document, with a line break at its end.</summary>
    public static string Write(JsonObject document)
    {
        StringBuilder text = new();
        Mapping(text, document, 0);
        return text.ToString();
    }

    private static void Mapping(StringBuilder text, JsonObject map, int indent, bool afterDash = false)
    {
        bool first = afterDash;
        foreach ((string key, JsonNode? value) in map)
        {
            if (!first)
                text.Append(' ', indent);
            first = false;
            text.Append(Scalar(key)).Append(':');
            Value(text, value, indent);
        }
    }

    private static void Value(StringBuilder text, JsonNode? value, int indent)
    {
        switch (value)
        {
            case JsonObject { Count: > 0 } map:
                text.Append('\n');
                Mapping(text, map, indent + 2);
                break;
            case JsonArray { Count: > 0 } list:
                text.Append('\n');
                foreach (JsonNode? item in list)
                {
                    text.Append(' ', indent).Append('-');
                    if (item is JsonObject { Count: > 0 } entry)
                    {
                        text.Append(' ');
                        Mapping(text, entry, indent + 2, afterDash: true);
                    }
                    else
                    {
                        Value(text, item, indent + 2);
                    }
                }

                break;
            default:
                text.Append(' ').Append(value switch
                {
                    null => "null",
                    JsonObject => "{}",
                    JsonArray => "[]",
                    JsonValue scalar when scalar.TryGetValue(out string? words) => Scalar(words),
                    _ => value.ToJsonString(),
                }).Append('\n');
                break;
        }
    }

    private static string Scalar(string text) => Plain().IsMatch(text) && !Word().IsMatch(text)
        ? text
        : $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("\n", "\\n", StringComparison.Ordinal).Replace("\t", "\\t", StringComparison.Ordinal)}\"";

    /// <summary>Texts without anything that YAML gives a meaning to, and that do not look like numbers or times.</summary>
    [GeneratedRegex(@"\A[A-Za-z_./][A-Za-z0-9_./ ,;()'-]*(?<! )\z")]
    private static partial Regex Plain();

    [GeneratedRegex(@"\A(y|n|yes|no|on|off|true|false|null|~|\..*inf|\.nan)\z", RegexOptions.IgnoreCase)]
    private static partial Regex Word();
}
