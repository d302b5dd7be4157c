using System.Diagnostics;
using System.Text.Json;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Providers;
using Rynxs.Agents.Tasks;
using Rynxs.Agents.Tools;
using Rynxs.Ledger.Events;

namespace Rynxs.Agents.Loop;

/// <summary>Works on one message until it is answered: model turn, calls, results back, again. Starts anywhere in that cycle, from the journal.</summary>
internal sealed class MessageRun(AgentContext context, InboxMessage message, ConversationJournal? journal)
{
    private const string DefaultSystemPrompt =
        "You are an agent with a computer of your own: a workspace in /workspace/files and a sandbox without network. "
        + "Use the tools to do the work, check what they return, and answer with the result. Call task.complete to end with a structured result.";

    // A task_id that somebody wrote by hand names no Task of ours and may be any text.
    private readonly ToolCaller _caller = new(context, TaskMessageId.TryParse(message.Id, out _, out _) ? message.TaskId : null);
    private ConversationJournal _journal = journal ?? new ConversationJournal
    {
        MessageId = message.Id,
        Turns = [new ConversationTurn.User(message.Text)],
    };

    /// <summary>The answer, or null when the loop stops and the message waits for the next one.</summary>
    public async Task<OutboxLine?> RunAsync(MessageStop stop)
    {
        try
        {
            await context.RefreshPolicyAsync(stop.Waiting);
            return await WorkAsync(stop);
        }
        catch (OperationCanceledException) when (stop.Cause != StopCause.None)
        {
            return OfCause(stop.Cause);
        }
        catch (ModelProviderException failed)
        {
            return Failed(_journal.Calls is [.., { Summary: { Ok: false, Error: { } code } }] && failed.Code == "tool_failed" ? code : failed.Code, failed.Message);
        }
    }

    private async Task<OutboxLine?> WorkAsync(MessageStop stop)
    {
        while (true)
        {
            foreach (ToolRequest call in OpenCalls())
            {
                stop.Waiting.ThrowIfCancellationRequested();
                await _caller.CallAsync(call, stop, (result, milliseconds) => Keep(call, result, milliseconds));
                if (_journal.Result is { } completed)
                {
                    return Answer("completed", completed.GetRawText(), null) with { Result = completed };
                }
            }

            stop.Waiting.ThrowIfCancellationRequested();
            if (_journal.Turns[^1] is ConversationTurn.Assistant { Calls.Count: 0 } last)
            {
                return Answer("completed", last.Text ?? "", null);
            }

            if (_journal.Steps >= context.Spec.Limits.MaxSteps)
            {
                return Failed("max_steps", $"No answer after {context.Spec.Limits.MaxSteps} model turns (spec.limits.maxSteps).");
            }

            await AskModelAsync(stop);
        }
    }

    // Calls of the last answer that have no result yet, in order.
    private IReadOnlyList<ToolRequest> OpenCalls()
    {
        HashSet<string> done = [.. _journal.Turns.OfType<ConversationTurn.Tool>().Select(turn => turn.CallId)];
        return _journal.Turns.OfType<ConversationTurn.Assistant>().LastOrDefault() is { } assistant
            ? [.. assistant.Calls.Where(call => !done.Contains(call.CallId))]
            : [];
    }

    private async Task AskModelAsync(MessageStop stop)
    {
        int step = _journal.Steps + 1;
        var request = new ModelRequest(_journal.Turns, VisibleTools(), context.Spec.Provider.SystemPrompt ?? DefaultSystemPrompt) { Input = message.Input };
        ModelReply reply = await context.Provider.CompleteAsync(request, stop.Waiting);
        ToolRequest[] calls = [.. reply.Calls.Select((call, index) => new ToolRequest($"{message.Id}/{step}/{index}", call.Tool, call.Arguments))];
        RecordedText? text = string.IsNullOrEmpty(reply.Text) ? null : AuditTrail.Preview(reply.Text);
        await context.Audit.AppendAsync(
            new ModelTurn
            {
                MessageId = message.Id,
                Step = step,
                Provider = context.Provider.Name,
                Model = reply.Model ?? context.Spec.Provider.Model,
                PromptTokens = reply.PromptTokens,
                CompletionTokens = reply.CompletionTokens,
                ToolCalls = calls.Length,
                Text = text?.Committed,
            },
            stop.Waiting,
            text);
        Save(_journal with { Steps = step, Turns = [.. _journal.Turns, new ConversationTurn.Assistant(reply.Text, calls)] });
    }

    // What can never be allowed need not be shown. The policy decides all the same.
    private IReadOnlyList<ToolDefinition> VisibleTools() =>
    [
        .. context.Tools.Definitions.Where(tool =>
            context.Gate.Model.Rules.Any(rule => rule.Effect != Policy.Rules.RuleEffect.Deny && rule.Tools.Any(glob => glob.IsMatch(tool.Name)))
            && !context.Gate.Model.UniverseDenied.Any(glob => glob.IsMatch(tool.Name))),
    ];

    private void Keep(ToolRequest call, ToolResult result, long milliseconds)
    {
        var summary = new OutboxToolResult
        {
            Tool = call.Tool.Length > 128 ? call.Tool[..128] : call.Tool,
            Ok = result.Ok,
            ExitCode = result.ExitCode,
            TerminationReason = result.TerminationReason,
            Output = OutboxAnswer.Cut(result.Content),
            Error = result.Error,
        };
        JsonElement? completed = _journal.Result;
        if (call.Tool == CompleteTaskTool.Name && result.Ok)
        {
            using JsonDocument document = JsonDocument.Parse(call.Arguments);
            completed = document.RootElement.GetProperty("result").Clone();
        }

        Save(_journal with
        {
            Turns = [.. _journal.Turns, new ConversationTurn.Tool(call.CallId, call.Tool, result.Ok, result.Content)],
            Calls = [.. _journal.Calls, new JournaledCall(call.CallId, summary, milliseconds, [.. result.Violations.Select(violation => violation.ViolationId)])],
            Result = completed,
        });
    }

    private void Save(ConversationJournal next)
    {
        next.Save(context.JournalPath);
        _journal = next;
    }

    private OutboxLine? OfCause(StopCause cause) => cause switch
    {
        StopCause.Cancelled => Answer("cancelled", "", new OutboxError("cancelled", "The message was cancelled.")),
        StopCause.Deadline => Failed("deadline_exceeded", "The deadline passed before there was an answer."),
        StopCause.Shutdown => null,
        _ => throw new UnreachableException(),
    };

    private OutboxLine Failed(string code, string text) => Answer("failed", "", new OutboxError(code, ToolResult.Bound(text)));

    private OutboxLine Answer(string status, string text, OutboxError? error) =>
        OutboxAnswer.Of(message, status, ToolResult.Bound(text), error, _journal.Calls, context.TimeProvider.GetUtcNow());
}
