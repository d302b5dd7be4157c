using Rynxs.Kubernetes.Objects;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Cluster;

/// <summary>Names and labels of an agent's objects: those of the original where it had any.</summary>
internal static class AgentNames
{
    /// <summary>A StatefulSet puts a hash behind its name into a label of at most 63 characters.</summary>
    public const int MaxLength = 52;

    public const string ManagedBy = "app.kubernetes.io/managed-by";
    public const string Manager = "rynxs";
    public const string App = "universe-agent";
    public const string SandboxApp = "universe-sandbox";
    public const string AgentLabel = "universe.ai/agent";

    /// <summary>What the operator wants of an object, hashed: also what it no longer wants shows.</summary>
    public const string DesiredHash = "universe.ai/desired-hash";

    /// <summary>Selector of everything that belongs to agents.</summary>
    public const string Selector = $"{ManagedBy}={Manager},{AgentLabel}";

    public static string Workspace(string agent) => $"{agent}-workspace";

    public static string Spec(string agent) => $"{agent}-spec";

    public static string AgentPolicy(string agent) => $"{agent}-agent";

    public static string SandboxPolicy(string agent) => $"{agent}-sandbox";

    public static string Pod(string agent) => $"{agent}-0";

    /// <summary>The agent that an object belongs to: by its owner, never by a label that anybody may set. Null for none.</summary>
    public static (NamespacedName Agent, string Uid)? OwnerOf(KubeObject item)
    {
        if (item.At("metadata", "ownerReferences") is not { } owners)
        {
            return null;
        }

        foreach (System.Text.Json.JsonElement owner in owners.EnumerateArray())
        {
            if (owner.TryGetProperty("controller", out System.Text.Json.JsonElement controller) && controller.ValueKind == System.Text.Json.JsonValueKind.True
                && owner.GetProperty("kind").ValueEquals("Agent") && owner.GetProperty("apiVersion").ValueEquals(Resource.GroupVersion))
            {
                return (new NamespacedName(item.Namespace, owner.GetProperty("name").GetString() ?? ""), owner.GetProperty("uid").GetString() ?? "");
            }
        }

        return null;
    }
}
