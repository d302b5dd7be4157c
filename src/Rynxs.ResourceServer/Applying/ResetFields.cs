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
    /// always there: whoever fills them does not own them. Null for custom resources, which have none.
    /// </summary>
    public static JsonObject? BlankOf(ServedKind kind)
    {
        if (!kind.Strategic)
            return null;
        JsonObject blank = [];
        foreach (string path in AlwaysThere.GetValueOrDefault(kind.Kind, []).Concat(["metadata", "spec", "status"]))
            AddPath(blank, kind.Schema, path.Split('.'));
        return blank;
    }

    private static void AddPath(JsonObject blank, StructuralSchema schema, ReadOnlySpan<string> path)
    {
        if (path.Length == 0 || !schema.Properties.TryGetValue(path[0], out StructuralSchema? field) || field.Type != SchemaType.Object)
            return;
        if (blank[path[0]] is not JsonObject below)
        {
            blank[path[0]] = below = [];
            foreach (string list in field.Required.Where(name => field.Properties.TryGetValue(name, out StructuralSchema? required) && required.Type == SchemaType.Array))
                below[list] = null;
        }

        AddPath(below, field, path[1..]);
    }

    /// <summary>The structures beside metadata, spec and status that the real server's OpenAPI gives the default <c>{}</c> (1.36).</summary>
    private static readonly Dictionary<string, string[]> AlwaysThere = new()
    {
        ["ClusterRoleBinding"] = ["roleRef"],
        ["CronJob"] = ["spec.jobTemplate.metadata", "spec.jobTemplate.spec.template.metadata", "spec.jobTemplate.spec.template.spec"],
        ["CustomResourceDefinition"] = ["spec.names", "status.acceptedNames"],
        ["DaemonSet"] = ["spec.template.metadata", "spec.template.spec", "spec.updateStrategy"],
        ["Deployment"] = ["spec.strategy", "spec.template.metadata", "spec.template.spec"],
        ["Event"] = ["involvedObject", "source"],
        ["HorizontalPodAutoscaler"] = ["spec.scaleTargetRef"],
        ["Ingress"] = ["status.loadBalancer"],
        ["Job"] = ["spec.template.metadata", "spec.template.spec"],
        ["NetworkPolicy"] = ["spec.podSelector"],
        ["Node"] = ["status.daemonEndpoints.kubeletEndpoint", "status.nodeInfo"],
        ["PersistentVolumeClaim"] = ["spec.resources"],
        ["PodTemplate"] = ["template.metadata", "template.spec"],
        ["ReplicaSet"] = ["spec.template.metadata", "spec.template.spec"],
        ["RoleBinding"] = ["roleRef"],
        ["Service"] = ["status.loadBalancer"],
        ["StatefulSet"] = ["spec.template.metadata", "spec.template.spec", "spec.updateStrategy"],
    };
}
