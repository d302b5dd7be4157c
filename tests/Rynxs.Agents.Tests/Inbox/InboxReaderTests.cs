using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Lifecycle;

namespace Rynxs.Agents.Tests.Inbox;

public sealed class InboxReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string Path => _directory.File("inbox.jsonl");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Lines_come_one_by_one_and_a_half_line_waits()
    {
        File.WriteAllText(Path, "one\ntwo\nhal");
        var reader = new InboxReader(Path);

        InboxReader.Step.Line one = reader.Read(new InboxCursor()).ShouldBeOfType<InboxReader.Step.Line>();
        InboxReader.Step.Line two = reader.Read(one.Next).ShouldBeOfType<InboxReader.Step.Line>();
        reader.Read(two.Next).ShouldBeOfType<InboxReader.Step.Nothing>().Next.ShouldBe(two.Next);
        File.AppendAllText(Path, "f\n");
        InboxReader.Step.Line half = reader.Read(two.Next).ShouldBeOfType<InboxReader.Step.Line>();

        new[] { one, two, half }.Select(line => (Encoding.UTF8.GetString(line.Content), line.Offset)).ShouldBe([("one", 0L), ("two", 4L), ("half", 8L)]);
        half.Next.Count.ShouldBe(3);
    }

    [Fact]
    public void An_oversized_line_is_reported_once_and_the_next_one_is_read()
    {
        File.WriteAllText(Path, new string('x', InboxLineParser.MaxLineBytes + 1));
        var reader = new InboxReader(Path);

        InboxReader.Step.Oversized oversized = reader.Read(new InboxCursor()).ShouldBeOfType<InboxReader.Step.Oversized>();
        InboxCursor skipping = reader.Read(oversized.Next).ShouldBeOfType<InboxReader.Step.Nothing>().Next;
        skipping.SkippingLine.ShouldBeTrue();
        File.AppendAllText(Path, "more of it\nnext\n");
        InboxCursor after = reader.Read(skipping).ShouldBeOfType<InboxReader.Step.Nothing>().Next;

        Encoding.UTF8.GetString(reader.Read(after).ShouldBeOfType<InboxReader.Step.Line>().Content).ShouldBe("next");
    }

    [Fact]
    public async Task B4_a_link_or_a_pipe_in_the_inboxs_place_is_refused_and_waits_for_nobody()
    {
        string elsewhere = _directory.File("elsewhere");
        File.WriteAllText(elsewhere, "{\"text\":\"say secret\"}\n");
        File.CreateSymbolicLink(Path, elsewhere);
        var reader = new InboxReader(Path);
        using var appender = new InboxAppender(Path);
        var message = new InboxMessage { Id = "x", Text = "say x" };

        Should.Throw<IOException>(() => reader.Read(new InboxCursor())).Message.ShouldContain("symbolic link");
        await Should.ThrowAsync<IOException>(() => appender.AppendAsync(message, TestContext.Current.CancellationToken));
        File.ReadAllText(elsewhere).ShouldNotContain("say x");

        File.Delete(Path);
        using (Process pipe = Process.Start("mkfifo", [Path]))
        {
            await pipe.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        Should.Throw<IOException>(() => reader.Read(new InboxCursor())).Message.ShouldContain("pipe");
        await Should.ThrowAsync<IOException>(() => appender.AppendAsync(message, TestContext.Current.CancellationToken));

        File.Delete(Path);
        await appender.AppendAsync(message, TestContext.Current.CancellationToken);
        reader.Read(new InboxCursor()).ShouldBeOfType<InboxReader.Step.Line>("positive control: a regular file is read");
    }

    [Theory]
    [InlineData("x", 1)]
    [InlineData("é", 2)]
    [InlineData("\"", 1)]
    public async Task G6_a_text_of_a_mebibyte_goes_through_and_one_byte_more_is_refused_by_name(string character, int bytes)
    {
        string text = string.Concat(Enumerable.Repeat(character, InboxLineParser.MaxTextBytes / bytes));
        using var appender = new InboxAppender(Path);
        await appender.AppendAsync(new InboxMessage { Id = "x", Text = text }, TestContext.Current.CancellationToken);

        InboxReader.Step.Line line = new InboxReader(Path).Read(new InboxCursor()).ShouldBeOfType<InboxReader.Step.Line>();
        InboxLineParser.Parse(line.Content, 0, 0).ShouldBeOfType<InboxLine.Accepted>().Message.Text.ShouldBe(text);

        MessageRefusedException refused = await Should.ThrowAsync<MessageRefusedException>(
            () => appender.AppendAsync(new InboxMessage { Id = "y", Text = text + "z" }, TestContext.Current.CancellationToken));
        (refused.Code, refused.Message).ShouldBe(("too_long", "'text' has 1048577 bytes; at most 1048576 are allowed."));
        InboxLine.Rejected rejected = InboxLineParser.Parse(JsonSerializer.SerializeToUtf8Bytes(new { text = new string('x', InboxLineParser.MaxTextBytes + 1) }), 0, 0)
            .ShouldBeOfType<InboxLine.Rejected>();
        (rejected.Code, rejected.Detail).ShouldBe(("too_long", "'text' has 1048577 bytes; at most 1048576 are allowed."));
    }

    [Fact]
    public void A_line_of_exactly_the_limit_is_read()
    {
        File.WriteAllText(Path, new string('x', InboxLineParser.MaxLineBytes) + "\n");

        new InboxReader(Path).Read(new InboxCursor()).ShouldBeOfType<InboxReader.Step.Line>().Content.Length.ShouldBe(InboxLineParser.MaxLineBytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("xyz\nnew\n")]
    [InlineData("xyz\nnew line that is longer than before\n")]
    public void A_truncated_or_replaced_inbox_is_noticed(string content)
    {
        File.WriteAllText(Path, "one\ntwo\n");
        var reader = new InboxReader(Path);
        InboxCursor cursor = ((InboxReader.Step.Line)reader.Read(((InboxReader.Step.Line)reader.Read(new InboxCursor())).Next)).Next;
        File.WriteAllText(Path, content);

        InboxReader.Step.Replaced replaced = reader.Read(cursor).ShouldBeOfType<InboxReader.Step.Replaced>();

        (replaced.Next.Offset, replaced.Next.Generation).ShouldBe((0, 1));
    }

    [Fact]
    public void A_deleted_inbox_is_noticed_and_one_that_never_was_is_empty()
    {
        new InboxReader(Path).Read(new InboxCursor()).ShouldBeOfType<InboxReader.Step.Nothing>();
        new InboxReader(Path).Read(new InboxCursor { Offset = 5 }).ShouldBeOfType<InboxReader.Step.Replaced>();
    }

    [Fact]
    public void A_cursor_survives_and_a_damaged_one_starts_over()
    {
        var cursor = new InboxCursor { Offset = 9, Count = 2, Generation = 1, Anchor = "ab", SkippingLine = true };
        cursor.Save(_directory.File("cursor.json"));

        InboxCursor.Load(_directory.File("cursor.json")).ShouldBe(cursor);
        File.WriteAllText(_directory.File("cursor.json"), "{\"offset\":-5}");
        InboxCursor.Load(_directory.File("cursor.json")).ShouldBe(new InboxCursor());
        File.WriteAllText(_directory.File("cursor.json"), "{\"off");
        InboxCursor.Load(_directory.File("cursor.json")).ShouldBe(new InboxCursor());
    }

    [Fact]
    public async Task Appended_messages_read_back_and_never_merge_with_a_half_line()
    {
        File.WriteAllText(Path, "{\"text\":\"left unfin");
        using var appender = new InboxAppender(Path);
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        await Task.WhenAll(Enumerable.Range(0, 50).Select(i => appender.AppendAsync(new InboxMessage { Id = $"id-{i}", Text = new string('ä', i * 300) + "x" }, cancellationToken)));

        var reader = new InboxReader(Path);
        InboxReader.Step.Line first = (InboxReader.Step.Line)reader.Read(new InboxCursor());
        InboxLineParser.Parse(first.Content, 0, 0).ShouldBeOfType<InboxLine.Rejected>();
        var ids = new HashSet<string>();
        InboxCursor cursor = first.Next;
        while (reader.Read(cursor) is InboxReader.Step.Line line)
        {
            ids.Add(((InboxLine.Accepted)InboxLineParser.Parse(line.Content, line.Offset, 0)).Message.Id);
            cursor = line.Next;
        }

        ids.Count.ShouldBe(50);
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("a\0b", "control_characters")]
    [InlineData("SURROGATE", "invalid_utf8")] // Attributes are stored as UTF-8 and cannot hold it.
    public async Task A_text_that_cannot_be_a_line_is_refused_before_anything_is_written(string text, string code)
    {
        using var appender = new InboxAppender(Path);

        MessageRefusedException refused = await Should.ThrowAsync<MessageRefusedException>(
            appender.AppendAsync(new InboxMessage { Id = "x", Text = text == "SURROGATE" ? "\ud800" : text }, TestContext.Current.CancellationToken));

        refused.Code.ShouldBe(code);
        File.Exists(Path).ShouldBeFalse();
    }
}
