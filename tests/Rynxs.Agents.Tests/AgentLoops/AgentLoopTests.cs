using Rynxs.Agents.Outbox;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Agents.Tests.AgentLoops;

public sealed class AgentLoopTests
{
    [Fact]
    public async Task A_line_appended_by_hand_is_answered_and_the_whole_way_is_on_the_record()
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand("""{"text":"call effect.do {\"what\":\"it\"}"}""" + "\n");
        OutboxLine answer = bench.NextAnswer();

        (answer.Status, answer.Output!.Text).ShouldBe(("completed", "did it"));
        answer.Results.ShouldHaveSingleItem().Ok.ShouldBeTrue();
        (await bench.RecordsAsync()).Select(record => record.Type).Where(type => type != nameof(LedgerOpened)).ShouldBe(
        [
            nameof(MessageReceived), nameof(ModelTurn), nameof(PolicyDecided), nameof(ToolIntent), nameof(ToolOutcome), nameof(ModelTurn), nameof(MessageAnswered),
        ]);
        bench.OutboxLines().ShouldHaveSingleItem().GetProperty("output").GetProperty("text").GetString().ShouldBe("did it");
    }

    [Fact]
    public async Task Bad_lines_are_rejected_on_the_record_and_later_lines_go_on()
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand("{broken\n\n{\"text\":\"a\\u0007b\"}\n" + new string('x', (4 * 1024 * 1024) + 5) + "\n{\"text\":\"say fine\"}\n{\"text\":\"half");
        bench.NextAnswer().Output!.Text.ShouldBe("fine");
        bench.AppendByHand(" no more\"}\n");
        bench.NextAnswer().Error!.Code.ShouldBe("invalid_instruction");

        (await bench.RecordsAsync()).Where(record => record.Type == nameof(MessageRejected))
            .Select(record => record.Payload.GetProperty("reason").GetString()).ShouldBe(["invalid_json", "control_characters", "too_long"]);
        bench.OutboxLines().Count(line => line.GetProperty("status").GetString() == "rejected").ShouldBe(3);
    }

    [Fact]
    public async Task A_truncated_inbox_does_not_wedge_the_agent()
    {
        await using AgentBench bench = await AgentBench.StartAsync();
        bench.AppendByHand("{\"text\":\"say one\"}\n");
        bench.NextAnswer().Output!.Text.ShouldBe("one");

        File.WriteAllText(bench.Paths.Inbox, "{\"text\":\"say 2\"}\n");

        bench.NextAnswer().Output!.Text.ShouldBe("2");
        (await bench.RecordsAsync()).Count(record => record.Type == nameof(MessageRejected)).ShouldBe(1);
    }

    [Fact]
    public async Task Urgent_messages_go_first_and_equal_ones_in_their_order()
    {
        await using AgentBench bench = await AgentBench.StartAsync(startLoop: false);
        string[] lines = ["low:low", "one:normal", "critical:critical", "two:normal", "high:high"];
        bench.AppendByHand(string.Concat(lines.Select(line => line.Split(':'))
            .Select(part => $$"""{"task_id":"t","text":"say {{part[0]}}","priority":"{{part[1]}}"}""" + "\n")));

        bench.Loop.Start();

        lines.Select(_ => bench.NextAnswer().Output!.Text).ShouldBe(["critical", "high", "one", "two", "low"]);
    }

    [Fact]
    public async Task The_same_id_twice_is_one_message()
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand(string.Concat(Enumerable.Repeat("{\"id\":\"x\",\"text\":\"call effect.do {\\\"what\\\":\\\"once\\\"}\"}\n", 3)) + "{\"text\":\"say end\"}\n");

        bench.NextAnswer().Id.ShouldBe("x");
        bench.NextAnswer().Output!.Text.ShouldBe("end");
        await bench.RestartAsync();
        bench.AppendByHand("{\"id\":\"x\",\"text\":\"say again\"}\n{\"text\":\"say after\"}\n");
        bench.NextAnswer().Output!.Text.ShouldBe("after");
        bench.Effect.Effects.ShouldHaveSingleItem();
    }

    [Fact]
    public async Task E8_a_tool_that_is_not_allowed_is_denied_whatever_the_text_says()
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand("""{"text":"call sandbox.shell {\"cmd\":\"cat /etc/shadow\"}"}""" + "\n");
        OutboxLine answer = bench.NextAnswer();

        (answer.Status, answer.Error!.Code).ShouldBe(("failed", "tool_denied"));
        LedgerRecord decided = (await bench.RecordsAsync()).Single(record => record.Type == nameof(PolicyDecided));
        (decided.Payload.GetProperty("verdict").GetString(), decided.Payload.GetProperty("reason").GetString()).ShouldBe(("deny", "no_rule_matches"));
        (await bench.RecordsAsync()).ShouldNotContain(record => record.Type == nameof(ToolIntent));
    }

    [Fact]
    public async Task A_tool_that_needs_a_sandbox_says_why_there_is_none()
    {
        await using AgentBench bench = await AgentBench.StartAsync(bench => bench.Spec = bench.Spec with { Tools = bench.Spec.Tools with { Allow = ["*"] } });

        bench.AppendByHand("{\"text\":\"run id in sandbox\"}\n");

        OutboxLine answer = bench.NextAnswer();
        answer.Error!.Code.ShouldBe("sandbox_refused");
        answer.Error.Message.ShouldContain("this host cannot run one");
    }

    [Theory]
    [InlineData("{}", "'what' is missing")]
    [InlineData("""{"what":5}""", "must be a string")]
    [InlineData("""{"what":"a","more":1}""", "'more' is not a parameter")]
    public async Task Wrong_arguments_are_explained_and_nothing_runs(string arguments, string message)
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand(System.Text.Json.JsonSerializer.Serialize(new { text = $"call effect.do {arguments}" }) + "\n");

        bench.NextAnswer().Error!.Message.ShouldContain(message);
        bench.Effect.Effects.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_structured_result_ends_the_message()
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand("""{"text":"complete {\"n\":42} then call effect.do {\"what\":\"never\"}"}""" + "\n");

        OutboxLine answer = bench.NextAnswer();
        answer.Status.ShouldBe("completed");
        answer.Result!.Value.GetProperty("n").GetInt32().ShouldBe(42);
        bench.Effect.Effects.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_deadline_ends_a_running_call()
    {
        await using AgentBench bench = await AgentBench.StartAsync(bench => bench.Effect.Hold = new TaskCompletionSource());
        string soon = TimeProvider.System.GetUtcNow().AddSeconds(1).ToString("O");

        bench.AppendByHand($$$"""{"task_id":"t","text":"call effect.do {\"what\":\"slow\"}","deadline":"{{{soon}}}"}""" + "\n");

        bench.NextAnswer().Error!.Code.ShouldBe("deadline_exceeded");
    }

    [Fact]
    public async Task A_deadline_that_passed_before_is_answered_without_doing_anything()
    {
        await using AgentBench bench = await AgentBench.StartAsync();

        bench.AppendByHand("""{"task_id":"t","text":"call effect.do {\"what\":\"late\"}","deadline":"2020-01-01T00:00:00Z"}""" + "\n");

        bench.NextAnswer().Status.ShouldBe("failed");
        bench.Effect.Effects.ShouldBeEmpty();
        (await bench.RecordsAsync()).ShouldNotContain(record => record.Type == "ToolIntent" || record.Type == "ModelTurn");
    }

    [Fact]
    public async Task Cancelling_ends_the_running_message_and_the_next_one_goes_on()
    {
        await using AgentBench bench = await AgentBench.StartAsync(bench => bench.Effect.Hold = new TaskCompletionSource());
        bench.AppendByHand("""{"id":"slow","text":"call effect.do {\"what\":\"slow\"}"}""" + "\n{\"id\":\"next\",\"text\":\"say next\"}\n");
        await bench.Effect.WaitUntilBegunAsync();

        bench.Loop.Cancel("slow", deadline: false);

        (bench.NextAnswer() is { Id: "slow", Status: "cancelled" }).ShouldBeTrue();
        bench.NextAnswer().Id.ShouldBe("next");
    }

    [Fact]
    public async Task A_suspended_agent_receives_but_does_not_work()
    {
        await using AgentBench bench = await AgentBench.StartAsync(bench => bench.Spec = bench.Spec with { Suspended = true });
        bench.AppendByHand("{\"text\":\"say later\"}\n");
        while (bench.Loop.Status.PendingMessages == 0)
        {
            await bench.Audit.Chain.WaitForAppendAsync(bench.Audit.Chain.Head.Seq - 1, TestContext.Current.CancellationToken);
            await Task.Yield();
        }

        bench.Answers.ShouldBeEmpty();
        bench.Spec = bench.Spec with { Suspended = false };
        await bench.RestartAsync();
        bench.NextAnswer().Output!.Text.ShouldBe("later");
    }

    [Fact]
    public async Task F3_work_that_was_cut_off_between_effect_and_outcome_is_not_repeated()
    {
        await using AgentBench bench = await AgentBench.StartAsync(startLoop: false);
        await bench.Audit.AppendAsync(
            new MessageReceived { MessageId = "m", Offset = 0, Text = Whole("""{"id":"m","text":"call effect.do {\"what\":\"x\"}"}""", out var text) },
            TestContext.Current.CancellationToken, text);
        await bench.Audit.AppendAsync(
            new ToolIntent { CallId = "m/1/0", Tool = "effect.do", Arguments = new CommittedText("sha256:00", 1) }, TestContext.Current.CancellationToken);

        await bench.RestartAsync();

        (bench.NextAnswer() is { Id: "m", Status: "failed", Error.Code: "outcome_unknown" }).ShouldBeTrue();
        bench.Effect.Effects.ShouldBeEmpty();
        (await bench.RecordsAsync()).Single(record => record.Type == nameof(ToolOutcome)).Payload.GetProperty("status").GetString().ShouldBe("unknown");
        await bench.RestartAsync();
        bench.AppendByHand("{\"text\":\"say end\"}\n");
        bench.NextAnswer().Output!.Text.ShouldBe("end");
        bench.OutboxLines().Count.ShouldBe(2);
    }

    [Fact]
    public async Task F3_a_message_that_was_received_but_not_begun_is_answered_after_the_restart_even_if_the_inbox_is_gone()
    {
        await using AgentBench bench = await AgentBench.StartAsync(startLoop: false);
        await bench.Audit.AppendAsync(
            new MessageReceived { MessageId = "m", Offset = 0, Text = Whole("""{"text":"say kept"}""", out var text) }, TestContext.Current.CancellationToken, text);
        File.Delete(bench.Paths.Inbox);

        await bench.RestartAsync();

        (bench.NextAnswer() is { Id: "m", Output.Text: "kept" }).ShouldBeTrue();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task F3_an_answer_that_was_written_is_not_written_again_and_a_torn_one_is(bool torn)
    {
        await using AgentBench bench = await AgentBench.StartAsync(startLoop: false);
        await bench.Audit.AppendAsync(
            new MessageReceived { MessageId = "m", Offset = 0, Text = Whole("""{"text":"say anew"}""", out var text) }, TestContext.Current.CancellationToken, text);
        string line = """{"id":"m","t":"2026-01-01T00:00:00+00:00","status":"completed","output":{"text":"first"},"results":[]}""";
        File.WriteAllText(bench.Paths.Outbox, torn ? line[..40] : line + "\n");

        await bench.RestartAsync();

        bench.NextAnswer().Output!.Text.ShouldBe(torn ? "anew" : "first");
        bench.OutboxLines().ShouldHaveSingleItem().GetProperty("output").GetProperty("text").GetString().ShouldBe(torn ? "anew" : "first");
        (await bench.RecordsAsync()).Count(record => record.Type == nameof(MessageAnswered)).ShouldBe(1);
    }

    [Fact]
    public async Task F3_a_stop_in_the_middle_loses_and_repeats_nothing()
    {
        await using AgentBench bench = await AgentBench.StartAsync();
        bench.AppendByHand(string.Concat(Enumerable.Range(0, 20).Select(i => $$"""{"id":"m{{i}}","text":"call effect.do {\"what\":\"a{{i}}\"} then call effect.do {\"what\":\"b{{i}}\"}"}""" + "\n")));
        for (int i = 0; i < 4; i++)
        {
            await bench.Effect.WaitUntilBegunAsync();
            await bench.RestartAsync();
        }

        OutboxLine[] answers = [.. Enumerable.Range(0, 20).Select(_ => bench.NextAnswer())];

        answers.Select(answer => answer.Id).Distinct().Count().ShouldBe(20);
        answers.ShouldAllBe(answer => answer.Status == "completed");
        bench.Effect.Effects.Count.ShouldBe(40);
        bench.Effect.Effects.Distinct().Count().ShouldBe(40);
        bench.OutboxLines().Count.ShouldBe(20);
    }

    private static CommittedText Whole(string line, out Rynxs.Agents.Loop.RecordedText text)
    {
        text = Rynxs.Agents.Loop.AuditTrail.Whole(System.Text.Encoding.UTF8.GetBytes(line));
        return text.Committed;
    }
}
