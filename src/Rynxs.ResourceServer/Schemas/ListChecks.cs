using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Lists that are sets or maps hold nothing twice.</summary>
internal static class ListChecks
{
    public static void Check(JsonNode? node, JsonNode? old, StructuralSchema schema, string path, List<StatusCause> causes)
    {
        if (causes.Count > SchemaValidator.MaxCauses)
            return;
        switch (node)
        {
            case JsonObject map:
                foreach ((string name, JsonNode? value) in map)
                {
                    if (value is not (JsonObject or JsonArray))
                        continue;
                    StructuralSchema? child = schema.Properties.GetValueOrDefault(name) ?? schema.AdditionalProperties;
                    if (child is not null)
                        Check(value, SchemaValidator.Counterpart(old, name), child, FieldPaths.Child(path, name), causes);
                }

                break;
            case JsonArray list when schema.Items is { } items:
                int before = causes.Count;
                if (schema.ListType == ListType.Set)
                    CheckSet(list, path, causes);
                else if (schema.ListType == ListType.Map)
                    CheckMap(list, schema, items, path, causes);

                // An update that leaves a bad list as it was is not refused for it.
                if (causes.Count > before && old is not null && JsonNode.DeepEquals(list, old))
                    causes.RemoveRange(before, causes.Count - before);
                for (int i = 0; i < list.Count; i++)
                {
                    if (list[i] is JsonObject or JsonArray)
                        Check(list[i], null, items, FieldPaths.Index(path, i), causes);
                }

                break;
        }
    }

    /// <summary>The values of an item's keys, absent ones by default, as JSON with sorted keys.</summary>
    public static string KeyOf(JsonObject item, IReadOnlyList<string> keys, StructuralSchema schema) => JsonScalars.Canonical(KeyObject(item, keys, schema));

    private static JsonObject KeyObject(JsonObject item, IReadOnlyList<string> keys, StructuralSchema schema)
    {
        JsonObject key = [];
        foreach (string name in keys)
        {
            if (item.TryGetPropertyValue(name, out JsonNode? value) && value is not null)
                key[name] = value.DeepClone();
            else if (schema.Properties.GetValueOrDefault(name)?.Default is { } substitute)
                key[name] = substitute.DeepClone();
        }

        return key;
    }

    private static void CheckSet(JsonArray list, string path, List<StatusCause> causes)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        HashSet<string> told = new(StringComparer.Ordinal);
        for (int i = 0; i < list.Count; i++)
        {
            string value = JsonScalars.Canonical(list[i]);
            if (!seen.Add(value) && told.Add(value))
                causes.Add(new StatusCause(CauseReasons.Duplicate, $"Duplicate value: {value}", FieldPaths.Index(path, i)));
        }
    }

    private static void CheckMap(JsonArray list, StructuralSchema schema, StructuralSchema items, string path, List<StatusCause> causes)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        HashSet<string> told = new(StringComparer.Ordinal);
        for (int i = 0; i < list.Count; i++)
        {
            if (list[i] is not JsonObject item)
                continue;
            string key = KeyOf(item, schema.ListMapKeys, items);
            if (!seen.Add(key) && told.Add(key))
                causes.Add(new StatusCause(CauseReasons.Duplicate, $"Duplicate value: {key}", FieldPaths.Index(path, i)));
        }
    }
}
