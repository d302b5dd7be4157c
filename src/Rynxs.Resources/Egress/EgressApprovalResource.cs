using System.Text.Json.Serialization;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Egress;

/// <summary>
/// Opens hosts to one agent for a time, once a person has approved. Its spec is immutable; the decision is that of the Approval of the same name, which
/// the server makes for it. Deleting it takes the permission away at once.
/// </summary>
public sealed record EgressApprovalResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "EgressApproval";

    /// <summary>What is asked for.</summary>
    public required EgressApprovalSpec Spec { get; init; }

    /// <summary>Observed state, written through the status subresource alone. It shows and permits nothing: the Approval decides.</summary>
    public EgressApprovalStatus? Status { get; init; }
}

[SchemaRule("self == oldSelf", "an approval's spec is immutable; make another one", Reason = "FieldValueForbidden")]
public sealed record EgressApprovalSpec
{
    /// <summary>7 days.</summary>
    public const int MaxTtlSeconds = 604_800;

    /// <summary>Agent, or agent id of the execute API.</summary>
    [Schema(Name = true)]
    public required string Agent { get; init; }

    /// <summary>What is to be opened: 1 to 16.</summary>
    [Schema(MinItems = 1, MaxItems = 16)]
    public required IReadOnlyList<EgressApprovalHost> Hosts { get; init; }

    /// <summary>Why, on one line.</summary>
    [Schema(MinLength = 1, MaxLength = 512)]
    public required string Reason { get; init; }

    /// <summary>Principal that asks. It can never decide.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string Requester { get; init; }

    /// <summary>How long it is open from the decision on: 60 to 604800 seconds, default 86400 (24 hours).</summary>
    [Schema(Min = 60, Max = MaxTtlSeconds)]
    public int TtlSeconds { get; init; } = 86_400;

    /// <summary>SHA-256 over agent, hosts and time; filled in when left out, refused when it is another's.</summary>
    [Schema(Pattern = "^[0-9a-f]{64}$")]
    public string? SubjectHash { get; init; }
}

/// <summary>One host.</summary>
public sealed record EgressApprovalHost
{
    /// <summary>A name; no wildcard, no address.</summary>
    [Schema(MinLength = 3, MaxLength = 253)]
    public required string Host { get; init; }

    /// <summary>1 to 65535, default 443.</summary>
    [Schema(Min = 1, Max = 65535)]
    public int Port { get; init; } = 443;

    /// <summary><c>tls</c> (default), <c>http</c> or <c>tcp</c>.</summary>
    [Schema(Enum = ["tls", "http", "tcp"])]
    public string Protocol { get; init; } = "tls";
}

/// <summary>What became of it.</summary>
public sealed record EgressApprovalStatus
{
    /// <summary><c>Pending</c>, <c>Active</c>, <c>Denied</c> or <c>Expired</c>.</summary>
    [Schema(Enum = ["Pending", "Active", "Denied", "Expired"])]
    public string? Phase { get; init; }

    /// <summary>Who decided.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public string? Approver { get; init; }

    /// <summary>When it was decided.</summary>
    public DateTimeOffset? DecidedAt { get; init; }

    /// <summary>Until when it is open.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }
}
