using System.Text.Json.Serialization;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Egress;

/// <summary>What sandboxes may reach. Without one nothing goes out; of several that apply, each must allow.</summary>
public sealed record EgressPolicyResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "EgressPolicy";

    /// <summary>Desired state.</summary>
    public EgressPolicySpec Spec { get; init; } = new();

    /// <summary>Observed state, written through the status subresource alone.</summary>
    public EgressPolicyStatus? Status { get; init; }
}

/// <summary>Default deny. Agents name a policy in <c>spec.network.egressPolicies</c>, or a policy selects them.</summary>
public sealed record EgressPolicySpec
{
    /// <summary>Whom it holds for beside those who name it; null for nobody else.</summary>
    public EgressAppliesTo? AppliesTo { get; init; }

    /// <summary>The order means nothing: the highest priority decides, then deny over ask over allow; no match is deny.</summary>
    [Schema(Key = "name", MaxItems = 1000)]
    public IReadOnlyList<EgressRuleSpec> Rules { get; init; } = [];

    /// <summary>Bounds of each sandbox; the smallest of all policies that apply.</summary>
    public EgressLimitsSpec Limits { get; init; } = new();

    /// <summary>Names that DNS in the sandbox answers, of those that a rule allows: hosts or <c>*.host</c>. Null: all that a rule allows.</summary>
    [Schema(MaxItems = 1000, MinLength = 3, MaxLength = 255)]
    public IReadOnlyList<string>? DnsNames { get; init; }

    /// <summary>Looking into TLS. Only false: this gateway does not open TLS.</summary>
    public bool Inspect { get; init; }

    /// <summary>Whether people may open for a time what no rule allows.</summary>
    public EgressApprovalsSpec Approvals { get; init; } = new();
}

/// <summary>Agents of the policy's namespace. Each part that is given widens whom it holds for; each policy only narrows what they may reach.</summary>
public sealed record EgressAppliesTo
{
    /// <summary>Names of agents, or agent ids of the execute API without an Agent object.</summary>
    [Schema(Name = true, Set = true, MaxItems = 1000)]
    public IReadOnlyList<string> Agents { get; init; } = [];

    /// <summary>Agents that carry all these labels; empty selects none.</summary>
    [Schema(MaxItems = 64)]
    public IReadOnlyDictionary<string, string> MatchLabels { get; init; } = new Dictionary<string, string>();

    /// <summary>Agents of this Universe.</summary>
    [Schema(Name = true)]
    public string? UniverseRef { get; init; }

    /// <summary>Programs of the execute API with <c>network_policy</c> restricted or full. Default false.</summary>
    public bool Executions { get; init; }
}

/// <summary>One rule.</summary>
public sealed record EgressRuleSpec
{
    /// <summary>Unique within the policy.</summary>
    [Schema(MinLength = 1, MaxLength = 128)]
    public required string Name { get; init; }

    /// <summary>
    /// Names such as <c>api.example.com</c>, or <c>*.example.com</c> for all below it (never <c>example.com</c> itself, never <c>evil-example.com</c>). Unicode names as A-labels. Addresses are no hosts.
    /// </summary>
    [Schema(MinItems = 1, MaxItems = 256)]
    public required IReadOnlyList<string> Hosts { get; init; }

    /// <summary>Ports, 1 to 65535. Default 443 and, for http, 80.</summary>
    [Schema(MaxItems = 64, Min = 1, Max = 65535)]
    public IReadOnlyList<int> Ports { get; init; } = [];

    /// <summary><c>tls</c> (a tunnel whose TLS name is the host's), <c>http</c> (plain, each request decided on) or <c>tcp</c> (any bytes). Default tls.</summary>
    [Schema(Enum = ["tls", "http", "tcp"], Set = true, MaxItems = 3)]
    public IReadOnlyList<string> Protocols { get; init; } = ["tls"];

    /// <summary><c>allow</c> (default), <c>deny</c> or <c>ask</c>: denied until a person approves.</summary>
    [Schema(Enum = ["allow", "deny", "ask"])]
    public string Effect { get; init; } = "allow";

