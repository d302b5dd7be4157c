using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Manifests;

/// <summary>
/// The documents of a YAML or JSON text as JSON, of whatever kind: what a client applies that knows nothing of kinds, and what a server is sent. The bounds and
/// the refused features are those of <see cref="ManifestReader"/>.
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
        if (TryJson(utf8.Span, limits) is { } json)
            return [.. Unlisted(json)];
        List<JsonObject> documents = [];
        foreach ((JsonNode document, int line) in Yaml(utf8.Span, limits.MaxStreamBytes, limits))
        {
            if (document is not JsonObject one)
                throw new FormatException($"line {line}: a manifest is a mapping with apiVersion, kind and metadata");
            documents.AddRange(Unlisted(one));
        }

        return documents;
    }

    /// <summary>The only document that is not empty, whatever it holds; JSON itself is YAML too.</summary>
    /// <param name="utf8">The text.</param>
    /// <param name="limits">Bounds.</param>
    /// <exception cref="FormatException">No YAML, over a bound, none or more than one document; the message names line and column.</exception>
    public static JsonNode ReadOne(ReadOnlySpan<byte> utf8, ManifestLimits limits)
    {
        List<(JsonNode Document, int Line)> documents = Yaml(utf8, limits.MaxDocumentBytes, limits);
        return documents switch
        {
            [(JsonNode one, _)] => one,
            [] => throw new FormatException("the text holds no document"),
            _ => throw new FormatException($"line {documents[1].Line}: one YAML document is due"),
        };
    }

    private static List<(JsonNode Document, int Line)> Yaml(ReadOnlySpan<byte> utf8, long maxBytes, ManifestLimits limits)
    {
        if (utf8.Length > maxBytes)
            throw new FormatException($"the text is {utf8.Length} bytes, at most {maxBytes} are allowed");
        if (utf8.StartsWith("\uFEFF"u8))
            utf8 = utf8[3..];
        try
        {
            JsonText.RequireUtf8(utf8);
            List<(JsonNode, int)> documents = [];
            foreach (TextNode root in new YamlText(Encoding.UTF8.GetString(utf8), limits).Documents())
            {
                if (Json(root) is { } document)
                    documents.Add((document, root.Line));
            }

            return documents;
        }
        catch (TextSyntaxException e)
        {
            throw new FormatException(e.Line > 0 ? $"line {e.Line}, column {e.Column}: {e.Error.Message}" : e.Error.Message, e);
        }
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
        TextNodeKind.Number => JsonNode.Parse(node.Text), // in JSON's own grammar, or the reader refused it
        TextNodeKind.String => JsonValue.Create(node.Text),
        TextNodeKind.Sequence => new JsonArray([.. node.Items.Select(Json)]),
        _ => new JsonObject(node.Members.Select(member => KeyValuePair.Create(member.Key, Json(member.Value)))),
    };
}
