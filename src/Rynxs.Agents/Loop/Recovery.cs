using System.Diagnostics;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Providers;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Agents.Loop;

/// <summary>Carries out a <see cref="RecoveryPlan"/>. Every action is idempotent: a crash in the middle leads to the rest of the same plan.</summary>
internal sealed class Recovery(
    AgentContext context, AgentPaths paths, OutboxFile outbox, PendingMessages pending, Func<ReceivedMessage, OutboxLine, FinishSteps, Task> finishAsync)
{
    /// <summary>Returns the journal of the message to go on with, if any.</summary>
    public async Task<ConversationJournal?> RunAsync(CancellationToken cancellationToken)
    {
        ConversationJournal? journal = ConversationJournal.Load(paths.Journal);
        var fold = new RecoveryFold(context.Audit.Chain.Epoch);
        await foreach (LedgerRecord record in context.Audit.Chain.ReadAsync(0, cancellationToken))
        {
            fold.Add(record);
        }

        IReadOnlyDictionary<string, OutboxLine> answered = outbox.Find(fold.Unanswered);
        RecoveryPlan plan = fold.Plan(journal, answered.Keys.ToHashSet());
        foreach (string id in plan.KnownMessageIds)
        {
            pending.Remember(id);
        }

        foreach (RecoveryAction action in plan.Actions)
        {
            await ApplyAsync(action, journal, answered, cancellationToken);
        }

        return journal;
    }

    private async Task ApplyAsync(
        RecoveryAction action, ConversationJournal? journal, IReadOnlyDictionary<string, OutboxLine> answered, CancellationToken cancellationToken)
    {
        switch (action)
        {
            case RecoveryAction.CloseSandbox close:
                if (close.Sandbox != context.Sandbox.CurrentId)
                {
                    await context.Audit.AppendAsync(new SandboxEnded { Sandbox = close.Sandbox, Reason = "host_restarted" }, cancellationToken);
                }

                break;
            case RecoveryAction.RecordKnownOutcome known when journal is not null:
                await RecordKnownAsync(known, journal, cancellationToken);
                break;
            case RecoveryAction.RecordUnknownOutcome unknown:
                await context.Audit.AppendAsync(
                    new ToolOutcome { CallId = unknown.CallId, Tool = unknown.Tool, Status = "unknown" }, cancellationToken);
                break;
            case RecoveryAction.RecordAnswer recorded:
                await finishAsync(new ReceivedMessage(recorded.MessageId, "", answered[recorded.MessageId].TaskId), answered[recorded.MessageId],
                    recorded.TaskRecorded ? FinishSteps.AnswerRecord : FinishSteps.Records);
                break;
            case RecoveryAction.AnswerFailed failed:
                await AnswerFailedAsync(failed, journal, cancellationToken);
                break;
            case RecoveryAction.Resume resume:
                await ResumeAsync(resume, cancellationToken);
                break;
            default:
                throw new UnreachableException();
        }
    }

    private async Task ResumeAsync(RecoveryAction.Resume resume, CancellationToken cancellationToken)
    {
        if (resume.FromJournal)
        {
            pending.AddFirst(resume.Message);
            return;
        }

        InboxMessage? message = await MessageText.LoadAsync(context.Audit, resume.Message, cancellationToken);
        pending.Add(resume.Message, message?.Priority ?? MessagePriority.Normal);
    }

    private async Task RecordKnownAsync(RecoveryAction.RecordKnownOutcome known, ConversationJournal journal, CancellationToken cancellationToken)
    {
        JournaledCall call = journal.Calls.First(call => call.CallId == known.CallId);
        ConversationTurn.Tool? turn = journal.Turns.OfType<ConversationTurn.Tool>().FirstOrDefault(turn => turn.CallId == known.CallId);
        RecordedText content = AuditTrail.Preview(turn?.Content ?? "");
        await context.Audit.AppendAsync(
            new ToolOutcome
            {
                CallId = known.CallId,
                Tool = known.Tool,
                Status = call.Summary.Ok ? "ok" : "error",
                ExitCode = call.Summary.ExitCode,
                TerminationReason = call.Summary.TerminationReason,
                Result = content.Committed,
                DurationMs = call.DurationMs,
                Violations = call.Violations.Count > 0 ? call.Violations : null,
            },
            cancellationToken,
            content);
    }

    private async Task AnswerFailedAsync(RecoveryAction.AnswerFailed failed, ConversationJournal? journal, CancellationToken cancellationToken)
    {
        string text = failed.Code == RecoveryPlan.OutcomeUnknown
            ? "Work was cut off while a tool ran (the process ended, or its disk failed); whether it took effect is unknown, so it is not repeated. Look at its effects, then send the message again."
            : "Work was cut off after tools had run and the conversation is lost; it is not started over, so that nothing happens twice.";
        InboxMessage message = await MessageText.LoadAsync(context.Audit, failed.Message, cancellationToken)
            ?? new InboxMessage { Id = failed.Message.Id, Text = "", TaskId = failed.Message.Task };
        IReadOnlyList<JournaledCall> calls = journal?.MessageId == failed.Message.Id ? journal.Calls : [];
        await finishAsync(
            failed.Message,
            OutboxAnswer.Of(message, "failed", "", new OutboxError(failed.Code, text), calls, context.TimeProvider.GetUtcNow()),
            FinishSteps.All);
    }
}
