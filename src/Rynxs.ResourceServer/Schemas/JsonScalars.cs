using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Reads scalars of documents, whichever way they came into the tree (parsed or made), as the real server's decoder sees them.</summary>
internal static class JsonScalars
{
    public static bool IsObject([NotNullWhen(true)] JsonNode? node) => node is JsonObject;

    public static string? Text(this JsonNode? node) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    public static bool? Flag(this JsonNode? node) =>
        node is JsonValue value
            ? value.GetValueKind() switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null }
            : null;

    /// <summary>A number in JSON's integer form, or one with a fraction of zero, within 64 bits.</summary>
    public static bool TryInteger(this JsonNode? node, out long result)
    {
        result = 0;
        if (node is not JsonValue value || value.GetValueKind() != JsonValueKind.Number)
            return false;
        if (value.TryGetValue(out result))
            return true;
        if (value.TryGetValue(out int small))
        {
            result = small;
            return true;
        }

        // The double of 2^63 is not a long: a plain cast would saturate.
        if (!TryNumber(node, out double number) || number != Math.Floor(number) || number is < -9223372036854775808d or >= 9223372036854775808d)
            return false;
        result = (long)number;
        return true;
    }

    public static bool TryNumber(this JsonNode? node, out double result)
    {
        result = 0;
        if (node is not JsonValue value || value.GetValueKind() != JsonValueKind.Number)
            return false;
        return value.TryGetValue(out result)
            || double.TryParse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out result);
    }

    /// <summary>A number in decimal digits alone and within 64 bits: what the real server keeps as an integer.</summary>
    public static bool IsIntegerLiteral(this JsonNode? node) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.Number
        && (value.TryGetValue(out long _) || value.TryGetValue(out int _));

    /// <summary>JSON with sorted keys: equal values have equal text.</summary>
    public static string Canonical(JsonNode? node)
    {
        StringBuilder text = new();
        WriteCanonical(text, node);
        return text.ToString();
    }

    private static void WriteCanonical(StringBuilder text, JsonNode? node)
    {
        switch (node)
        {
            case null:
                text.Append("null");
                break;
            case JsonObject map:
                text.Append('{');
                int count = 0;
                foreach ((string key, JsonNode? value) in map.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                {
                    if (count++ > 0)
                        text.Append(',');
                    text.Append(Quote(key)).Append(':');
                    WriteCanonical(text, value);
                }

                text.Append('}');
                break;
            case JsonArray list:
                text.Append('[');
                for (int i = 0; i < list.Count; i++)
                {
                    if (i > 0)
                        text.Append(',');
                    WriteCanonical(text, list[i]);
                }

                text.Append(']');
                break;
            default:
                text.Append(Scalar(node));
                break;
        }
    }

    /// <summary>A string in quotation marks as JSON, without escapes for HTML.</summary>
    public static string Quote(string text) => JsonValue.Create(text).ToJsonString(Relaxed);

    /// <summary>JSON text of a scalar; integral numbers as digits.</summary>
    public static string Scalar(JsonNode? node)
    {
        if (node is null)
            return "null";
        if (node.TryInteger(out long integer))
            return integer.ToString(CultureInfo.InvariantCulture);
        return node.TryNumber(out double number) ? number.ToString("R", CultureInfo.InvariantCulture) : node.ToJsonString(Relaxed);
    }

    private static readonly JsonSerializerOptions Relaxed = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        TypeInfoResolver = new System.Text.Json.Serialization.Metadata.DefaultJsonTypeInfoResolver(),
    };
}
