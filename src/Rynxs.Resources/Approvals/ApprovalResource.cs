using System.Text.Json.Serialization;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Approvals;

/// <summary>A question to a person. Its spec is immutable; its decision is written once.</summary>
public sealed record ApprovalResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Approval";

    public required ApprovalSpec Spec { get; init; }
    public ApprovalStatus? Status { get; init; }
}

public sealed record ApprovalSpec
{
    /// <summary>What is approved: <c>tool</c> (a tool call).</summary>
    public required string Kind { get; init; }

    /// <summary>SHA-256 over the canonical {agent, tool, arguments}: other arguments are another subject (E5).</summary>
    public required string SubjectHash { get; init; }

    /// <summary>Principal that asked. It can never decide.</summary>
    public required string Requester { get; init; }

    /// <summary>Undecided after this moment counts as rejected.</summary>
    public required DateTimeOffset Expires { get; init; }

    /// <summary>Agent that waits.</summary>
    public string? Agent { get; init; }
    public string? Tool { get; init; }

    /// <summary>The arguments as the approver sees them, control characters escaped, at most 4 KiB.</summary>
    public string? Summary { get; init; }
    public string? Task { get; init; }
}

public sealed record ApprovalStatus
{
    /// <summary><c>Approved</c>, <c>Rejected</c> or <c>Expired</c>; null while open.</summary>
    public string? Decision { get; init; }
    public string? Approver { get; init; }
    public DateTimeOffset? DecidedAt { get; init; }
    public string? Reason { get; init; }
}
