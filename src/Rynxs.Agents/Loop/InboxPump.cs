using System.Text;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Outbox;
using Rynxs.Ledger.Events;

namespace Rynxs.Agents.Loop;

/// <summary>
/// Moves lines from the inbox into the agent's chain. A line counts as received when its record is durable; the cursor only saves reading
/// it again, and ids make reading it again harmless.
/// </summary>
internal sealed class InboxPump(AgentPaths paths, AuditTrail audit, OutboxFile outbox, PendingMessages pending, TimeProvider timeProvider)
{
    private const int SaveEvery = 64;

    private readonly InboxReader _reader = new(paths.Inbox);
    private InboxCursor _cursor = InboxCursor.Load(paths.Cursor);

    /// <summary>Reads until nothing whole is left or enough messages wait.</summary>
    public async Task PumpAsync(int maxPending, CancellationToken cancellationToken)
    {
        InboxCursor saved = _cursor;
        try
        {
            for (int read = 1; pending.Count < maxPending; read++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                InboxReader.Step step = _reader.Read(_cursor);
                if (step is InboxReader.Step.Nothing nothing)
                {
                    _cursor = nothing.Next;
                    return;
                }

                _cursor = await TakeAsync(step, cancellationToken);
                if (read % SaveEvery == 0)
                {
                    _cursor.Save(paths.Cursor);
                    saved = _cursor;
                }
            }
        }
        finally
        {
            if (_cursor != saved)
            {
                _cursor.Save(paths.Cursor);
            }
        }
    }

    private async Task<InboxCursor> TakeAsync(InboxReader.Step step, CancellationToken cancellationToken)
    {
        switch (step)
        {
            case InboxReader.Step.Line line:
                await TakeLineAsync(line, cancellationToken);
                return line.Next;
            case InboxReader.Step.Oversized oversized:
                await RejectAsync("too_long", $"A line has at most {InboxLineParser.MaxLineBytes} bytes.", oversized.Offset, oversized.Start, cancellationToken);
                return oversized.Next;
            case InboxReader.Step.Replaced replaced:
                await RejectAsync("inbox_replaced", $"The inbox was truncated or replaced: {replaced.Detail}. It is read from the beginning.", 0, [], cancellationToken);
                return replaced.Next;
            case InboxReader.Step.Nothing nothing:
                return nothing.Next;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private async Task TakeLineAsync(InboxReader.Step.Line line, CancellationToken cancellationToken)
    {
        switch (InboxLineParser.Parse(line.Content, line.Offset, _cursor.Generation))
        {
            case InboxLine.Accepted { Message: var message } when !pending.IsKnown(message.Id):
                RecordedText text = AuditTrail.Whole(line.Content);
                await audit.AppendAsync(
                    new MessageReceived { MessageId = message.Id, Offset = line.Offset, Text = text.Committed, Task = message.TaskId },
                    cancellationToken,
                    text);
                pending.Add(new ReceivedMessage(message.Id, text.Committed.Commitment, message.TaskId), message.Priority);
                break;
            case InboxLine.Rejected rejected:
                await RejectAsync(rejected.Code, rejected.Detail, line.Offset, line.Content, cancellationToken);
                break;
        }
    }

    private async Task RejectAsync(string code, string detail, long offset, byte[] content, CancellationToken cancellationToken)
    {
        RecordedText line = AuditTrail.Preview(Encoding.UTF8.GetString(content.AsSpan(0, Math.Min(content.Length, AuditTrail.MaxPreviewBytes))));
        await audit.AppendAsync(
            new MessageRejected { Offset = offset, Reason = code, Line = line.Committed with { Bytes = content.Length } },
            cancellationToken,
            line);
        outbox.Append(new OutboxLine
        {
            T = timeProvider.GetUtcNow(),
            Status = "rejected",
            Error = new OutboxError(code, $"Line at byte {offset} of the inbox: {detail}"),
        });
    }
}
