using System.Text.Json.Serialization;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Agents;

/// <summary>An AI agent with a computer of its own.</summary>
public sealed record AgentResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Agent";

    public AgentSpec Spec { get; init; } = new();
    public AgentStatus? Status { get; init; }
}

/// <summary>What the agent is and may do. The manifest of the Rynxs README applies unchanged.</summary>
public sealed record AgentSpec
{
    /// <summary><c>worker</c> (default), <c>manager</c>, <c>director</c> or <c>sandbox</c>.</summary>
    public string Role { get; init; } = "worker";
    public string? Team { get; init; }
    public IReadOnlyList<string> Manages { get; init; } = [];
    public AgentPermissions Permissions { get; init; } = new();

    /// <summary>The sandbox's image: a string or an object in the manifest, one form here. Null means the built-in root filesystem.</summary>
    public ImageReference? Image { get; init; }

    public WorkspaceSpec Workspace { get; init; } = new();

    /// <summary>Name of the Universe whose rules also apply.</summary>
    public string? UniverseRef { get; init; }

    public ProviderSpec Provider { get; init; } = new();
    public ToolsSpec Tools { get; init; } = new();
    public NetworkSpec Network { get; init; } = new();
    public ResourceRequirements Resources { get; init; } = new();
    public ExecutionLimits Limits { get; init; } = new();
    public SandboxSpecSection Sandbox { get; init; } = new();

    /// <summary>Stops taking messages when true; running work ends first. Default false.</summary>
    public bool Suspended { get; init; }
}

/// <summary>Organisational permissions; enforced, unlike in the original.</summary>
public sealed record AgentPermissions
{
    public bool CanAssignTasks { get; init; }
    public bool CanAccessAuditLogs { get; init; }
    public bool CanManageTeam { get; init; }
}

/// <summary>An image by name. <c>python:3.11-slim</c> in the manifest is repository <c>python</c>, tag <c>3.11-slim</c>.</summary>
public sealed record ImageReference
{
    public required string Repository { get; init; }

    /// <summary>Default <c>latest</c>.</summary>
    public string Tag { get; init; } = "latest";

    /// <summary>Demands a verified signature. Default false.</summary>
    public bool Verify { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Repository}:{Tag}";
}

/// <summary>The agent's persistent files.</summary>
public sealed record WorkspaceSpec
{
    /// <summary>Kubernetes quantity, default <c>1Gi</c>.</summary>
    public string Size { get; init; } = "1Gi";
    public string? StorageClassName { get; init; }
}

/// <summary>Where the agent's decisions come from.</summary>
public sealed record ProviderSpec
{
    /// <summary><c>scripted</c> (default) or <c>openai</c>; <c>local</c> is read as <c>openai</c> with a base URL.</summary>
    public string Kind { get; init; } = "scripted";

    /// <summary>Base URL of an OpenAI-compatible API, such as <c>http://127.0.0.1:8080/v1</c>.</summary>
    public string? BaseUrl { get; init; }
    public string? Model { get; init; }
    public SecretKeyRef? ApiKeySecretRef { get; init; }

    /// <summary>Seconds for one request, 1 to 600, default 60.</summary>
    public int TimeoutSeconds { get; init; } = 60;

    /// <summary>Retries after a retryable failure, 0 to 10, default 3.</summary>
    public int MaxRetries { get; init; } = 3;

    /// <summary>System prompt; null for the built-in one.</summary>
    public string? SystemPrompt { get; init; }
}

/// <summary>A key of a Secret in the agent's namespace.</summary>
public sealed record SecretKeyRef
{
    public required string Name { get; init; }
    public required string Key { get; init; }
}

/// <summary>Which tools, under which rules. No match means deny.</summary>
public sealed record ToolsSpec
{
    /// <summary>Tool names or wildcards (<c>fs.*</c>), as allow rules of priority 0. Null: the role's default set.</summary>
    public IReadOnlyList<string>? Allow { get; init; }

    /// <summary>Names or wildcards as deny rules of priority 0; deny wins over allow at equal priority.</summary>
    public IReadOnlyList<string> Deny { get; init; } = [];

    /// <summary>Names or wildcards that need an approval, as ask rules of priority 0.</summary>
    public IReadOnlyList<string> RequireApproval { get; init; } = [];

