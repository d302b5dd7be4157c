using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Fills in defaults.</summary>
public static class SchemaDefaulter
{
    /// <summary>
    /// Mutates <paramref name="document"/>: absent fields take their defaults, and so do nulls where the schema allows none; nulls without a default
    /// that are not allowed go. Defaults may hold objects whose own fields have defaults.
    /// </summary>
    public static void Default(JsonObject document, StructuralSchema schema) => Walk(document, schema);

    private static void Walk(JsonNode? node, StructuralSchema schema)
    {
        switch (node)
        {
            case JsonObject map:
                foreach ((string name, StructuralSchema property) in schema.Properties)
                {
                    if (!map.TryGetPropertyValue(name, out JsonNode? value))
                    {
                        if (property.Default is not null)
                            map[name] = value = property.Default.DeepClone();
                    }
                    else if (value is null && !property.Nullable)
                    {
                        if (property.Default is null)
                            map.Remove(name);
                        else
                            map[name] = value = property.Default.DeepClone();
                    }

                    Walk(value, property);
                }

                if (schema.AdditionalProperties is { } others)
                    WalkOthers(map, schema, others);
                break;
            case JsonArray list when schema.Items is { } items:
                for (int i = 0; i < list.Count; i++)
                {
                    if (list[i] is null && !items.Nullable && items.Default is not null)
                        list[i] = items.Default.DeepClone();
                    Walk(list[i], items);
                }

                break;
        }
    }

    private static void WalkOthers(JsonObject map, StructuralSchema schema, StructuralSchema others)
    {
        foreach ((string name, JsonNode? value) in map.ToArray())
        {
            if (schema.Properties.ContainsKey(name))
                continue;
            if (value is not null || others.Nullable)
                Walk(value, others);
            else if (others.Default is null)
                map.Remove(name);
            else
                Walk(map[name] = others.Default.DeepClone(), others);
        }
    }
}
