using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Removes what a schema does not know.</summary>
public static class SchemaPruner
{
    /// <summary>
    /// Mutates <paramref name="document"/>; answers the dropped paths in the real server's form, such as <c>spec.list[0].bar</c>, sorted.
    /// A value of another type than the schema's is left for the validator.
    /// </summary>
    public static IReadOnlyList<string> Prune(JsonObject document, StructuralSchema schema)
    {
        List<string> dropped = [];
        Walk(document, schema, "", dropped);
        dropped.Sort(StringComparer.Ordinal);
        return dropped;
    }

    private static void Walk(JsonNode? node, StructuralSchema schema, string path, List<string> dropped)
    {
        switch (node)
        {
            case JsonObject map:
                WalkMap(map, schema, path, dropped);
                break;
            case JsonArray list when schema.Items is { } items:
                if (IsLeaf(items))
                    return;
                for (int i = 0; i < list.Count; i++)
                    Walk(list[i], items, FieldPaths.Index(path, i), dropped);
                break;
        }
    }

    private static void WalkMap(JsonObject map, StructuralSchema schema, string path, List<string> dropped)
    {
        List<string>? unknown = null;
        foreach ((string name, JsonNode? value) in map)
        {
            if (schema.Properties.TryGetValue(name, out StructuralSchema? property))
            {
                if (!IsLeaf(property))
                    Walk(value, property, FieldPaths.Child(path, name), dropped);
            }
            else if (schema.EmbeddedResource && name is "apiVersion" or "kind" or "metadata")
            {
                if (name == "metadata")
                    Walk(value, ObjectMetaSchema.Schema, FieldPaths.Child(path, name), dropped);
            }
            else if (schema.AdditionalProperties is { } others)
            {
                if (!IsLeaf(others))
                    Walk(value, others, FieldPaths.Child(path, name), dropped);
            }
            else if (!schema.PreserveUnknownFields)
            {
                (unknown ??= []).Add(name);
            }
        }

        if (unknown is null)
            return;
        foreach (string name in unknown)
        {
            map.Remove(name);
            dropped.Add(FieldPaths.Child(path, name));
        }
    }

    /// <summary>Scalars hold nothing to prune: an object in such a place has the wrong type, which the validator tells.</summary>
    private static bool IsLeaf(StructuralSchema schema) =>
        schema.Type is SchemaType.String or SchemaType.Boolean or SchemaType.Integer or SchemaType.Number or SchemaType.IntOrString
        || schema.PreserveUnknownFields && schema.Properties.Count == 0 && schema.AdditionalProperties is null && schema.Items is null && !schema.EmbeddedResource;
}
