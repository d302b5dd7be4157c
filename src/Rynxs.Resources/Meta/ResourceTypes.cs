using System.Diagnostics.CodeAnalysis;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;

namespace Rynxs.Resources.Meta;

/// <summary>The kinds of <c>universe.ai/v1alpha1</c>.</summary>
public static class ResourceTypes
{
    /// <summary>Agents.</summary>
    public static ResourceType Agent { get; } = new()
    {
        Kind = "Agent",
        Plural = "agents",
        Singular = "agent",
        ShortNames = ["ag"],
        Namespaced = true,
        ClrType = typeof(AgentResource),
        SelectableFields = Fields<AgentResource>(
            ("spec.role", agent => agent.Spec.Role),
            ("spec.team", agent => agent.Spec.Team),
            ("spec.universeRef", agent => agent.Spec.UniverseRef),
            ("status.phase", agent => agent.Status?.Phase)),
    };

    /// <summary>Universes.</summary>
    public static ResourceType Universe { get; } = new()
    {
        Kind = "Universe",
        Plural = "universes",
        Singular = "universe",
        ShortNames = ["uni"],
        Namespaced = false,
        ClrType = typeof(UniverseResource),
        SelectableFields = Fields<UniverseResource>(),
    };

    /// <summary>Tasks.</summary>
    public static ResourceType Task { get; } = new()
    {
        Kind = "Task",
        Plural = "tasks",
        Singular = "task",
        ShortNames = ["tsk"],
        Namespaced = true,
        ClrType = typeof(TaskResource),
        SelectableFields = Fields<TaskResource>(
            ("spec.assignee", task => task.Spec.Assignee),
            ("spec.priority", task => task.Spec.Priority),
            ("spec.zone", task => task.Spec.Zone),
            ("status.phase", task => task.Status?.Phase),
            ("status.assignedAgent", task => task.Status?.AssignedAgent)),
    };

    /// <summary>Approvals.</summary>
    public static ResourceType Approval { get; } = new()
    {
        Kind = "Approval",
        Plural = "approvals",
        Singular = "approval",
        ShortNames = ["apr"],
        Namespaced = true,
        ClrType = typeof(ApprovalResource),
        SelectableFields = Fields<ApprovalResource>(
            ("spec.agent", approval => approval.Spec.Agent),
            ("spec.kind", approval => approval.Spec.Kind),
            ("spec.requester", approval => approval.Spec.Requester),
            ("spec.subjectHash", approval => approval.Spec.SubjectHash),
            ("spec.task", approval => approval.Spec.Task),
            ("status.decision", approval => approval.Status?.Decision)),
    };

    /// <summary>Policies of egress.</summary>
    public static ResourceType EgressPolicy { get; } = new()
    {
        Kind = "EgressPolicy",
        Plural = "egresspolicies",
        Singular = "egresspolicy",
        ShortNames = ["egp"],
        Namespaced = true,
        ClrType = typeof(EgressPolicyResource),
        SelectableFields = Fields<EgressPolicyResource>(("status.phase", policy => policy.Status?.Phase)),
    };

    /// <summary>Hosts that people open for a time.</summary>
    public static ResourceType EgressApproval { get; } = new()
    {
        Kind = "EgressApproval",
        Plural = "egressapprovals",
        Singular = "egressapproval",
        ShortNames = ["ega"],
        Namespaced = true,
        ClrType = typeof(EgressApprovalResource),
        SelectableFields = Fields<EgressApprovalResource>(
            ("spec.agent", approval => approval.Spec.Agent),
            ("spec.requester", approval => approval.Spec.Requester),
            ("status.phase", approval => approval.Status?.Phase)),
    };

    /// <summary>Inference policies.</summary>
    public static ResourceType InferencePolicy { get; } = new()
    {
        Kind = "InferencePolicy",
        Plural = "inferencepolicies",
        Singular = "inferencepolicy",
        ShortNames = ["infp"],
        Namespaced = true,
        ClrType = typeof(InferencePolicyResource),
        SelectableFields = Fields<InferencePolicyResource>(),
    };

    /// <summary>All of them, in alphabetical order.</summary>
    public static IReadOnlyList<ResourceType> All { get; } = [Agent, Approval, EgressApproval, EgressPolicy, InferencePolicy, Task, Universe];

    /// <summary>The type of <typeparamref name="T"/>.</summary>
    public static ResourceType Of<T>()
        where T : Resource => OfClrType(typeof(T));

    /// <summary>The type of an object.</summary>
    public static ResourceType Of(Resource resource) => OfClrType(resource.GetType());

    /// <summary>Finds by exact kind, as in a manifest.</summary>
    public static bool TryFindKind(string kind, [NotNullWhen(true)] out ResourceType? type)
    {
        type = All.FirstOrDefault(candidate => candidate.Kind == kind);
        return type is not null;
    }

    /// <summary>Finds by kind, plural, singular or short name, ignoring case, as people type it.</summary>
    public static bool TryFind(string name, [NotNullWhen(true)] out ResourceType? type)
    {
        type = All.FirstOrDefault(candidate =>
            Same(candidate.Kind) || Same(candidate.Plural) || Same(candidate.Singular) || candidate.ShortNames.Any(Same));
        return type is not null;

        bool Same(string other) => string.Equals(name, other, StringComparison.OrdinalIgnoreCase);
    }

    private static ResourceType OfClrType(Type type) =>
        All.FirstOrDefault(candidate => candidate.ClrType == type)
        ?? throw new ArgumentException($"{type.Name} is not a kind of {Resource.GroupVersion}.", nameof(type));

    private static Dictionary<string, Func<Resource, string?>> Fields<T>(params ReadOnlySpan<(string Path, Func<T, string?> Read)> fields)
        where T : Resource
    {
        Dictionary<string, Func<Resource, string?>> result = [];
        foreach ((string path, Func<T, string?> read) in fields)
            result.Add(path, resource => read((T)resource));
        return result;
    }
}
