using System.Text.Json;
using Rynxs.Agents.Tasks;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Agents.Loop;

/// <summary>One thing to do before an agent takes new work. A closed family, carried out in order.</summary>
internal abstract record RecoveryAction
{
    private RecoveryAction()
    {
    }

    /// <summary>A sandbox of an earlier process is gone.</summary>
    public sealed record CloseSandbox(string Sandbox) : RecoveryAction;

    /// <summary>The effect ended and its result was kept, only its record is missing.</summary>
    public sealed record RecordKnownOutcome(string CallId, string Tool) : RecoveryAction;

    /// <summary>Nobody knows how the effect ended. It is marked so and never repeated.</summary>
    public sealed record RecordUnknownOutcome(string CallId, string Tool) : RecoveryAction;

    /// <summary>The answer is in the outbox, only its record is missing.</summary>
    /// <param name="MessageId">Which.</param>
    /// <param name="TaskRecorded">The end of its Task is on the record already.</param>
    public sealed record RecordAnswer(string MessageId, bool TaskRecorded = false) : RecoveryAction;

    /// <summary>The message is answered as failed.</summary>
    public sealed record AnswerFailed(ReceivedMessage Message, string Code) : RecoveryAction;

    /// <summary>The message is worked on, from its last durable step when the journal is about it, else from the start.</summary>
    public sealed record Resume(ReceivedMessage Message, bool FromJournal) : RecoveryAction;
}

/// <summary>What of answering a message is left to do, in this order: the outbox, the end of the Task, the answer.</summary>
internal enum FinishSteps
{
    All,

    /// <summary>The outbox has the answer.</summary>
    Records,

    /// <summary>The outbox has the answer, and the end of the Task is recorded.</summary>
    AnswerRecord,
}

/// <summary>A message as its record has it.</summary>
internal sealed record ReceivedMessage(string Id, string LineCommitment, string? Task);

/// <summary>
/// What an agent's chain says about work that was cut off. Pure: a function of the records, of the journal and of the answers already in the outbox.
/// </summary>
internal sealed record RecoveryPlan(IReadOnlyList<RecoveryAction> Actions, IReadOnlyList<string> KnownMessageIds)
{
    /// <summary>The reason given when an effect's outcome is unknown.</summary>
    public const string OutcomeUnknown = "outcome_unknown";

    /// <summary>The reason given when tools already ran but the conversation is lost.</summary>
    public const string ProgressLost = "progress_lost";

    /// <summary>Reads the records of a whole chain.</summary>
    public static RecoveryPlan From(IEnumerable<LedgerRecord> records, ConversationJournal? journal, Func<IReadOnlySet<string>, IReadOnlySet<string>> findAnswered)
    {
        var fold = new RecoveryFold();
        foreach (LedgerRecord record in records)
        {
            fold.Add(record);
        }

        return fold.Plan(journal, findAnswered(fold.Unanswered));
    }
}

/// <summary>Folds records one by one, so that a long chain need not be in memory.</summary>
/// <param name="currentEpoch">
/// Epoch of this process. Programs that others run on the agent's chain (<c>exec</c>, the execute API) and sandboxes of this very epoch may be
/// alive: only those of earlier epochs were cut off.
/// </param>
internal sealed class RecoveryFold(long currentEpoch = long.MaxValue)
{
    /// <summary>What the ids of calls begin with that are no tool calls of the loop.</summary>
    private const string ExecPrefix = "exec:";

    /// <summary>How many ids are remembered to recognise a repeated line: the last 100,000.</summary>
    public const int MaxKnownIds = 100_000;

    private readonly Dictionary<string, ReceivedMessage> _open = [];
    private readonly List<string> _order = [];
    private readonly Dictionary<string, string> _intents = [];
    private readonly HashSet<string> _unknown = [];
    private readonly HashSet<string> _worked = [];
    private readonly HashSet<(string Task, int Attempt)> _finished = [];
    private readonly Queue<string> _known = [];
    private readonly HashSet<string> _sandboxes = [];

    /// <summary>Messages that were received and have no answer on the record.</summary>
    public IReadOnlySet<string> Unanswered => _open.Keys.ToHashSet();

