using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Agents.Outbox;

/// <summary>One line of <c>outbox.jsonl</c>: the answer to one message.</summary>
public sealed record OutboxLine
{
    /// <summary>Id of the message; null for the error line of a rejected inbox line.</summary>
    public string? Id { get; init; }

    /// <summary>When, UTC.</summary>
    public required DateTimeOffset T { get; init; }

    /// <summary>The message's text, at most <see cref="MaxInputLength"/> characters.</summary>
    public string? Input { get; init; }
    public string? TaskId { get; init; }

    /// <summary><c>completed</c>, <c>failed</c>, <c>cancelled</c>; <c>rejected</c> for a line that was no message.</summary>
    public required string Status { get; init; }
    public OutboxOutput? Output { get; init; }

    /// <summary>What was given to <c>task.complete</c>.</summary>
    public JsonElement? Result { get; init; }

    /// <summary>The tool calls, in order; at most <see cref="MaxResults"/>, the last ones.</summary>
    public IReadOnlyList<OutboxToolResult> Results { get; init; } = [];
    public OutboxError? Error { get; init; }

    internal const int MaxInputLength = 4096;
    internal const int MaxResults = 200;
}

/// <summary>The answer's text.</summary>
public sealed record OutboxOutput(string Text);

/// <summary>Why not completed.</summary>
/// <param name="Code">Stable, such as <c>outcome_unknown</c>, <c>deadline_exceeded</c>, <c>model_failed</c>, <c>tool_denied</c>.</param>
/// <param name="Message">For people; no secrets.</param>
public sealed record OutboxError(string Code, string Message);

/// <summary>One tool call, in short.</summary>
public sealed record OutboxToolResult
{
    public required string Tool { get; init; }
    public required bool Ok { get; init; }
    public int? ExitCode { get; init; }

    /// <summary>snake_case termination reason, for sandbox tools.</summary>
    public string? TerminationReason { get; init; }

    /// <summary>What the tool said, at most 4 KiB.</summary>
    public string? Output { get; init; }
    public string? Error { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(OutboxLine))]
internal sealed partial class OutboxContext : JsonSerializerContext;
