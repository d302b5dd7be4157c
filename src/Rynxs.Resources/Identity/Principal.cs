namespace Rynxs.Resources.Identity;

/// <summary>Who acts. Every request, mutation and record has one.</summary>
/// <param name="Name">Such as <c>system:server</c>, <c>user:admin</c>, <c>agent:NAMESPACE/NAME</c>.</param>
/// <param name="Roles">What it may do.</param>
/// <param name="Namespaces">Where it may do it; null means everywhere.</param>
public sealed record Principal(string Name, IReadOnlySet<Role> Roles, IReadOnlySet<string>? Namespaces)
{
    /// <summary>Groups as Kubernetes tells them (<c>kubectl auth whoami</c>): for people to read; roles alone decide.</summary>
    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>What the credential says of the user's identity beside the name; null when it says nothing.</summary>
    public string? Uid { get; init; }

    /// <summary>The server itself, for its own controllers.</summary>
    public static Principal System { get; } = new("system:server", new HashSet<Role> { Role.Admin }, null);

    /// <summary>The principal of an agent: it may execute, and nothing else.</summary>
    public static Principal ForAgent(string agentNamespace, string agentName) =>
        new($"agent:{agentNamespace}/{agentName}", new HashSet<Role> { Role.Agent }, new HashSet<string> { agentNamespace });

    /// <summary>Whether the principal may see the namespace at all; what it may not see does not exist for it (404).</summary>
    public bool CanSee(string resourceNamespace) => Namespaces is null || Namespaces.Contains(resourceNamespace);
}

/// <summary>Closed set of roles.</summary>
public enum Role
{
    /// <summary>Everything.</summary>
    Admin,

    /// <summary>Agents, universes and tasks; no approvals.</summary>
    Operator,

    /// <summary>Tasks, messages, execution; reads agents.</summary>
    Developer,

    /// <summary>Decides approvals that it did not request; reads the rest.</summary>
    Approver,

    /// <summary>Reads everything, ledger and audit included.</summary>
    Auditor,

    /// <summary>Execute only.</summary>
    Agent,
}
