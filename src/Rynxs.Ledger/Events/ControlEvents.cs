using System.Text.Json;

namespace Rynxs.Ledger.Events;

/// <summary>An Agent's spec was seen in a new form. Fields as in the original log (docs/formats/ledger.md, section "Events").</summary>
public sealed record AgentObserved : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(AgentObserved);

    public required string Name { get; init; }
    public required string Namespace { get; init; }
    public required IReadOnlyDictionary<string, string> Labels { get; init; }
    public required IReadOnlyDictionary<string, string> Annotations { get; init; }

    /// <summary>The spec with defaults applied. Object structure only: an Agent's spec holds no Secret data.</summary>
    public required JsonElement Spec { get; init; }

    /// <summary>First 16 hexadecimal digits of SHA-256 over the canonical spec.</summary>
    public required string SpecHash { get; init; }

    public required long ObservedLogicalTime { get; init; }
}

/// <summary>An Agent is going away: its deletion was asked for, or the object is gone.</summary>
public sealed record AgentDeletionObserved : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(AgentDeletionObserved);

    public required string Name { get; init; }
    public required string Namespace { get; init; }
    public required long ObservedLogicalTime { get; init; }
}

/// <summary>What the pure decider wants done: the intent, appended before any action runs.</summary>
public sealed record ActionsDecided : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ActionsDecided);

    public required string AgentId { get; init; }
    public required long TriggerEventSeq { get; init; }
    public required string TriggerEventHash { get; init; }
    public required string TriggerEventType { get; init; }
    public string? TriggerSpecHash { get; init; }
    public required IReadOnlyList<DecidedAction> Actions { get; init; }

    /// <summary>SHA-256 over the canonical list of actions.</summary>
    public required string ActionsHash { get; init; }

    public required IReadOnlyList<string> ActionIds { get; init; }
}

/// <summary>One decided action, as data.</summary>
/// <param name="ActionType">Such as <c>EnsureWorkspace</c>.</param>
/// <param name="Target"><c>NAMESPACE/NAME</c>.</param>
/// <param name="Params">Parameters; canonical JSON object.</param>
public sealed record DecidedAction(string ActionType, string Target, JsonElement Params);

/// <summary>A decided action took effect.</summary>
public sealed record ActionApplied : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ActionApplied);

    public required string ActionId { get; init; }
    public required string ActionType { get; init; }
    public required string Target { get; init; }
    public string Status { get; init; } = "success";

    /// <summary><c>CREATED</c>, <c>PATCHED</c>, <c>DELETED</c> or <c>ALREADY_MATCHED</c>.</summary>
    public required string ResultCode { get; init; }

    /// <summary><c>KIND/NAMESPACE/NAME</c>; only where the action is about one Kubernetes object, as in the original.</summary>
    public string? ResourceRef { get; init; }

    /// <summary><c>create</c>, <c>patch</c>, <c>noop</c> or <c>skip</c>; only with <see cref="ResourceRef"/>.</summary>
    public string? Operation { get; init; }

    /// <summary>Nothing had to be changed; only with <see cref="ResourceRef"/>.</summary>
    public bool? Noop { get; init; }

    /// <summary>HTTP status of the API's answer, 0 when it was not asked.</summary>
    public int? StatusCode { get; init; }

    /// <summary>SHA-256 of what was wanted.</summary>
    public string? DesiredHash { get; init; }

    /// <summary>SHA-256 of what was found.</summary>
    public string? ObservedHash { get; init; }
}

/// <summary>A decided action failed; it will be retried with backoff.</summary>
public sealed record ActionFailed : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ActionFailed);

    public required string ActionId { get; init; }
    public required string ActionType { get; init; }
    public required string Target { get; init; }
    public required string ResultCode { get; init; }
    public required ActionError Error { get; init; }

    /// <summary>As in <see cref="ActionApplied.ResourceRef"/>.</summary>
    public string? ResourceRef { get; init; }

    /// <summary>As in <see cref="ActionApplied.DesiredHash"/>.</summary>
    public string? DesiredHash { get; init; }
}

/// <summary>What an applied action had brought about is no longer as it was: somebody else changed or removed it. The action is to be run again.</summary>
public sealed record DriftObserved : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(DriftObserved);

    public required string ActionId { get; init; }
    public required string ActionType { get; init; }
    public required string Target { get; init; }

    /// <summary>The objects that differ, as <c>KIND/NAMESPACE/NAME</c>.</summary>
    public required IReadOnlyList<string> Objects { get; init; }
}

/// <summary>Why an action failed: names and codes only, no message text (messages may carry secrets).</summary>
/// <param name="Type">Class of the failure.</param>
/// <param name="Code">Stable code.</param>
/// <param name="Status">HTTP status, where an API answered.</param>
/// <param name="Reason">The API's reason word, where it gave one.</param>
public sealed record ActionError(string Type, string Code, int? Status = null, string? Reason = null);

/// <summary>A writer opened the chain: the first record of each epoch.</summary>
public sealed record LedgerOpened : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(LedgerOpened);

    public required long Epoch { get; init; }

    /// <summary>Length of a torn tail that was set aside at this open; null when there was none.</summary>
    public long? TornBytes { get; init; }

    /// <summary>SHA-256 of that tail.</summary>
    public string? TornSha256 { get; init; }
}

/// <summary>A resource was created, changed or deleted: who did what to which object, and a commitment to its new content.</summary>
public sealed record ResourceMutated : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ResourceMutated);

    /// <summary><c>create</c>, <c>update</c>, <c>patch</c>, <c>update-status</c> or <c>delete</c>.</summary>
    public required string Verb { get; init; }
    public required string Kind { get; init; }
    public string? Namespace { get; init; }
    public required string Name { get; init; }
    public required string Uid { get; init; }
    public required long ResourceVersion { get; init; }
    public required string Commitment { get; init; }
}

/// <summary>A request was refused by authentication or authorisation.</summary>
public sealed record RequestDenied : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(RequestDenied);

    public required string Verb { get; init; }
    public required string Resource { get; init; }
    public required string Reason { get; init; }

    /// <summary>How many refusals this record stands for; null for one. A flood is recorded as a sum, so that it cannot fill the disk.</summary>
    public long? Count { get; init; }
}