    /// <summary>Higher decides first; -1000 to 1000, default 0.</summary>
    [Schema(Min = -1000, Max = 1000)]
    public int Priority { get; init; }

    /// <summary>HTTP methods in capitals; null for all. Only with protocol http.</summary>
    [Schema(MaxItems = 32, Pattern = "^[A-Z]{1,32}$")]
    public IReadOnlyList<string>? Methods { get; init; }

    /// <summary>Paths without query, <c>*</c> for any run of characters; null for all. Only with protocol http.</summary>
    [Schema(MaxItems = 256, MaxLength = 256, Pattern = "^/[!-~]*$")]
    public IReadOnlyList<string>? Paths { get; init; }
}

/// <summary>Bounds of one sandbox; null for the gateway's own.</summary>
public sealed record EgressLimitsSpec
{
    /// <summary>Connections to the gateway at once, 1 to 10000; default 128.</summary>
    [Schema(Min = 1, Max = 10000)]
    public int? Connections { get; init; }

    /// <summary>Tunnels and requests at once, 1 to 10000; default 64.</summary>
    [Schema(Min = 1, Max = 10000)]
    public int? Flows { get; init; }

    /// <summary>New tunnels and requests per second, 1 to 100000; default 50.</summary>
    [Schema(Min = 1, Max = 100000)]
    public int? FlowsPerSecond { get; init; }

    /// <summary>Bytes that the sandbox may send in its life, 0 to 2^50; default 2^30.</summary>
    [Schema(Min = 0, Max = 1L << 50)]
    public long? BytesOut { get; init; }

    /// <summary>Bytes that it may receive in its life, 0 to 2^50; default 2^33.</summary>
    [Schema(Min = 0, Max = 1L << 50)]
    public long? BytesIn { get; init; }

    /// <summary>Seconds without a byte after which a tunnel is closed, 1 to 86400; default 120.</summary>
    [Schema(Min = 1, Max = 86400)]
    public int? IdleSeconds { get; init; }

    /// <summary>Longest life of a tunnel or request in seconds, 1 to 604800; default 3600.</summary>
    [Schema(Min = 1, Max = 604800)]
    public int? FlowSeconds { get; init; }
}

/// <summary>Whether people may open for a time what no rule allows. A rule that denies is never opened.</summary>
public sealed record EgressApprovalsSpec
{
    /// <summary>False: an EgressApproval does not count under this policy. Default true.</summary>
    public bool Allowed { get; init; } = true;

    /// <summary>Longest time that an approval counts under this policy, 60 to 604800 seconds; default 604800 (7 days).</summary>
    [Schema(Min = 60, Max = EgressApprovalSpec.MaxTtlSeconds)]
    public int MaxTtlSeconds { get; init; } = EgressApprovalSpec.MaxTtlSeconds;
}

/// <summary>What the gateway says.</summary>
public sealed record EgressPolicyStatus
{
    /// <summary><c>Enforced</c>: every sandbox that it holds for decides by <see cref="Digest"/>. <c>Invalid</c>: it cannot be compiled, and whom it holds for reaches nothing.</summary>
    [Schema(Enum = ["Enforced", "Invalid"])]
    public string? Phase { get; init; }

    /// <summary>SHA-256 of the compiled rules that the gateway really decides by, read back from it: <c>sha256:</c> and 64 hexadecimal digits.</summary>
    [Schema(MaxLength = 71)]
    public string? Digest { get; init; }

    /// <summary>Generation that was compiled.</summary>
    public long? ObservedGeneration { get; init; }

    /// <summary>Sandboxes that decide by it now.</summary>
    [Schema(Min = 0, Max = int.MaxValue)]
    public int Sandboxes { get; init; }

    /// <summary>Kubernetes conditions, one per type.</summary>
    [Schema(Key = "type", MaxItems = 64)]
    public IReadOnlyList<Condition> Conditions { get; init; } = [];
}
