using System.Text.Json;

namespace Rynxs.Agents.Inbox;

/// <summary>How urgent. Higher values first; equal ones in order of arrival.</summary>
internal enum MessagePriority
{
    Low,
    Normal,
    High,
    Critical,
}

/// <summary>An accepted line of the inbox.</summary>
internal sealed record InboxMessage
{
    /// <summary>1 to 128 of <c>[A-Za-z0-9._-]</c>; from the line, else derived from its place and content.</summary>
    public required string Id { get; init; }

    /// <summary>What to do.</summary>
    public required string Text { get; init; }

    /// <summary>From <c>task_id</c>; null for a plain message.</summary>
    public string? TaskId { get; init; }
    public string? Title { get; init; }
    public MessagePriority Priority { get; init; } = MessagePriority.Normal;
    public DateTimeOffset? Deadline { get; init; }
    public JsonElement? Input { get; init; }
}

/// <summary>What became of one line.</summary>
internal abstract record InboxLine
{
    private InboxLine()
    {
    }

    public sealed record Accepted(InboxMessage Message) : InboxLine;

    /// <param name="Code">Stable code of the record.</param>
    /// <param name="Detail">What is wrong, for people.</param>
    public sealed record Rejected(string Code, string Detail) : InboxLine;

    /// <summary>An empty line: nothing was meant.</summary>
    public sealed record Blank : InboxLine;
}
