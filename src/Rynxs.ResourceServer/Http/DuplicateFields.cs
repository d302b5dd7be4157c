using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Rynxs.ResourceServer.Http;

/// <summary>Fields that a JSON object gives twice: the protocol tells of them or refuses them, and the last one counts.</summary>
internal static class DuplicateFields
{
    private const int MaxTold = 100;

    /// <summary>Their paths, as <c>spec.list[0].field</c>. The reader is at the beginning and ends at the end of one value, with nothing behind it.</summary>
    /// <exception cref="JsonException">Not JSON.</exception>
    /// <exception cref="InvalidOperationException">A text holds half a surrogate pair.</exception>
    public static List<string> Find(ref Utf8JsonReader reader)
    {
        List<string> found = [];
        Stack<(HashSet<string>? Names, int Index)> open = new();
        List<string> path = [];
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject:
                    Enter(open, path);
                    open.Push(([], 0));
                    path.Add("");
                    break;
                case JsonTokenType.StartArray:
                    Enter(open, path);
                    open.Push((null, 0));
                    path.Add("");
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    open.Pop();
                    path.RemoveAt(path.Count - 1);
                    break;
                case JsonTokenType.PropertyName:
                    string name = reader.GetString() ?? "";
                    path[^1] = path.Count == 1 ? name : "." + name;
                    if (open.Peek().Names is { } names && !names.Add(name) && found.Count < MaxTold)
                        found.Add(string.Concat(path));
                    break;
                case JsonTokenType.String when reader.ValueIsEscaped:
                    Enter(open, path);
                    reader.GetString(); // throws for half a surrogate pair, which no UTF-8 can hold
                    break;
                default:
                    Enter(open, path);
                    break;
            }
        }

        return found;
    }

    /// <summary>The same text with the last of each.</summary>
    public static byte[] Remove(byte[] body, int maxDepth)
    {
        using JsonDocument document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = maxDepth });
        ArrayBufferWriter<byte> output = new(body.Length);
        using (Utf8JsonWriter writer = new(output, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = maxDepth }))
            Write(writer, document.RootElement);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>An item of an array begins: its index stands in the path.</summary>
    private static void Enter(Stack<(HashSet<string>? Names, int Index)> open, List<string> path)
    {
        if (!open.TryPeek(out (HashSet<string>? Names, int Index) parent) || parent.Names is not null)
            return;
        path[^1] = $"[{parent.Index}]";
        open.Pop();
        open.Push((null, parent.Index + 1));
    }

    private static void Write(Utf8JsonWriter writer, JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                Dictionary<string, JsonElement> last = [];
                foreach (JsonProperty property in element.EnumerateObject())
                    last[property.Name] = property.Value;
                foreach ((string name, JsonElement value) in last)
                {
                    writer.WritePropertyName(name);
                    Write(writer, value);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (JsonElement item in element.EnumerateArray())
                    Write(writer, item);
                writer.WriteEndArray();
                break;
            default:
                element.WriteTo(writer);
                break;
        }
    }
}
