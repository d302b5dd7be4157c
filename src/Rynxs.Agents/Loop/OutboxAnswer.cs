using Rynxs.Agents.Inbox;
using Rynxs.Agents.Outbox;

namespace Rynxs.Agents.Loop;

/// <summary>Puts an outbox line together.</summary>
internal static class OutboxAnswer
{
    public static OutboxLine Of(
        InboxMessage message, string status, string text, OutboxError? error, IReadOnlyList<JournaledCall> calls, DateTimeOffset now) => new()
        {
            Id = message.Id,
            T = now,
            Input = Cut(message.Text),
            TaskId = message.TaskId,
            Status = status,
            Output = new OutboxOutput(text),
            Results = [.. calls.TakeLast(OutboxLine.MaxResults).Select(call => call.Summary)],
            Error = error,
        };

    /// <summary>Bounds a text, never between the halves of a surrogate pair.</summary>
    public static string Cut(string text)
    {
        if (text.Length <= OutboxLine.MaxInputLength)
        {
            return text;
        }

        int end = OutboxLine.MaxInputLength;
        return text[..(char.IsHighSurrogate(text[end - 1]) ? end - 1 : end)];
    }
}
