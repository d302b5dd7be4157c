using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.Gateway.Inference.Wire;

/// <summary>Reads loose JSON of callers and upstreams: what has another type than it should is absent, never an exception.</summary>
internal static class JsonFields
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 64 };
    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>An object; duplicate members are refused, since two readers of the text could take different ones (C9).</summary>
    /// <exception cref="JsonException">It is none.</exception>
    public static JsonObject ParseObject(ReadOnlySpan<byte> json) =>
        JsonNode.Parse(json, nodeOptions: null, Strict) as JsonObject ?? throw new JsonException("Not an object.");

    /// <summary>UTF-8 of a node.</summary>
    public static byte[] Utf8(JsonNode node)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream, Plain))
        {
            node.WriteTo(writer);
        }

        return stream.ToArray();
    }

    /// <summary>Compact text of a node.</summary>
    public static string Text(JsonNode? node) => node is null ? "null" : System.Text.Encoding.UTF8.GetString(Utf8(node));

    public static string? String(this JsonNode? node, string name) => node is JsonObject value && value[name] is JsonValue text && text.TryGetValue(out string? found) ? found : null;

    public static string? AsText(this JsonNode? node) => node is JsonValue text && text.TryGetValue(out string? found) ? found : null;

    public static long? Long(this JsonNode? node, string name) =>
        node is JsonObject value && value[name] is JsonValue number ? number.TryGetValue(out long found) ? found : number.TryGetValue(out double real) && real is > -1e15 and < 1e15 ? (long)real : null : null;

    public static double? Double(this JsonNode? node, string name) => node is JsonObject value && value[name] is JsonValue number && number.TryGetValue(out double found) ? found : null;

    public static bool? Bool(this JsonNode? node, string name) => node is JsonObject value && value[name] is JsonValue flag && flag.TryGetValue(out bool found) ? found : null;

    public static JsonObject? Object(this JsonNode? node, string name) => (node as JsonObject)?[name] as JsonObject;

    public static JsonArray? Array(this JsonNode? node, string name) => (node as JsonObject)?[name] as JsonArray;

    public static bool Has(this JsonNode? node, string name) => node is JsonObject value && value[name] is not null;
}
