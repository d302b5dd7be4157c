namespace Rynxs.Sandbox.Violations;

/// <summary>Something a program in a sandbox tried, seen by a real signal. Wire form: the seed's violation object in snake_case.</summary>
public sealed record Violation
{
    /// <summary>UUID.</summary>
    public required string ViolationId { get; init; }
    public required DateTimeOffset Timestamp { get; init; }

    /// <summary>Name of the rule, such as <c>device_access</c>.</summary>
    public required string ViolationType { get; init; }
    public required Severity Severity { get; init; }
    public required string Description { get; init; }
    public required DetectionLayer DetectionLayer { get; init; }

    /// <summary>Whether the attempt itself failed: isolation refused it, or the sandbox was killed.</summary>
    public required bool Blocked { get; init; }

    /// <summary>What was seen: system call, path, address, process. Untrusted text from the guest, control characters escaped, bounded.</summary>
    public required IReadOnlyDictionary<string, string> Indicators { get; init; }
    public required string Remediation { get; init; }
}

/// <summary>How bad.</summary>
public enum Severity
{
    Low,
    Medium,
    High,
    Critical,
}

/// <summary>Which signal saw it. Wire names are upper snake case.</summary>
public enum DetectionLayer
{
    /// <summary>gVisor trace session (seccheck).</summary>
    SyscallMonitor,

    /// <summary>seccomp notification.</summary>
    Seccomp,

    /// <summary>Gateway denial.</summary>
    Network,

    /// <summary>File tool refused a path.</summary>
    Filesystem,

    /// <summary>cgroup event.</summary>
    Cgroup,

    /// <summary>Advisory scan of the source; never counts as blocked.</summary>
    StaticAnalysis,
}