    /// <summary>Full rules.</summary>
    public IReadOnlyList<ToolRuleSpec> Rules { get; init; } = [];

    /// <summary>Token buckets.</summary>
    public IReadOnlyList<RateLimitSpec> RateLimits { get; init; } = [];

    /// <summary>Tool calls at once, 1 to 64, default 4.</summary>
    public int MaxConcurrentCalls { get; init; } = 4;
}

/// <summary>One rule.</summary>
public sealed record ToolRuleSpec
{
    /// <summary>Unique within the agent.</summary>
    public required string Name { get; init; }

    /// <summary>Tool names or wildcards.</summary>
    public required IReadOnlyList<string> Tools { get; init; }

    /// <summary><c>allow</c>, <c>deny</c> or <c>ask</c>.</summary>
    public required string Effect { get; init; }

    /// <summary>Higher is looked at first; -1000 to 1000, default 0.</summary>
    public int Priority { get; init; }

    /// <summary>All must hold for the rule to match.</summary>
    public IReadOnlyList<ArgumentConstraintSpec> Arguments { get; init; } = [];
}

/// <summary>A condition on one argument of a call.</summary>
public sealed record ArgumentConstraintSpec
{
    /// <summary>Argument name, dots for nesting.</summary>
    public required string Name { get; init; }

    /// <summary><c>equals</c>, <c>prefix</c>, <c>glob</c>, <c>regex</c> (linear time, no backtracking), <c>maxLength</c>, <c>in</c> or <c>absent</c>.</summary>
    public required string Operator { get; init; }
    public string? Value { get; init; }
    public IReadOnlyList<string> Values { get; init; } = [];
}

/// <summary>Token bucket of one agent for the tools that match.</summary>
public sealed record RateLimitSpec
{
    /// <summary>Tool name or wildcard.</summary>
    public required string Tool { get; init; }

    /// <summary>Tokens added per minute, 1 to 60000.</summary>
    public required int PerMinute { get; init; }

    /// <summary>Bucket size, 1 to 60000; default: <see cref="PerMinute"/>.</summary>
    public int? Burst { get; init; }
}

/// <summary>Egress, by the gateway.</summary>
public sealed record NetworkSpec
{
    public IReadOnlyList<string> AllowEgressTo { get; init; } = [];
}

/// <summary>Kubernetes resource requirements: <c>cpu</c> and <c>memory</c> quantities.</summary>
public sealed record ResourceRequirements
{
    public IReadOnlyDictionary<string, string> Requests { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> Limits { get; init; } = new Dictionary<string, string>();
}

/// <summary>Limits of one tool call and of one message.</summary>
public sealed record ExecutionLimits
{
    /// <summary>Seconds for one tool call, 1 to 600, default 60.</summary>
    public int TimeoutSeconds { get; init; } = 60;

    /// <summary>Cap of stdout and of stderr in bytes, 1024 to 16777216, default 1048576.</summary>
    public int OutputBytes { get; init; } = 1024 * 1024;

    /// <summary>Processes in the sandbox, 1 to 1024, default 64.</summary>
    public int Pids { get; init; } = 64;

    /// <summary>Model turns for one message, 1 to 200, default 20.</summary>
    public int MaxSteps { get; init; } = 20;
}

/// <summary>Which isolation.</summary>
public sealed record SandboxSpecSection
{
    /// <summary><c>gvisor</c> (default); <c>firecracker</c> and <c>namespaces</c> are refused until this host has them.</summary>
    public string Runtime { get; init; } = "gvisor";

    /// <summary>gVisor platform: <c>systrap</c> (default) or <c>ptrace</c>.</summary>
    public string? Platform { get; init; }
}

/// <summary>What was observed.</summary>
public sealed record AgentStatus
{
    /// <summary><c>Pending</c>, <c>Running</c>, <c>Failed</c> or <c>Terminated</c>.</summary>
    public string? Phase { get; init; }
    public long? ObservedGeneration { get; init; }
    public IReadOnlyList<Condition> Conditions { get; init; } = [];

    /// <summary>Digest of the root filesystem really used.</summary>
    public string? ImageDigest { get; init; }
}
