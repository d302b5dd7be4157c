using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Identity;

/// <summary>What a request wants to do to objects of a kind.</summary>
public enum ResourceVerb
{
    /// <summary>Read one.</summary>
    Get,

    /// <summary>Read many.</summary>
    List,

    /// <summary>Follow changes.</summary>
    Watch,

    /// <summary>Make one.</summary>
    Create,

    /// <summary>Replace spec and metadata.</summary>
    Update,

    /// <summary>Patch spec and metadata.</summary>
    Patch,

    /// <summary>Write the status.</summary>
    UpdateStatus,

    /// <summary>Remove.</summary>
    Delete,
}

/// <summary>The answer.</summary>
public enum Access
{
    /// <summary>Go on.</summary>
    Allowed,

    /// <summary>403: the principal may know that the object is there, and not do this to it.</summary>
    Forbidden,

    /// <summary>404: for this principal it does not exist.</summary>
    Invisible,
}

/// <summary>
/// Who may do what to which kind, in one table. Cluster-scoped kinds need a principal that is bound to no namespace. What is not in the table is
/// refused.
/// </summary>
public static class AccessRules
{
    private static readonly Dictionary<Role, HashSet<string>> Readable = new()
    {
        [Role.Admin] = ["Agent", "Approval", "Task", "Universe"],
        [Role.Operator] = ["Agent", "Task", "Universe"],
        [Role.Developer] = ["Agent", "Task"],
        [Role.Approver] = ["Agent", "Approval", "Task", "Universe"],
        [Role.Auditor] = ["Agent", "Approval", "Task", "Universe"],
        [Role.Agent] = [],
    };

    private static readonly Dictionary<Role, HashSet<string>> Writable = new()
    {
        [Role.Admin] = ["Agent", "Approval", "Task", "Universe"],
        [Role.Operator] = ["Agent", "Task", "Universe"],
        [Role.Developer] = ["Task"],
        [Role.Approver] = [],
        [Role.Auditor] = [],
        [Role.Agent] = [],
    };

    /// <summary>
    /// Status belongs to controllers, which act as <see cref="Principal.System"/>. An approver writes that of Approvals alone; the store holds the decision's
    /// own rules against it.
    /// </summary>
    private static readonly Dictionary<Role, HashSet<string>> StatusWritable = new()
    {
        [Role.Admin] = ["Agent", "Approval", "Task", "Universe"],
        [Role.Operator] = [],
        [Role.Developer] = [],
        [Role.Approver] = ["Approval"],
        [Role.Auditor] = [],
        [Role.Agent] = [],
    };

    /// <summary>Decides for one namespace; empty for cluster-scoped kinds.</summary>
    public static Access Decide(Principal principal, ResourceVerb verb, ResourceType type, string resourceNamespace)
    {
        bool visible = type.Namespaced ? principal.CanSee(resourceNamespace) : principal.Namespaces is null;
        if (!visible)
            return Access.Invisible;

        bool reads = Any(principal, Readable, type);
        return verb switch
        {
            ResourceVerb.Get => reads ? Access.Allowed : Access.Invisible,
            ResourceVerb.List or ResourceVerb.Watch => reads ? Access.Allowed : Access.Forbidden,
            ResourceVerb.Create => Any(principal, Writable, type) ? Access.Allowed : Access.Forbidden,
            ResourceVerb.Update or ResourceVerb.Patch or ResourceVerb.Delete => Write(Writable),
            ResourceVerb.UpdateStatus => Write(StatusWritable),
            _ => Access.Forbidden,
        };

        Access Write(Dictionary<Role, HashSet<string>> table) =>
            !reads ? Access.Invisible : Any(principal, table, type) ? Access.Allowed : Access.Forbidden;
    }

    /// <summary>Decides for a list or watch over all namespaces, whose result is then cut to what the principal may see.</summary>
    public static Access DecideEverywhere(Principal principal, ResourceType type) =>
        !type.Namespaced && principal.Namespaces is not null ? Access.Forbidden
        : Any(principal, Readable, type) ? Access.Allowed
        : Access.Forbidden;

    private static bool Any(Principal principal, Dictionary<Role, HashSet<string>> table, ResourceType type) =>
        principal.Roles.Any(role => table.TryGetValue(role, out HashSet<string>? kinds) && kinds.Contains(type.Kind));
}
