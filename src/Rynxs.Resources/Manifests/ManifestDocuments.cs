using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Manifests;

/// <summary>
/// The documents of a YAML or JSON stream as JSON, of whatever kind: what a client needs that applies kinds it knows nothing of. The bounds and the refused
/// features are those of <see cref="ManifestReader"/>.
/// </summary>
public static class ManifestDocuments
{
    /// <summary>Every document that is not empty. A <c>List</c> counts as its items.</summary>
    /// <param name="utf8">The stream.</param>
    /// <param name="limits">Bounds; the defaults when null.</param>
    /// <exception cref="FormatException">It cannot be read; the message names line and column.</exception>
    public static IReadOnlyList<JsonObject> Read(ReadOnlyMemory<byte> utf8, ManifestLimits? limits = null)
    {
        limits ??= new ManifestLimits();
        if (utf8.Length > limits.MaxStreamBytes)
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"larger than {limits.MaxStreamBytes} bytes"));

        List<JsonObject> documents = [];
        try
        {
            if (TryJson(utf8.Span, limits) is { } json)
                return [.. Unlisted(json)];
            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(utf8.Span);
            foreach (TextNode document in new YamlText(text, limits).Documents())
            {
                if (document.Kind == TextNodeKind.Null)
                    continue;
                if (Json(document) is not JsonObject one)
                    throw new FormatException($"line {document.Line}: a manifest is a mapping with apiVersion, kind and metadata");
                documents.AddRange(Unlisted(one));
            }
        }
        catch (TextSyntaxException e)
        {
            throw new FormatException(e.Message, e);
        }
        catch (DecoderFallbackException e)
        {
            throw new FormatException("it is not UTF-8 text", e);
        }

        return documents;
    }

    /// <summary>Text that begins like a JSON object is JSON; when it is not, it may still be YAML in flow style.</summary>
    private static JsonObject? TryJson(ReadOnlySpan<byte> utf8, ManifestLimits limits)
    {
        int first = utf8.IndexOfAnyExcept(" \t\r\n"u8);
        if (first < 0 || utf8[first] != (byte)'{' || utf8.Length > limits.MaxDocumentBytes)
            return null;
        try
        {
            return JsonNode.Parse(utf8, nodeOptions: null, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = limits.MaxDepth }) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static IEnumerable<JsonObject> Unlisted(JsonObject document) =>
        document["kind"] is JsonValue kind && kind.TryGetValue(out string? name) && name == "List" && document["items"] is JsonArray items
            ? items.OfType<JsonObject>().Select(item => (JsonObject)item.DeepClone())
            : [document];

    private static JsonNode? Json(TextNode node) => node.Kind switch
    {
        TextNodeKind.Null => null,
        TextNodeKind.Boolean => JsonValue.Create(node.Text == "true"),
        TextNodeKind.Number => JsonNode.Parse(node.Text),
        TextNodeKind.String => JsonValue.Create(node.Text),
        TextNodeKind.Sequence => new JsonArray([.. node.Items.Select(Json)]),
        _ => new JsonObject(node.Members.Select(member => KeyValuePair.Create(member.Key, Json(member.Value)))),
    };
}
