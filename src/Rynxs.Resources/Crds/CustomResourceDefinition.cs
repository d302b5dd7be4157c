using System.Text.Json.Nodes;
using System.Xml.Linq;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Crds;

/// <summary>The CustomResourceDefinition of a kind, made from its record.</summary>
internal static class CustomResourceDefinition
{
    private const string Group = "universe.ai";

    /// <summary>Fields whose places a CRD cannot select by in JSON, or that would be one too many: at most 8 are allowed.</summary>
    private const int MaxSelectable = 8;

    /// <summary>The manifest of <c>apiextensions.k8s.io/v1</c>.</summary>
    /// <param name="type">The kind.</param>
    /// <param name="documentation">The compiler's documentation file of this assembly.</param>
    public static JsonObject Of(ResourceType type, XDocument documentation)
    {
        XmlDocumentation words = new(documentation);
        SchemaWriter writer = new(words);
        JsonObject root = writer.Object(type.ClrType, withDefaults: true);
        root["description"] = words.Of(type.ClrType);
        if (root["properties"] is JsonObject properties)
        {
            Type status = type.ClrType.GetProperty("Status")?.PropertyType ?? throw new NotSupportedException($"{type.Kind} has no status.");
            JsonObject observed = writer.Object(status, withDefaults: false);
            observed["description"] = properties["status"]?["description"]?.DeepClone();
            properties["status"] = observed;
            properties["metadata"] = new JsonObject
            {
                ["type"] = "object",
                ["properties"] = new JsonObject
                {
                    ["name"] = new JsonObject { ["type"] = "string", ["maxLength"] = 63, ["pattern"] = SchemaPatterns.Name },
                },
            };
        }

        JsonObject version = new()
        {
            ["name"] = "v1alpha1",
            ["served"] = true,
            ["storage"] = true,
            ["subresources"] = new JsonObject { ["status"] = new JsonObject() },
            ["additionalPrinterColumns"] = Columns(type),
            ["schema"] = new JsonObject { ["openAPIV3Schema"] = root },
        };
        if (type.SelectableFields.Count > MaxSelectable)
            throw new NotSupportedException($"{type.Kind} has {type.SelectableFields.Count} selectable fields, a CRD takes {MaxSelectable}.");
        if (type.SelectableFields.Count > 0)
            version["selectableFields"] = new JsonArray([.. type.SelectableFields.Keys.Select(field => new JsonObject { ["jsonPath"] = "." + field })]);

        return new JsonObject
        {
            ["apiVersion"] = "apiextensions.k8s.io/v1",
            ["kind"] = "CustomResourceDefinition",
            ["metadata"] = new JsonObject { ["name"] = $"{type.Plural}.{Group}" },
            ["spec"] = new JsonObject
            {
                ["group"] = Group,
                ["scope"] = type.Namespaced ? "Namespaced" : "Cluster",
                ["names"] = new JsonObject
                {
                    ["kind"] = type.Kind,
                    ["listKind"] = type.Kind + "List",
                    ["plural"] = type.Plural,
                    ["singular"] = type.Singular,
                    ["shortNames"] = new JsonArray([.. type.ShortNames.Select(name => JsonValue.Create(name))]),
                    ["categories"] = new JsonArray("universe"),
                },
                ["versions"] = new JsonArray(version),
            },
        };
    }

    private static JsonArray Columns(ResourceType type)
    {
        JsonArray columns = [];
        foreach ((string name, string form, string path, bool wide) in CrdColumns.Of(type))
        {
            JsonObject column = new() { ["name"] = name, ["type"] = form, ["jsonPath"] = path };
            if (wide)
                column["priority"] = 1;
            columns.Add(column);
        }

        return columns;
    }
}
