namespace Rynxs.Ledger.Events;

/// <summary>A line of the inbox was accepted.</summary>
public sealed record MessageReceived : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(MessageReceived);

    public required string MessageId { get; init; }

    /// <summary>Byte offset of the line in the inbox.</summary>
    public required long Offset { get; init; }

    public required CommittedText Text { get; init; }

    /// <summary>Name of the Task this message carries out; null for a plain message.</summary>
    public string? Task { get; init; }
}

/// <summary>A line of the inbox was set aside: it is not a valid message.</summary>
public sealed record MessageRejected : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(MessageRejected);

    public required long Offset { get; init; }

    /// <summary>Stable code, such as <c>invalid_json</c>, <c>too_long</c>, <c>invalid_utf8</c>.</summary>
    public required string Reason { get; init; }

    public required CommittedText Line { get; init; }
}

/// <summary>The answer to a message was written to the outbox.</summary>
public sealed record MessageAnswered : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(MessageAnswered);

    public required string MessageId { get; init; }

    /// <summary><c>completed</c>, <c>failed</c> or <c>cancelled</c>.</summary>
    public required string Status { get; init; }

    public required CommittedText Text { get; init; }
}

/// <summary>An attempt at a task began.</summary>
public sealed record TaskStarted : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(TaskStarted);

    public required string Task { get; init; }
    public required int Attempt { get; init; }
}

/// <summary>A task reached a final phase.</summary>
public sealed record TaskFinished : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(TaskFinished);

    public required string Task { get; init; }
    public required int Attempt { get; init; }

    /// <summary><c>Completed</c>, <c>Failed</c> or <c>Cancelled</c>.</summary>
    public required string Phase { get; init; }

    /// <summary>Stable code when not completed.</summary>
    public string? Reason { get; init; }
}

/// <summary>The model answered once.</summary>
public sealed record ModelTurn : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ModelTurn);

    public required string MessageId { get; init; }
    public required int Step { get; init; }
    public required string Provider { get; init; }
    public string? Model { get; init; }
    public long? PromptTokens { get; init; }
    public long? CompletionTokens { get; init; }
    public required int ToolCalls { get; init; }
    public CommittedText? Text { get; init; }
}

/// <summary>The policy answered whether a tool may be called.</summary>
public sealed record PolicyDecided : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(PolicyDecided);

    public required string CallId { get; init; }
    public required string Tool { get; init; }

    /// <summary><c>allow</c>, <c>deny</c> or <c>ask</c>.</summary>
    public required string Verdict { get; init; }

    /// <summary>Name of the deciding rule; null when none matched.</summary>
    public string? Rule { get; init; }

    /// <summary>Stable code of the reason.</summary>
    public required string Reason { get; init; }

    public required CommittedText Arguments { get; init; }
}

/// <summary>A tool is about to run: durable before the effect begins.</summary>
public sealed record ToolIntent : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ToolIntent);

    public required string CallId { get; init; }
    public required string Tool { get; init; }
    public required CommittedText Arguments { get; init; }

    /// <summary>The sandbox it runs in; null for tools that need none.</summary>
    public string? Sandbox { get; init; }

    /// <summary>Digest of the root filesystem really used.</summary>
    public string? ImageDigest { get; init; }

    /// <summary>The approval that allowed it; null when none was needed.</summary>
    public string? Approval { get; init; }
}

/// <summary>How a tool call ended.</summary>
public sealed record ToolOutcome : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ToolOutcome);

    public required string CallId { get; init; }
    public required string Tool { get; init; }

    /// <summary><c>ok</c>, <c>error</c>, or <c>unknown</c> when we died between effect and record: such a call is never repeated by itself.</summary>
    public required string Status { get; init; }

    public int? ExitCode { get; init; }
    public string? TerminationReason { get; init; }
    public CommittedText? Result { get; init; }
    public long? DurationMs { get; init; }
    public IReadOnlyList<string>? Violations { get; init; }
}

/// <summary>A sandbox came up, with the controls that were probed in it.</summary>
public sealed record SandboxStarted : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(SandboxStarted);

    public required string Sandbox { get; init; }
    public required string Runtime { get; init; }
    public required string Image { get; init; }
    public required string ImageDigest { get; init; }
    public required IReadOnlyList<SandboxControl> Controls { get; init; }
}

/// <summary>One control of a sandbox: what was asked, what enforces it, how it was probed, what the probe saw.</summary>
public sealed record SandboxControl(string Control, string Requested, string EnforcedBy, string Probe, string Result);

/// <summary>A sandbox is gone.</summary>
public sealed record SandboxEnded : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(SandboxEnded);

    public required string Sandbox { get; init; }
    public required string Reason { get; init; }
}

/// <summary>Something inside a sandbox tried what a rule watches for.</summary>
public sealed record SandboxViolation : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(SandboxViolation);

    public required string ViolationId { get; init; }
    public required string Sandbox { get; init; }
    public string? CallId { get; init; }
    public required string ViolationType { get; init; }
    public required string Severity { get; init; }
    public required string DetectionLayer { get; init; }
    public required bool Blocked { get; init; }
    public required CommittedText Indicators { get; init; }
}

/// <summary>An action waits for a decision by a person.</summary>
public sealed record ApprovalRequested : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ApprovalRequested);

    public required string Approval { get; init; }
    public required string CallId { get; init; }
    public required string Tool { get; init; }
    public required string SubjectHash { get; init; }

    /// <summary>RFC 3339 UTC.</summary>
    public required string Expires { get; init; }
}

/// <summary>An approval was decided, or expired.</summary>
public sealed record ApprovalDecided : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ApprovalDecided);

    public required string Approval { get; init; }

    /// <summary><c>Approved</c>, <c>Rejected</c> or <c>Expired</c>.</summary>
    public required string Decision { get; init; }
    public required string SubjectHash { get; init; }
    public required string Approver { get; init; }
}
