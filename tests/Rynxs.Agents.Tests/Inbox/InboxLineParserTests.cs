using System.Text;
using Rynxs.Agents.Inbox;

namespace Rynxs.Agents.Tests.Inbox;

public sealed class InboxLineParserTests
{
    [Fact]
    public void The_seed_s_line_is_a_message()
    {
        InboxMessage message = Accept("""{"text":"run uname -a in sandbox"}""");

        message.Text.ShouldBe("run uname -a in sandbox");
        message.Priority.ShouldBe(MessagePriority.Normal);
        message.Id.ShouldStartWith("m0-7-");
    }

    [Fact]
    public void The_task_form_is_read_whole()
    {
        InboxMessage message = Accept(
            """{"task_id":"t1","title":"T","text":"do","priority":"critical","deadline":"2026-01-31T12:00:00Z","input":{"a":[1]},"id":"x.1"}""");

        (message.Id, message.TaskId, message.Title, message.Priority).ShouldBe(("x.1", "t1", "T", MessagePriority.Critical));
        message.Deadline.ShouldBe(new DateTimeOffset(2026, 1, 31, 12, 0, 0, TimeSpan.Zero));
        message.Input!.Value.GetRawText().ShouldBe("""{"a":[1]}""");
    }

    [Theory]
    [InlineData("{", "invalid_json")]
    [InlineData("[]", "not_an_object")]
    [InlineData("{}", "missing_text")]
    [InlineData("""{"text":"  "}""", "missing_text")]
    [InlineData("""{"text":5}""", "invalid_field")]
    [InlineData("""{"text":"a","tex":"b"}""", "unknown_field")]
    [InlineData("""{"text":"a","text":"b"}""", "invalid_json")]
    [InlineData("""{"text":"a\u0000b"}""", "control_characters")]
    [InlineData("""{"text":"\u001b[31m"}""", "control_characters")]
    [InlineData("""{"text":"a","priority":"urgent"}""", "invalid_field")]
    [InlineData("""{"text":"a","deadline":"tomorrow"}""", "invalid_field")]
    [InlineData("""{"text":"a","id":"../x"}""", "invalid_field")]
    [InlineData("""{"text":"a","id":""}""", "invalid_field")]
    [InlineData("""{"text":"\ud800"}""", "invalid_utf8")]
    public void What_is_no_message_is_rejected_with_a_code(string line, string code)
    {
        InboxLineParser.Parse(Encoding.UTF8.GetBytes(line), 0, 0).ShouldBeOfType<InboxLine.Rejected>().Code.ShouldBe(code);
    }

    [Fact]
    public void F4_bytes_that_are_no_text_are_rejected()
    {
        InboxLineParser.Parse(new byte[] { (byte)'{', 0xff, 0xfe }, 0, 0).ShouldBeOfType<InboxLine.Rejected>().Code.ShouldBe("invalid_utf8");
        InboxLineParser.Parse(new byte[] { (byte)'{', 0 }, 0, 0).ShouldBeOfType<InboxLine.Rejected>().Code.ShouldBe("invalid_json");
        InboxLineParser.Parse(new byte[InboxLineParser.MaxLineBytes + 1], 0, 0).ShouldBeOfType<InboxLine.Rejected>().Code.ShouldBe("too_long");
    }

    [Fact]
    public void Deep_nesting_is_rejected()
    {
        string deep = "{\"text\":\"a\",\"input\":" + new string('[', 1000) + new string(']', 1000) + "}";

        InboxLineParser.Parse(Encoding.UTF8.GetBytes(deep), 0, 0).ShouldBeOfType<InboxLine.Rejected>().Code.ShouldBe("invalid_json");
    }

    [Fact]
    public void The_same_line_at_the_same_place_has_the_same_id_and_no_other_has()
    {
        string Id(string text, long offset, int generation) =>
            ((InboxLine.Accepted)InboxLineParser.Parse(Encoding.UTF8.GetBytes($$"""{"text":"{{text}}"}"""), offset, generation)).Message.Id;

        Id("a", 7, 0).ShouldBe(Id("a", 7, 0));
        new[] { Id("a", 7, 0), Id("b", 7, 0), Id("a", 8, 0), Id("a", 7, 1) }.Distinct().Count().ShouldBe(4);
    }

    private static InboxMessage Accept(string line) => InboxLineParser.Parse(Encoding.UTF8.GetBytes(line), 7, 0).ShouldBeOfType<InboxLine.Accepted>().Message;
}
