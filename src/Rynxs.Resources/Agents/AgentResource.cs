using System.Text.Json.Serialization;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Agents;

/// <summary>An AI agent with a computer of its own.</summary>
public sealed record AgentResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Agent";

    /// <summary>Desired state.</summary>
    public AgentSpec Spec { get; init; } = new();

    /// <summary>Observed state, written through the status subresource alone.</summary>
    public AgentStatus? Status { get; init; }
}

/// <summary>What the agent is and may do. The manifest of the Rynxs README applies unchanged.</summary>
public sealed record AgentSpec
{
    /// <summary><c>worker</c> (default), <c>manager</c>, <c>director</c> or <c>sandbox</c>.</summary>
    [Schema(Enum = ["worker", "manager", "director", "sandbox"])]
    public string Role { get; init; } = "worker";

    /// <summary>Team that the agent belongs to.</summary>
    [Schema(Name = true)]
    public string? Team { get; init; }

    /// <summary>Agents that it manages.</summary>
    [Schema(Name = true, Set = true, MaxItems = 1000)]
    public IReadOnlyList<string> Manages { get; init; } = [];

    /// <summary>Organisational permissions.</summary>
    public AgentPermissions Permissions { get; init; } = new();

    /// <summary>The sandbox's image: a string or an object in the manifest, one form here. Null means the built-in root filesystem.</summary>
    public ImageReference? Image { get; init; }

    /// <summary>The agent's persistent files.</summary>
    public WorkspaceSpec Workspace { get; init; } = new();

    /// <summary>Name of the Universe whose rules also apply.</summary>
    [Schema(Name = true)]
    public string? UniverseRef { get; init; }

    /// <summary>Where the agent's decisions come from.</summary>
    public ProviderSpec Provider { get; init; } = new();

    /// <summary>Which tools, under which rules; no match means deny.</summary>
    public ToolsSpec Tools { get; init; } = new();

    /// <summary>Egress, by the gateway.</summary>
    public NetworkSpec Network { get; init; } = new();

    /// <summary>Requests and limits of the sandbox.</summary>
    public ResourceRequirements Resources { get; init; } = new();

    /// <summary>Limits of one tool call and of one message.</summary>
    public ExecutionLimits Limits { get; init; } = new();

    /// <summary>Which isolation.</summary>
    public SandboxSpecSection Sandbox { get; init; } = new();

    /// <summary>Stops taking messages when true; running work ends first. Default false.</summary>
    public bool Suspended { get; init; }
}

/// <summary>Organisational permissions; enforced, unlike in the original.</summary>
public sealed record AgentPermissions
{
    /// <summary>May create tasks for others.</summary>
    public bool CanAssignTasks { get; init; }

    /// <summary>May read audit records.</summary>
    public bool CanAccessAuditLogs { get; init; }

    /// <summary>May change agents of its team.</summary>
    public bool CanManageTeam { get; init; }
}

/// <summary>An image by name. <c>python:3.11-slim</c> in the manifest is repository <c>python</c>, tag <c>3.11-slim</c>.</summary>
public sealed record ImageReference
{
    /// <summary>Such as <c>python</c> or <c>registry:5000/team/tools</c>.</summary>
    [Schema(MinLength = 1, MaxLength = 255)]
    public required string Repository { get; init; }

