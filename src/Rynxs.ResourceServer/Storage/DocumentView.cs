using System.Text.Json;

namespace Rynxs.ResourceServer.Storage;

/// <summary>What selectors ask of a document, read when it is asked for. Safe to share: at worst the same is read twice.</summary>
internal sealed class DocumentView(DocumentKey key, byte[] body)
{
    private static readonly IReadOnlyDictionary<string, string> NoLabels = new Dictionary<string, string>();
    private volatile IReadOnlyDictionary<string, string>? _labels;
    private volatile JsonDocument? _document;

    public DocumentKey Key => key;

    public byte[] Body => body;

    public IReadOnlyDictionary<string, string> Labels => _labels ??= ReadLabels();

    /// <summary>Value of a simple path such as <c>.spec.role</c> as text; empty when it is not there or no scalar.</summary>
    public string Field(string path)
    {
        JsonElement at = (_document ??= JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 512 })).RootElement;
        foreach (string step in path.Split('.', StringSplitOptions.RemoveEmptyEntries))
        {
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(step, out at))
                return "";
        }

        return at.ValueKind switch
        {
            JsonValueKind.String => at.GetString() ?? "",
            JsonValueKind.Number => at.GetRawText(),
            JsonValueKind.True => "true",
            JsonValueKind.False => "false",
            _ => "",
        };
    }

    /// <summary>metadata.labels, without parsing what follows.</summary>
    private IReadOnlyDictionary<string, string> ReadLabels()
    {
        Utf8JsonReader reader = new(body, new JsonReaderOptions { MaxDepth = 512 });
        if (!Find(ref reader, "metadata"u8) || !Find(ref reader, "labels"u8) || reader.TokenType != JsonTokenType.StartObject)
            return NoLabels;

        Dictionary<string, string> labels = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString() ?? "";
            reader.Read();
            if (reader.TokenType == JsonTokenType.String)
                labels[name] = reader.GetString() ?? "";
            else
                reader.Skip();
        }

        return labels;
    }

    /// <summary>Moves from before an object to the value of one of its members.</summary>
    private static bool Find(ref Utf8JsonReader reader, ReadOnlySpan<byte> name)
    {
        if (reader.TokenType == JsonTokenType.None)
            reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            return false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool found = reader.ValueTextEquals(name);
            reader.Read();
            if (found)
                return true;
            reader.Skip();
        }

        return false;
    }
}
