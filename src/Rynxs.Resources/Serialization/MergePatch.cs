using System.Text.Json;
using System.Text.Json.Nodes;

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

    /// <summary>
    /// The patched document, as the Kubernetes API server patches: that of the RFC, and nulls in objects inside of lists remove as well. Neither
    /// argument is changed.
    /// </summary>
    /// <exception cref="JsonException">A document deeper than 256 levels.</exception>
    public static JsonObject Apply(JsonObject target, JsonObject patch)
    {
        JsonObject cleaned = patch.DeepClone().AsObject();
        RemoveNullsInLists(cleaned, inList: false);
        JsonElement patched = Apply(ToElement(target), ToElement(cleaned));
        return JsonObject.Create(patched) ?? throw new JsonException("a patched object is an object");
    }

    private static void RemoveNullsInLists(JsonNode? node, bool inList)
    {
        if (node is JsonArray list)
        {
            foreach (JsonNode? item in list)
                RemoveNullsInLists(item, inList: true);
        }
        else if (node is JsonObject members)
        {
            foreach ((string name, JsonNode? value) in members.ToArray())
            {
                if (value is null && inList)
                    members.Remove(name);
                else
                    RemoveNullsInLists(value, inList);
            }
        }
    }

    private static JsonElement ToElement(JsonObject document)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
            document.WriteTo(writer);
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
