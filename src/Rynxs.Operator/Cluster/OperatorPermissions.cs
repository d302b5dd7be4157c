using System.Text;
using Rynxs.Kubernetes.Objects;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Cluster;

/// <summary>One rule of a role.</summary>
/// <param name="Group">API group; empty for the core group.</param>
/// <param name="Resource">Plural, with <c>/subresource</c> where one is meant.</param>
/// <param name="Verbs">In ordinal order.</param>
public sealed record OperatorRule(string Group, string Resource, IReadOnlyList<string> Verbs);

/// <summary>
/// What the operator's identity may do, and nothing beyond: the chart's rules are made from this, and tests hold every request of the operator against it.
/// An apply is a <c>patch</c>, and a <c>create</c> where the object is new.
/// </summary>
public static class OperatorPermissions
{
    /// <summary>In the cluster, or in the one namespace that is watched.</summary>
    public static IReadOnlyList<OperatorRule> Cluster { get; } =
    [
        new("universe.ai", ResourceTypes.Agent.Plural, ["get", "list", "patch", "watch"]),
        new("universe.ai", $"{ResourceTypes.Agent.Plural}/status", ["update"]),

        // For admission that lets only those block an owner's deletion who may touch its finalizers (OwnerReferencesPermissionEnforcement).
        new("universe.ai", $"{ResourceTypes.Agent.Plural}/finalizers", ["update"]),
        .. AgentObjects.Kinds.Select(kind => new OperatorRule(
            kind.Group, kind.Plural, kind == ApiResources.StatefulSets ? ["create", "delete", "get", "list", "patch", "watch"] : ["create", "get", "list", "patch", "watch"])),
        new("", "endpoints", ["get"]),
        new("", "pods", ["get"]),
    ];

    /// <summary>In the namespace of the Lease.</summary>
    public static IReadOnlyList<OperatorRule> Lease { get; } = [new("coordination.k8s.io", "leases", ["create", "get", "patch", "update"])];

    /// <summary>Rules as YAML, one per permission: the content of <c>helm/rynxs/files/operator-rules.yaml</c>.</summary>
    public static string ToYaml(IReadOnlyList<OperatorRule> permissions)
    {
        ArgumentNullException.ThrowIfNull(permissions);
        var text = new StringBuilder();
        foreach (OperatorRule permission in permissions)
        {
            text.Append("- apiGroups: [\"").Append(permission.Group).Append("\"]\n  resources: [\"").Append(permission.Resource).Append("\"]\n  verbs: [")
                .AppendJoin(", ", permission.Verbs.Select(verb => $"\"{verb}\"")).Append("]\n");
        }

        return text.ToString();
    }
}
