using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>
/// The status of a new object of a built-in kind. The real server writes its structures: what they cannot leave out is there from the beginning, as zero or
/// empty text, and clients read it without asking whether it is there.
/// </summary>
internal static class BlankStatus
{
    /// <summary>Written although the schema does not require them (Kubernetes 1.36).</summary>
    private static readonly Dictionary<string, string[]> AlsoWritten = new()
    {
        ["Ingress"] = ["loadBalancer"],
        ["PodDisruptionBudget"] = ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"],
        ["StatefulSet"] = ["availableReplicas"],
    };

    /// <summary>Mutates: adds status where it is not there, and in it what is always written.</summary>
    public static void Fill(JsonObject document, ServedKind kind)
    {
        if (document["status"] is not JsonObject status)
            document["status"] = status = [];
        if (kind.Schema.Properties.TryGetValue("status", out StructuralSchema? schema))
            Fill(status, schema, AlsoWritten.GetValueOrDefault(kind.Kind, []));
    }

    private static void Fill(JsonObject map, StructuralSchema schema, IEnumerable<string> more)
    {
        foreach (string name in schema.Required.Concat(more))
        {
            if (!map.ContainsKey(name) && schema.Properties.TryGetValue(name, out StructuralSchema? field) && Zero(field) is { } zero)
                map[name] = zero;
        }

        foreach ((string name, JsonNode? value) in map)
        {
            if (value is JsonObject below && schema.Properties.TryGetValue(name, out StructuralSchema? field) && field.Type == SchemaType.Object)
                Fill(below, field, []);
        }
    }

    private static JsonNode? Zero(StructuralSchema field) => field.Type switch
    {
        SchemaType.Integer => 0,
        SchemaType.String => "",
        SchemaType.Object => new JsonObject(),
        _ => null,
    };
}
