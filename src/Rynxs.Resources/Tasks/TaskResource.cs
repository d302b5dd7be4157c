using System.Text.Json.Serialization;
using System.Text.Json;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Tasks;

/// <summary>A piece of work for an agent.</summary>
public sealed record TaskResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Task";

    /// <summary>Desired state.</summary>
    public required TaskSpec Spec { get; init; }

    /// <summary>Observed state, written through the status subresource alone.</summary>
    public TaskStatus? Status { get; init; }
}

[SchemaRule("!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)", "a cancellation cannot be taken back", Reason = "FieldValueForbidden", FieldPath = ".cancel")]
public sealed record TaskSpec
{
    /// <summary>1 to 256 characters, no control characters.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string Title { get; init; }

    /// <summary>The instruction, 1 byte to 1 MiB of UTF-8.</summary>
    [Schema(MinLength = 1, MaxLength = 1048576)]
    public required string Description { get; init; }

    /// <summary>Agent in the same namespace; null: any agent that has the required tools.</summary>
    [Schema(Name = true)]
    public string? Assignee { get; init; }

    /// <summary><c>low</c>, <c>normal</c> (default), <c>high</c>, <c>critical</c>.</summary>
    [Schema(Enum = ["low", "normal", "high", "critical"])]
    public string Priority { get; init; } = "normal";

    /// <summary>After this moment the task fails with reason <c>DeadlineExceeded</c>.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>Tools that the agent must have, by full name.</summary>
    [Schema(MaxItems = 64, Pattern = "^[a-z0-9_.-]{1,128}$")]
    public IReadOnlyList<string> RequiredTools { get; init; } = [];

    /// <summary>Zone that the task belongs to.</summary>
    [Schema(MinLength = 1, MaxLength = 63)]
    public string? Zone { get; init; }

    /// <summary>Tasks in the same namespace that must complete first; one that fails or is cancelled fails this one.</summary>
    [Schema(Name = true, Set = true, MaxItems = 256)]
    public IReadOnlyList<string> Dependencies { get; init; } = [];

    /// <summary>Free-form input for the agent.</summary>
    public JsonElement? Input { get; init; }

    /// <summary>Attempts in all, 1 to 10, default 1. An attempt whose tool call has an unknown outcome is not repeated.</summary>
    [Schema(Min = 1, Max = 10)]
    public int MaxAttempts { get; init; } = 1;

    /// <summary>Asks for cancellation; cannot be taken back.</summary>
    public bool Cancel { get; init; }
}

public sealed record TaskStatus
{
    /// <summary><c>Pending</c>, <c>Assigned</c>, <c>InProgress</c>, <c>Completed</c>, <c>Failed</c> or <c>Cancelled</c>; the last three are final.</summary>
    [Schema(Enum = ["Pending", "Assigned", "InProgress", "Completed", "Failed", "Cancelled"])]
    public string Phase { get; init; } = "Pending";

    /// <summary>Agent that has it.</summary>
    [Schema(Name = true)]
    public string? AssignedAgent { get; init; }

    /// <summary>When work began.</summary>
    public DateTimeOffset? StartTime { get; init; }

    /// <summary>When it ended.</summary>
    public DateTimeOffset? CompletionTime { get; init; }

    /// <summary>Attempts so far.</summary>
    [Schema(Min = 0, Max = 1000)]
    public int Attempts { get; init; }

    /// <summary>The agent's answer: <c>{"text": …}</c> and what <c>task.complete</c> was given.</summary>
    public JsonElement? Result { get; init; }

    /// <summary>Why it failed.</summary>
    [Schema(MaxLength = 1048576)]
    public string? Error { get; init; }

    /// <summary>Kubernetes conditions, one per type.</summary>
    [Schema(Key = "type", MaxItems = 64)]
    public IReadOnlyList<Condition> Conditions { get; init; } = [];
}
