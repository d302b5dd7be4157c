using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Tasks;

/// <summary>A piece of work for an agent.</summary>
public sealed record TaskResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Task";

    public required TaskSpec Spec { get; init; }
    public TaskStatus? Status { get; init; }
}

public sealed record TaskSpec
{
    /// <summary>1 to 256 characters, no control characters.</summary>
    public required string Title { get; init; }

    /// <summary>The instruction, 1 byte to 1 MiB of UTF-8.</summary>
    public required string Description { get; init; }

    /// <summary>Agent in the same namespace; null: any agent that has the required tools.</summary>
    public string? Assignee { get; init; }

    /// <summary><c>low</c>, <c>normal</c> (default), <c>high</c>, <c>critical</c>.</summary>
    public string Priority { get; init; } = "normal";

    /// <summary>After this moment the task fails with reason <c>DeadlineExceeded</c>.</summary>
    public DateTimeOffset? Deadline { get; init; }
    public IReadOnlyList<string> RequiredTools { get; init; } = [];
    public string? Zone { get; init; }

    /// <summary>Tasks in the same namespace that must complete first; one that fails or is cancelled fails this one.</summary>
    public IReadOnlyList<string> Dependencies { get; init; } = [];

    /// <summary>Free-form input for the agent.</summary>
    public JsonElement? Input { get; init; }

    /// <summary>Attempts in all, 1 to 10, default 1. An attempt whose tool call has an unknown outcome is not repeated.</summary>
    public int MaxAttempts { get; init; } = 1;

    /// <summary>Asks for cancellation; cannot be taken back.</summary>
    public bool Cancel { get; init; }
}

public sealed record TaskStatus
{
    /// <summary><c>Pending</c>, <c>Assigned</c>, <c>InProgress</c>, <c>Completed</c>, <c>Failed</c> or <c>Cancelled</c>; the last three are final.</summary>
    public string Phase { get; init; } = "Pending";
    public string? AssignedAgent { get; init; }
    public DateTimeOffset? StartTime { get; init; }
    public DateTimeOffset? CompletionTime { get; init; }
    public int Attempts { get; init; }

    /// <summary>The agent's answer: <c>{"text": …}</c> and what <c>task.complete</c> was given.</summary>
    public JsonElement? Result { get; init; }
    public string? Error { get; init; }
    public IReadOnlyList<Condition> Conditions { get; init; } = [];
}