    /// <summary>Applies one record; types that say nothing about recovery are passed over.</summary>
    public void Add(LedgerRecord record)
    {
        switch (record.Type)
        {
            case nameof(MessageReceived):
                Receive(record.Payload);
                break;
            case nameof(ToolIntent) when IsForeign(record) && IsOfThisProcess(record):
                break;
            case nameof(ToolIntent):
                _intents[Text(record, "call_id")] = Text(record, "tool");
                _worked.Add(MessageOf(Text(record, "call_id")));
                break;
            case nameof(ToolOutcome):
                _intents.Remove(Text(record, "call_id"));
                if (Text(record, "status") == "unknown")
                {
                    _unknown.Add(MessageOf(Text(record, "call_id")));
                }

                break;
            case nameof(TaskFinished):
                _finished.Add((Text(record, "task"), record.Payload.TryGetProperty("attempt", out JsonElement attempt) && attempt.TryGetInt32(out int number) ? number : 1));
                break;
            case nameof(MessageAnswered):
                Forget(Text(record, "message_id"));
                break;
            case nameof(SandboxStarted) when !IsOfThisProcess(record):
                _sandboxes.Add(Text(record, "sandbox"));
                break;
            case nameof(SandboxEnded):
                _sandboxes.Remove(Text(record, "sandbox"));
                break;
        }
    }

    /// <summary>What is to be done.</summary>
    /// <param name="journal">The conversation that was being held, when its file is there.</param>
    /// <param name="answered">Those of <see cref="Unanswered"/> whose answer is in the outbox.</param>
    public RecoveryPlan Plan(ConversationJournal? journal, IReadOnlySet<string> answered)
    {
        List<RecoveryAction> actions = [.. _sandboxes.Order(StringComparer.Ordinal).Select(id => new RecoveryAction.CloseSandbox(id))];
        HashSet<string> unknown = [.. _unknown];
        foreach ((string callId, string tool) in _intents.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (journal is not null && journal.Calls.Any(call => call.CallId == callId))
            {
                actions.Add(new RecoveryAction.RecordKnownOutcome(callId, tool));
            }
            else
            {
                actions.Add(new RecoveryAction.RecordUnknownOutcome(callId, tool));
                unknown.Add(MessageOf(callId));
            }
        }

        actions.AddRange(_order.Where(_open.ContainsKey).Select(id => Decide(_open[id], journal, answered, unknown)));
        return new RecoveryPlan(actions, [.. _known]);
    }

    /// <summary>The message that a call belongs to: call ids are <c>MESSAGE/STEP/INDEX</c>.</summary>
    internal static string MessageOf(string callId)
    {
        int slash = callId.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? callId : callId[..slash];
    }

    private RecoveryAction Decide(ReceivedMessage message, ConversationJournal? journal, IReadOnlySet<string> answered, HashSet<string> unknown)
    {
        if (answered.Contains(message.Id))
        {
            return new RecoveryAction.RecordAnswer(
                message.Id, message.Task is { } task && _finished.Contains((task, TaskMessageId.AttemptOf(message.Id))));
        }

        if (unknown.Contains(message.Id))
        {
            return new RecoveryAction.AnswerFailed(message, RecoveryPlan.OutcomeUnknown);
        }

        bool ours = journal is not null && journal.MessageId == message.Id;
        return _worked.Contains(message.Id) && !ours
            ? new RecoveryAction.AnswerFailed(message, RecoveryPlan.ProgressLost)
            : new RecoveryAction.Resume(message, ours);
    }

    private void Receive(JsonElement payload)
    {
        string id = Text(payload, "message_id");
        string? task = payload.TryGetProperty("task", out JsonElement name) ? name.GetString() : null;
        if (task is not null)
        {
            // A Task of the same name was deleted and created again.
            _finished.Remove((task, TaskMessageId.AttemptOf(id)));
        }

        if (_open.TryAdd(id, new ReceivedMessage(id, Text(payload.GetProperty("text"), "commitment"), task)))
        {
            _order.Add(id);
        }

        _known.Enqueue(id);
        if (_known.Count > MaxKnownIds)
        {
            _known.Dequeue();
        }
    }

    private void Forget(string messageId)
    {
        if (_open.Remove(messageId, out ReceivedMessage? answered) && answered.Task is { } task)
        {
            _finished.Remove((task, TaskMessageId.AttemptOf(messageId)));
        }

        _worked.Remove(messageId);
        _unknown.Remove(messageId);
        if (_order.Count > 2 * _open.Count + 64)
        {
            _order.RemoveAll(id => !_open.ContainsKey(id));
        }
    }

    private static bool IsForeign(LedgerRecord record) =>
        Text(record, "call_id").StartsWith(ExecPrefix, StringComparison.Ordinal) || !Text(record, "call_id").Contains('/', StringComparison.Ordinal);

    private bool IsOfThisProcess(LedgerRecord record) =>
        record.Meta.ValueKind == JsonValueKind.Object && record.Meta.TryGetProperty("epoch", out JsonElement epoch)
        && epoch.TryGetInt64(out long number) && number >= currentEpoch;

    private static string Text(LedgerRecord record, string name) => Text(record.Payload, name);

    private static string Text(JsonElement payload, string name) =>
        payload.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() ?? "" : "";
}
