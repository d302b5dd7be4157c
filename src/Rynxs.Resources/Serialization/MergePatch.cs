using System.Text.Json;

namespace Rynxs.Resources.Serialization;

/// <summary>JSON merge patch, RFC 7396: null removes, objects merge, anything else replaces.</summary>
public static class MergePatch
{
    /// <summary>The patched document. Recursion is bounded by the depth of <paramref name="patch"/>, which its parser bounds.</summary>
    public static JsonElement Apply(JsonElement target, JsonElement patch)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
            Write(writer, target, patch);
        Utf8JsonReader reader = new(stream.GetBuffer().AsSpan(0, (int)stream.Length), new JsonReaderOptions { MaxDepth = 256 });
        return JsonElement.ParseValue(ref reader);
    }

    private static void Write(Utf8JsonWriter writer, JsonElement? target, JsonElement patch)
    {
        if (patch.ValueKind != JsonValueKind.Object)
        {
            patch.WriteTo(writer);
            return;
        }

        HashSet<string> written = [];
        writer.WriteStartObject();
        if (target is { ValueKind: JsonValueKind.Object } members)
        {
            foreach (JsonProperty member in members.EnumerateObject())
            {
                if (!written.Add(member.Name))
                    continue;
                if (!patch.TryGetProperty(member.Name, out JsonElement change))
                {
                    member.WriteTo(writer);
                }
                else if (change.ValueKind != JsonValueKind.Null)
                {
                    writer.WritePropertyName(member.Name);
                    Write(writer, member.Value, change);
                }
            }
        }

        foreach (JsonProperty member in patch.EnumerateObject())
        {
            if (!written.Add(member.Name) || !patch.TryGetProperty(member.Name, out JsonElement last) || last.ValueKind == JsonValueKind.Null)
                continue;
            writer.WritePropertyName(member.Name);
            Write(writer, null, last);
        }

        writer.WriteEndObject();
    }
}
