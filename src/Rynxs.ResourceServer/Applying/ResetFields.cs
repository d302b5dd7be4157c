using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>What a request to an object or one of its subresources cannot change, whatever it sends: such fields are never owned through it.</summary>
public static class ResetFields
{
    /// <summary>Paths in the form of <see cref="UpdateRequest.IgnoredPaths"/>: field names joined by dots.</summary>
    /// <param name="kind">Kind of the object.</param>
    /// <param name="subresource">Empty for the object itself.</param>
    public static IReadOnlyList<string> Of(ServedKind kind, string subresource) => (subresource, kind) switch
    {
        ("", { HasStatus: true }) or ("finalize", _) => ["status"],
        ("status", { Strategic: false } or { Kind: "CustomResourceDefinition" }) => ["metadata", "spec"],
        ("status", { Kind: "Deployment" }) => ["metadata.labels", "spec"],
        ("status", { Kind: "Pod" }) => ["metadata.deletionTimestamp", "metadata.ownerReferences", "spec"],
        ("status", _) => ["spec"],
        _ => [],
    };

    /// <summary>
    /// What an object of a kind holds before anyone sets a field, for <see cref="UpdateRequest.Blank"/>. Built-in kinds have structures that are
    /// always there, which their schemas give the default <c>{}</c>: whoever fills them does not own them. Null for custom resources.
    /// </summary>
    public static JsonObject? BlankOf(ServedKind kind) => kind.Strategic ? Blank(kind.Schema, depth: 0) : null;

    private static JsonObject Blank(StructuralSchema schema, int depth)
    {
        JsonObject blank = [];
        foreach ((string name, StructuralSchema field) in schema.Properties)
        {
            if (depth < MaxDepth && field is { Default: JsonObject { Count: 0 } })
                blank[name] = Blank(field, depth + 1);
            else if (field.Type == SchemaType.Array && schema.Required.Contains(name))
                blank[name] = null;
        }

        return blank;
    }

    private const int MaxDepth = 16;
}
