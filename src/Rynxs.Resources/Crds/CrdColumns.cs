using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Crds;

/// <summary>What a CRD says of a kind beside its schema.</summary>
internal static class CrdColumns
{
    /// <summary>Columns of <c>kubectl get</c> after the name: name, type, JSON path, only with <c>-o wide</c>.</summary>
    public static IReadOnlyList<(string Name, string Type, string Path, bool Wide)> Of(ResourceType type) => type.Kind switch
    {
        "Agent" =>
        [
            ("Role", "string", ".spec.role", false),
            ("Phase", "string", ".status.phase", false),
            ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status", false),
            ("Provider", "string", ".spec.provider.kind", true),
            ("Universe", "string", ".spec.universeRef", true),
            ("Runtime", "string", ".spec.sandbox.runtime", true),
            Age,
        ],
        "Approval" =>
        [
            ("Agent", "string", ".spec.agent", false),
            ("Tool", "string", ".spec.tool", false),
            ("Requester", "string", ".spec.requester", false),
            ("Decision", "string", ".status.decision", false),
            ("Expires", "date", ".spec.expires", true),
            ("Approver", "string", ".status.approver", true),
            Age,
        ],
        "EgressPolicy" =>
        [
            ("Phase", "string", ".status.phase", false),
            ("Sandboxes", "integer", ".status.sandboxes", false),
            ("Digest", "string", ".status.digest", true),
            Age,
        ],
        "EgressApproval" =>
        [
            ("Agent", "string", ".spec.agent", false),
            ("Host", "string", ".spec.hosts[0].host", false),
            ("Port", "integer", ".spec.hosts[0].port", false),
            ("Phase", "string", ".status.phase", false),
            ("Until", "string", ".status.expiresAt", false),
            ("Requester", "string", ".spec.requester", true),
            ("Approver", "string", ".status.approver", true),
            Age,
        ],
        "InferencePolicy" =>
        [
            ("Priority", "integer", ".spec.priority", false),
            ("Enforced", "string", ".status.conditions[?(@.type==\"Enforced\")].status", false),
            ("Digest", "string", ".status.enforcedDigest", true),
            Age,
        ],
        "Task" =>
        [
            ("Phase", "string", ".status.phase", false),
            ("Agent", "string", ".status.assignedAgent", false),
            ("Priority", "string", ".spec.priority", false),
            ("Title", "string", ".spec.title", true),
            ("Attempts", "integer", ".status.attempts", true),
            Age,
        ],
        "Universe" => [Age],
        _ => throw new ArgumentException($"No columns are said for {type.Kind}.", nameof(type)),
    };

    private static (string, string, string, bool) Age => ("Age", "date", ".metadata.creationTimestamp", false);
}
