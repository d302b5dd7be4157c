using System.Text.Json;
using Rynxs.Agents.Loop;
using Rynxs.Agents.Outbox;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Agents.Tests.AgentLoops;

/// <summary>One test for each place where the process can die while it works on a message (F3).</summary>
public sealed class RecoveryPlanTests
{
    private static readonly CommittedText Text = new("sha256:aa", 1);
    private static readonly ReceivedMessage M = new("m", "sha256:aa", null);
    private static readonly MessageReceived Received = new() { MessageId = "m", Offset = 0, Text = Text };
    private static readonly ModelTurn Turn = new() { MessageId = "m", Step = 1, Provider = "scripted", ToolCalls = 1 };
    private static readonly PolicyDecided Decided = new() { CallId = "m/1/0", Tool = "t", Verdict = "allow", Reason = "rule_allows", Arguments = Text };
    private static readonly ToolIntent Intent = new() { CallId = "m/1/0", Tool = "t", Arguments = Text };
    private static readonly ToolOutcome Outcome = new() { CallId = "m/1/0", Tool = "t", Status = "ok" };
    private static readonly MessageAnswered Answered = new() { MessageId = "m", Status = "completed", Text = Text };

    private static readonly ConversationJournal Journal = new() { MessageId = "m" };
    private static readonly ConversationJournal JournalWithResult = Journal with
    {
        Calls = [new JournaledCall("m/1/0", new OutboxToolResult { Tool = "t", Ok = true }, 1, [])],
    };

    [Fact]
    public void F3_before_the_message_is_on_the_record_there_is_nothing_to_do() => Plan(null, []).ShouldBeEmpty();

    [Fact]
    public void F3_after_receiving_work_starts() =>
        Plan(null, [Received]).ShouldBe([new RecoveryAction.Resume(M, FromJournal: false)]);

    [Fact]
    public void F3_after_a_model_turn_without_journal_work_starts_over_because_nothing_ran() =>
        Plan(null, [Received, Turn, Decided]).ShouldBe([new RecoveryAction.Resume(M, FromJournal: false)]);

    [Fact]
    public void F3_after_a_model_turn_with_journal_work_goes_on() =>
        Plan(Journal, [Received, Turn]).ShouldBe([new RecoveryAction.Resume(M, FromJournal: true)]);

    [Fact]
    public void F3_between_intent_and_outcome_the_effect_is_unknown_and_never_repeated() =>
        Plan(Journal, [Received, Turn, Decided, Intent]).ShouldBe(
            [new RecoveryAction.RecordUnknownOutcome("m/1/0", "t"), new RecoveryAction.AnswerFailed(M, "outcome_unknown")]);

    [Fact]
    public void F3_after_the_unknown_outcome_was_recorded_the_answer_still_follows() =>
        Plan(Journal, [Received, Turn, Decided, Intent, Outcome with { Status = "unknown" }])
            .ShouldBe([new RecoveryAction.AnswerFailed(M, "outcome_unknown")]);

    [Fact]
    public void F3_when_the_result_was_kept_only_its_record_is_missing() =>
        Plan(JournalWithResult, [Received, Turn, Decided, Intent]).ShouldBe(
            [new RecoveryAction.RecordKnownOutcome("m/1/0", "t"), new RecoveryAction.Resume(M, FromJournal: true)]);

    [Fact]
    public void F3_after_the_outcome_work_goes_on_from_the_journal() =>
        Plan(JournalWithResult, [Received, Turn, Decided, Intent, Outcome]).ShouldBe([new RecoveryAction.Resume(M, FromJournal: true)]);

    [Fact]
    public void F3_after_the_outcome_but_without_the_conversation_nothing_is_started_over() =>
        Plan(null, [Received, Turn, Decided, Intent, Outcome]).ShouldBe([new RecoveryAction.AnswerFailed(M, "progress_lost")]);

    [Fact]
    public void F3_an_answer_in_the_outbox_is_only_recorded() =>
        Plan(JournalWithResult, [Received, Turn, Intent, Outcome], answered: "m").ShouldBe([new RecoveryAction.RecordAnswer("m")]);

    [Fact]
    public void F3_after_the_answer_nothing_is_left_to_do() =>
        Plan(JournalWithResult, [Received, Turn, Intent, Outcome, Answered], answered: "m").ShouldBeEmpty();

    [Fact]
    public void Messages_that_wait_are_resumed_in_their_order_beside_the_one_that_failed()
    {
        Plan(null, [Received with { MessageId = "a" }, Received, Received with { MessageId = "b" }, Intent]).ShouldBe(
        [
            new RecoveryAction.RecordUnknownOutcome("m/1/0", "t"),
            new RecoveryAction.Resume(M with { Id = "a" }, false),
            new RecoveryAction.AnswerFailed(M, "outcome_unknown"),
            new RecoveryAction.Resume(M with { Id = "b" }, false),
        ]);
    }

    [Fact]
    public void A_program_of_a_person_is_marked_unknown_without_a_message() =>
        Plan(null, [Intent with { CallId = "exec:1" }]).ShouldBe([new RecoveryAction.RecordUnknownOutcome("exec:1", "t")]);

    [Fact]
    public void Sandboxes_of_the_process_that_died_are_closed()
    {
        var started = new SandboxStarted { Sandbox = "sb-1", Runtime = "gvisor", Image = "i", ImageDigest = "d", Controls = [] };

        Plan(null, [started, started with { Sandbox = "sb-2" }, new SandboxEnded { Sandbox = "sb-1", Reason = "ended" }])
            .ShouldBe([new RecoveryAction.CloseSandbox("sb-2")]);
    }

    [Fact]
    public void Ids_of_answered_messages_stay_known()
    {
        RecoveryPlan.From(Records([Received, Answered]), null, _ => new HashSet<string>()).KnownMessageIds.ShouldBe(["m"]);
    }

    private static IReadOnlyList<RecoveryAction> Plan(ConversationJournal? journal, LedgerPayload[] payloads, string? answered = null) =>
        RecoveryPlan.From(Records(payloads), journal, open => answered is null ? new HashSet<string>() : open.Where(id => id == answered).ToHashSet()).Actions;

    private static IEnumerable<LedgerRecord> Records(LedgerPayload[] payloads) => payloads.Select((payload, i) => new LedgerRecord
    {
        Seq = i,
        Type = payload.EventType,
        AggregateId = "rynxs/a",
        Ts = i,
        Payload = payload.ToJson(),
        Meta = JsonDocument.Parse("{}").RootElement,
        HashVersion = 2,
        EventHash = "",
        PrevHash = "",
    });
}
