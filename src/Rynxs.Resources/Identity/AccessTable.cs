namespace Rynxs.Resources.Identity;

/// <summary>Roles as a set of bits.</summary>
[Flags]
internal enum Roles
{
    None = 0,
    Admin = 1 << Role.Admin,
    Operator = 1 << Role.Operator,
    Developer = 1 << Role.Developer,
    Approver = 1 << Role.Approver,
    Auditor = 1 << Role.Auditor,
    Agent = 1 << Role.Agent,

    /// <summary>Every role that reads anything; an agent's own does not.</summary>
    Readers = Admin | Operator | Developer | Approver | Auditor,
}

/// <summary>Who may do what to one kind.</summary>
/// <param name="Read">get, list, watch, and reading the subresources status and scale.</param>
/// <param name="Write">create, update, patch, delete, deletecollection, and writing the subresource scale.</param>
/// <param name="Status">update and patch of the subresource status.</param>
/// <param name="InNamespaces">Whether the kind lives in namespaces; where one row stands for a group, whether most of it does.</param>
internal readonly record struct Grant(Roles Read, Roles Write, Roles Status, bool InNamespaces = true);

/// <summary>
/// The whole table of roles, shown in docs/operations/identity.md. A kind that it does not name (one of an applied CustomResourceDefinition) is an
/// administrator's to write, and an auditor's to read.
/// </summary>
internal static class AccessTable
{
    private const Roles Admin = Roles.Admin;
    private const Roles Operators = Roles.Admin | Roles.Operator;
    private const Roles Developers = Operators | Roles.Developer;

    private static readonly Grant Unnamed = new(Read: Admin | Roles.Auditor, Write: Admin, Status: Admin);

    /// <summary>What an operator runs and a developer looks at.</summary>
    private static readonly Grant Workload = new(Read: Developers | Roles.Auditor, Write: Operators, Status: Admin);

    /// <summary>What decides about others' rights or about the whole installation.</summary>
    private static readonly Grant Administration = new(Read: Operators | Roles.Auditor, Write: Admin, Status: Admin);

    private static readonly Grant Installation = Administration with { InNamespaces = false };

    /// <summary>What everybody may ask about themselves: made, never stored.</summary>
    private static readonly Grant OwnQuestion = new(Read: Roles.None, Write: Roles.Readers | Roles.Agent, Status: Roles.None, InNamespaces: false);

    /// <summary>What is asked about others.</summary>
    private static readonly Grant QuestionAboutOthers = new(Read: Roles.None, Write: Admin, Status: Roles.None, InNamespaces: false);

    private static readonly Dictionary<(string Group, string Plural), Grant> Kinds = new()
    {
        // Status belongs to controllers, which act as Principal.System. An approver writes that of Approvals alone; the store holds the decision's own rules
        // against it.
        [("universe.ai", "agents")] = new(Read: Roles.Readers, Write: Operators, Status: Admin),
        [("universe.ai", "tasks")] = new(Read: Roles.Readers, Write: Developers, Status: Admin),
        [("universe.ai", "universes")] = new(Read: Operators | Roles.Approver | Roles.Auditor, Write: Operators, Status: Admin, InNamespaces: false),
        [("universe.ai", "egresspolicies")] = new(Read: Roles.Readers, Write: Operators, Status: Admin),
        // Asking is no permission: the Approval of the same name decides.
        [("universe.ai", "egressapprovals")] = new(Read: Roles.Readers, Write: Developers, Status: Admin),
        [("universe.ai", "approvals")] = new(Read: Admin | Roles.Approver | Roles.Auditor, Write: Admin, Status: Admin | Roles.Approver),
        // Who may use which model at what cost, and which credential goes where: an administrator says.
        [("universe.ai", "inferencepolicies")] = Administration,

        [("", "namespaces")] = new(Read: Roles.Readers, Write: Admin, Status: Admin, InNamespaces: false),
        [("", "configmaps")] = Workload,
        [("", "events")] = new(Read: Roles.Readers, Write: Operators, Status: Admin),
        [("events.k8s.io", "events")] = new(Read: Roles.Readers, Write: Operators, Status: Admin),
        // Read by administrators alone: an auditor reads evidence, and Secrets are never part of it.
        [("", "secrets")] = new(Read: Admin, Write: Admin, Status: Admin),
        // Whoever writes a service account gives away roles: its annotation names them.
        [("", "serviceaccounts")] = Administration,
        [("", "resourcequotas")] = Administration,
        [("", "limitranges")] = Administration,
        [("", "nodes")] = Installation,
        [("", "persistentvolumes")] = Installation,
        [("", "pods")] = Workload,
        [("", "services")] = Workload,
        [("", "endpoints")] = Workload,
        [("", "persistentvolumeclaims")] = Workload,
        [("", "replicationcontrollers")] = Workload,
        [("", "podtemplates")] = Workload,
        [("coordination.k8s.io", "leases")] = Workload,
        [("policy", "poddisruptionbudgets")] = Workload,

        [("authentication.k8s.io", "selfsubjectreviews")] = OwnQuestion,
        [("authorization.k8s.io", "selfsubjectaccessreviews")] = OwnQuestion,
        [("authorization.k8s.io", "selfsubjectrulesreviews")] = OwnQuestion,
        [("authorization.k8s.io", "subjectaccessreviews")] = QuestionAboutOthers,
        [("authorization.k8s.io", "localsubjectaccessreviews")] = QuestionAboutOthers,
        [("authentication.k8s.io", "tokenreviews")] = QuestionAboutOthers,
    };

    /// <summary>Groups of which all kinds are treated alike.</summary>
    private static readonly Dictionary<string, Grant> Groups = new()
    {
        ["apps"] = Workload,
        ["batch"] = Workload,
        ["autoscaling"] = Workload,
        ["networking.k8s.io"] = Workload,
        ["discovery.k8s.io"] = Workload,
        ["rbac.authorization.k8s.io"] = Administration,
        ["node.k8s.io"] = Installation,
        ["storage.k8s.io"] = Installation,
        ["scheduling.k8s.io"] = Installation,
        ["apiextensions.k8s.io"] = Installation,
        ["apiregistration.k8s.io"] = Installation,
        ["admissionregistration.k8s.io"] = Installation,
    };

    /// <summary>All kinds that the table names one by one.</summary>
    public static IEnumerable<(string Group, string Plural)> NamedKinds => Kinds.Keys;

    /// <summary>All groups that the table names as a whole.</summary>
    public static IEnumerable<string> NamedGroups => Groups.Keys;

    /// <summary>The row of a kind.</summary>
    public static Grant Of(string group, string plural) =>
        Kinds.TryGetValue((group, plural), out Grant kind) ? kind
        : Groups.TryGetValue(group, out Grant whole) ? whole
        : Unnamed;

    /// <summary>A principal's roles as bits.</summary>
    public static Roles Bits(IReadOnlySet<Role> roles)
    {
        Roles bits = Roles.None;
        foreach (Role role in roles)
            bits |= (Roles)(1 << (int)role);
        return bits;
    }
}
