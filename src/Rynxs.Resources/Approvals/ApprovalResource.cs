using System.Text.Json.Serialization;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Approvals;

/// <summary>A question to a person. Its spec is immutable; its decision is written once.</summary>
[SchemaRule("!has(self.status) || !has(self.status.approver) || self.status.approver != self.spec.requester", "who requests never approves", Reason = "FieldValueForbidden", FieldPath = ".status.approver")]
public sealed record ApprovalResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Approval";

    /// <summary>Desired state.</summary>
    public required ApprovalSpec Spec { get; init; }

    /// <summary>Observed state, written through the status subresource alone.</summary>
    public ApprovalStatus? Status { get; init; }
}

[SchemaRule("self == oldSelf", "an approval's spec is immutable; make another approval", Reason = "FieldValueForbidden")]
public sealed record ApprovalSpec
{
    /// <summary>What is approved: <c>tool</c> (a tool call) or <c>egress</c> (the EgressApproval of the same name).</summary>
    [Schema(Enum = ["tool", "egress"])]
    public required string Kind { get; init; }

    /// <summary>SHA-256 over the canonical {agent, tool, arguments}, or that of the EgressApproval: other arguments are another subject (E5).</summary>
    [Schema(Pattern = "^[0-9a-f]{64}$")]
    public required string SubjectHash { get; init; }

    /// <summary>Principal that asked. It can never decide.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string Requester { get; init; }

    /// <summary>Undecided after this moment counts as rejected.</summary>
    public required DateTimeOffset Expires { get; init; }

    /// <summary>Agent that waits.</summary>
    [Schema(Name = true)]
    public string? Agent { get; init; }

    /// <summary>Tool that is to be called.</summary>
    [Schema(MinLength = 1, MaxLength = 128)]
    public string? Tool { get; init; }

    /// <summary>The arguments as the approver sees them, control characters escaped, at most 4 KiB.</summary>
    [Schema(MaxLength = 4096)]
    public string? Summary { get; init; }

    /// <summary>Task that it is about.</summary>
    [Schema(Name = true)]
    public string? Task { get; init; }
}

[SchemaRule("!has(oldSelf.decision) || self == oldSelf", "a decision is written once", Reason = "FieldValueForbidden", FieldPath = ".decision")]
public sealed record ApprovalStatus
{
    /// <summary><c>Approved</c>, <c>Rejected</c> or <c>Expired</c>; null while open.</summary>
    [Schema(Enum = ["Approved", "Rejected", "Expired"])]
    public string? Decision { get; init; }

    /// <summary>Who decided.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public string? Approver { get; init; }

    /// <summary>When it was decided.</summary>
    public DateTimeOffset? DecidedAt { get; init; }

    /// <summary>Why.</summary>
    [Schema(MaxLength = 1024)]
    public string? Reason { get; init; }
}