    /// <summary>Default <c>latest</c>.</summary>
    [Schema(Pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
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
    [Schema(Pattern = SchemaPatterns.Quantity)]
    public string Size { get; init; } = "1Gi";

    /// <summary>Storage class in a cluster.</summary>
    [Schema(Name = true)]
    public string? StorageClassName { get; init; }
}

/// <summary>Where the agent's decisions come from.</summary>
[SchemaRule("!has(self.kind) || self.kind != 'openai' || has(self.model)", "provider.kind openai needs the name of a model", Reason = "FieldValueRequired", FieldPath = ".model")]
public sealed record ProviderSpec
{
    /// <summary><c>scripted</c> (default) or <c>openai</c>; <c>local</c> is read as <c>openai</c> with a base URL.</summary>
    [Schema(Enum = ["scripted", "openai", "local"])]
    public string Kind { get; init; } = "scripted";

    /// <summary>Base URL of an OpenAI-compatible API, such as <c>http://127.0.0.1:8080/v1</c>.</summary>
    [Schema(MaxLength = 2048, Pattern = "^https?://[^@ ]+$")]
    public string? BaseUrl { get; init; }

    /// <summary>The model's name; required for openai.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public string? Model { get; init; }

    /// <summary>Secret key that holds the API key.</summary>
    public SecretKeyRef? ApiKeySecretRef { get; init; }

    /// <summary>Seconds for one request, 1 to 600, default 60.</summary>
    [Schema(Min = 1, Max = 600)]
    public int TimeoutSeconds { get; init; } = 60;

    /// <summary>Retries after a retryable failure, 0 to 10, default 3.</summary>
    [Schema(Min = 0, Max = 10)]
    public int MaxRetries { get; init; } = 3;

    /// <summary>System prompt; null for the built-in one.</summary>
    [Schema(MaxLength = 65536)]
    public string? SystemPrompt { get; init; }
}

/// <summary>A key of a Secret in the agent's namespace.</summary>
public sealed record SecretKeyRef
{
    /// <summary>Name of the Secret.</summary>
    [Schema(Name = true)]
    public required string Name { get; init; }

    /// <summary>Key within it.</summary>
    [Schema(MinLength = 1, MaxLength = 253, Pattern = "^[A-Za-z0-9._-]+$")]
    public required string Key { get; init; }
}

/// <summary>Which tools, under which rules. No match means deny.</summary>
public sealed record ToolsSpec
{
    /// <summary>Tool names or wildcards (<c>fs.*</c>), as allow rules of priority 0. Null: the role's default set.</summary>
    [Schema(MaxItems = 256, Pattern = "^[a-z0-9_.*-]{1,128}$")]
    public IReadOnlyList<string>? Allow { get; init; }

    /// <summary>Names or wildcards as deny rules of priority 0; deny wins over allow at equal priority.</summary>
    [Schema(MaxItems = 256, Pattern = "^[a-z0-9_.*-]{1,128}$")]
    public IReadOnlyList<string> Deny { get; init; } = [];

    /// <summary>Names or wildcards that need an approval, as ask rules of priority 0.</summary>
    [Schema(MaxItems = 256, Pattern = "^[a-z0-9_.*-]{1,128}$")]
    public IReadOnlyList<string> RequireApproval { get; init; } = [];

    /// <summary>Full rules.</summary>
    [Schema(Key = "name", MaxItems = 256)]
    public IReadOnlyList<ToolRuleSpec> Rules { get; init; } = [];

    /// <summary>Token buckets.</summary>
    [Schema(MaxItems = 256)]
    public IReadOnlyList<RateLimitSpec> RateLimits { get; init; } = [];

    /// <summary>Tool calls at once, 1 to 64, default 4.</summary>
    [Schema(Min = 1, Max = 64)]
    public int MaxConcurrentCalls { get; init; } = 4;
}

/// <summary>One rule.</summary>
public sealed record ToolRuleSpec
{
    /// <summary>Unique within the agent.</summary>
    [Schema(MinLength = 1, MaxLength = 128)]
    public required string Name { get; init; }

    /// <summary>Tool names or wildcards.</summary>
    [Schema(MinItems = 1, MaxItems = 256, Pattern = "^[a-z0-9_.*-]{1,128}$")]
    public required IReadOnlyList<string> Tools { get; init; }

    /// <summary><c>allow</c>, <c>deny</c> or <c>ask</c>.</summary>
    [Schema(Enum = ["allow", "deny", "ask"])]
    public required string Effect { get; init; }

    /// <summary>Higher is looked at first; -1000 to 1000, default 0.</summary>
    [Schema(Min = -1000, Max = 1000)]
    public int Priority { get; init; }

    /// <summary>All must hold for the rule to match.</summary>
    [Schema(MaxItems = 64)]
    public IReadOnlyList<ArgumentConstraintSpec> Arguments { get; init; } = [];
}

/// <summary>A condition on one argument of a call.</summary>
public sealed record ArgumentConstraintSpec
{
    /// <summary>Argument name, dots for nesting.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string Name { get; init; }

    /// <summary><c>equals</c>, <c>prefix</c>, <c>glob</c>, <c>regex</c> (linear time, no backtracking), <c>maxLength</c>, <c>in</c> or <c>absent</c>.</summary>
    [Schema(Enum = ["equals", "prefix", "glob", "regex", "maxLength", "in", "absent"])]
    public required string Operator { get; init; }

    /// <summary>What to compare with.</summary>
    public string? Value { get; init; }

    /// <summary>What operator in compares with.</summary>
    [Schema(MaxItems = 1000)]
    public IReadOnlyList<string> Values { get; init; } = [];
}

/// <summary>Token bucket of one agent for the tools that match.</summary>
public sealed record RateLimitSpec
{
    /// <summary>Tool name or wildcard.</summary>
    [Schema(Pattern = "^[a-z0-9_.*-]{1,128}$")]
    public required string Tool { get; init; }

    /// <summary>Tokens added per minute, 1 to 60000.</summary>
    [Schema(Min = 1, Max = 60000)]
    public required int PerMinute { get; init; }

    /// <summary>Bucket size, 1 to 60000; default: <see cref="PerMinute"/>.</summary>
    [Schema(Min = 1, Max = 60000)]
    public int? Burst { get; init; }
}

/// <summary>Egress, by the gateway.</summary>
public sealed record NetworkSpec
{
    /// <summary>
    /// Names of EgressPolicies of the agent's namespace; each of them, and <see cref="AllowEgressTo"/> where it is given, must allow. One that does not exist
    /// allows nothing.
    /// </summary>
    [Schema(Name = true, Set = true, MaxItems = 16)]
    public IReadOnlyList<string> EgressPolicies { get; init; } = [];

    /// <summary>Host names (TLS on 443 and plain HTTP on 80), <c>host:port</c>, or URLs. Addresses allow nothing: what goes out goes to names.</summary>
    [Schema(MaxItems = 256, Pattern = "^[^@\\\\ \t]{1,512}$")]
    public IReadOnlyList<string> AllowEgressTo { get; init; } = [];
}

/// <summary>Kubernetes resource requirements: <c>cpu</c> and <c>memory</c> quantities.</summary>
public sealed record ResourceRequirements
{
    /// <summary>What is reserved: cpu, memory.</summary>
    [Schema(Quantities = true, MaxItems = 2)]
    public IReadOnlyDictionary<string, string> Requests { get; init; } = new Dictionary<string, string>();

    /// <summary>Limits of one tool call and of one message.</summary>
    [Schema(Quantities = true, MaxItems = 2)]
    public IReadOnlyDictionary<string, string> Limits { get; init; } = new Dictionary<string, string>();
}

/// <summary>Limits of one tool call and of one message.</summary>
public sealed record ExecutionLimits
{
    /// <summary>Seconds for one tool call, 1 to 600, default 60.</summary>
    [Schema(Min = 1, Max = 600)]
    public int TimeoutSeconds { get; init; } = 60;

    /// <summary>Cap of stdout and of stderr in bytes, 1024 to 16777216, default 1048576.</summary>
    [Schema(Min = 1024, Max = 16777216)]
    public int OutputBytes { get; init; } = 1024 * 1024;

    /// <summary>Processes in the sandbox, 1 to 1024, default 64.</summary>
    [Schema(Min = 1, Max = 1024)]
    public int Pids { get; init; } = 64;

    /// <summary>Model turns for one message, 1 to 200, default 20.</summary>
    [Schema(Min = 1, Max = 200)]
    public int MaxSteps { get; init; } = 20;
}

/// <summary>Which isolation.</summary>
public sealed record SandboxSpecSection
{
    /// <summary><c>gvisor</c> (default); <c>firecracker</c> and <c>namespaces</c> are refused until this host has them.</summary>
    [Schema(Enum = ["gvisor", "firecracker", "namespaces"])]
    public string Runtime { get; init; } = "gvisor";

    /// <summary>gVisor platform: <c>systrap</c> (default) or <c>ptrace</c>.</summary>
    [Schema(Enum = ["systrap", "ptrace"])]
    public string? Platform { get; init; }
}

/// <summary>What was observed.</summary>
public sealed record AgentStatus
{
    /// <summary><c>Pending</c>, <c>Running</c>, <c>Failed</c> or <c>Terminated</c>.</summary>
    [Schema(Enum = ["Pending", "Running", "Failed", "Terminated"])]
    public string? Phase { get; init; }

    /// <summary>Generation that was looked at.</summary>
    public long? ObservedGeneration { get; init; }

    /// <summary>Kubernetes conditions, one per type.</summary>
    [Schema(Key = "type", MaxItems = 64)]
    public IReadOnlyList<Condition> Conditions { get; init; } = [];

    /// <summary>Digest of the root filesystem really used.</summary>
    [Schema(MaxLength = 256)]
    public string? ImageDigest { get; init; }
}
