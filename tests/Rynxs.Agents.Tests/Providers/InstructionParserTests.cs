using Rynxs.Agents.Providers;

namespace Rynxs.Agents.Tests.Providers;

public sealed class InstructionParserTests
{
    [Theory]
    [InlineData("run uname -a in sandbox", "sandbox.shell", """{"cmd":"uname -a"}""")]
    [InlineData("run grep then in in sandbox in sandbox", "sandbox.shell", """{"cmd":"grep then in in sandbox"}""")]
    [InlineData("python: print(1)", "sandbox.python", """{"code":"print(1)"}""")]
    [InlineData("read notes.txt", "fs.read", """{"path":"notes.txt"}""")]
    [InlineData("write a/b.txt: hello: world", "fs.write", """{"path":"a/b.txt","content":"hello: world"}""")]
    [InlineData("list", "fs.list", """{"path":""}""")]
    [InlineData("list data", "fs.list", """{"path":"data"}""")]
    [InlineData("search needle in hay in data", "fs.search", """{"pattern":"needle in hay","path":"data"}""")]
    [InlineData("search needle", "fs.search", """{"pattern":"needle"}""")]
    [InlineData("""call net.fetch {"url":"x"}""", "net.fetch", """{"url":"x"}""")]
    [InlineData("""complete {"n":1}""", "task.complete", """{"result":{"n":1}}""")]
    public void Each_form_is_one_call(string text, string tool, string arguments)
    {
        InstructionParser.Parse(text).ShouldBe([new Instruction.Call(tool, arguments)]);
    }

    [Fact]
    public void Steps_are_separated_by_then_or_by_lines()
    {
        InstructionParser.Parse("run ls in sandbox then read a.txt\n\nsay it's done then list").ShouldBe(
        [
            new Instruction.Call("sandbox.shell", """{"cmd":"ls"}"""),
            new Instruction.Call("fs.read", """{"path":"a.txt"}"""),
            new Instruction.Say("it's done"),
            new Instruction.Call("fs.list", """{"path":""}"""),
        ]);
    }

    [Theory]
    [InlineData("run echo 'a then read b' in sandbox", "echo 'a then read b'")]
    [InlineData("run echo then in sandbox", "echo then")]
    [InlineData("run echo now then later in sandbox", "echo now then later")]
    public void Then_inside_quotes_or_before_other_words_separates_nothing(string text, string command)
    {
        Instruction.Call call = InstructionParser.Parse(text).ShouldHaveSingleItem().ShouldBeOfType<Instruction.Call>();
        System.Text.Json.JsonDocument.Parse(call.Arguments).RootElement.GetProperty("cmd").GetString().ShouldBe(command);
    }

    [Fact]
    public void Blocks_hold_many_lines()
    {
        IReadOnlyList<Instruction> instructions = InstructionParser.Parse("python:\n```\nfor i in range(2):\n    print(i)\n```\nwrite a.txt:\n```text\nx\n```");

        instructions.ShouldBe(
        [
            new Instruction.Call("sandbox.python", """{"code":"for i in range(2):\n    print(i)\n"}"""),
            new Instruction.Call("fs.write", """{"path":"a.txt","content":"x\n"}"""),
        ]);
    }

    [Theory]
    [InlineData("please list my files")]
    [InlineData("run ls")]
    [InlineData("Read a.txt")]
    [InlineData("call fs.read")]
    [InlineData("call fs.read [1]")]
    [InlineData("complete {")]
    [InlineData("read ")]
    [InlineData("python:\n```\nno end")]
    [InlineData("  \n ")]
    public void Anything_else_is_an_error_and_nothing_runs(string text)
    {
        Should.Throw<ModelProviderException>(() => InstructionParser.Parse(text)).Code.ShouldBe("invalid_instruction");
    }

    [Fact]
    public void The_error_names_the_line_and_lists_every_form()
    {
        string message = Should.Throw<ModelProviderException>(() => InstructionParser.Parse("list\nmake me a sandwich")).Message;

        message.ShouldContain("Line 2: 'make me a sandwich'");
        InstructionParser.Forms.ShouldAllBe(form => message.Contains(form));
    }

    [Fact]
    public async Task The_provider_gives_one_call_at_a_time_and_the_last_output_as_the_answer()
    {
        var provider = new ScriptedProvider();
        List<ConversationTurn> turns = [new ConversationTurn.User("say first then read a then read b")];

        async Task<ModelReply> AskAsync() => await provider.CompleteAsync(new ModelRequest(turns, [], ""), TestContext.Current.CancellationToken);

        (await AskAsync()).Calls.ShouldBe([("fs.read", """{"path":"a"}""")]);
        turns.Add(new ConversationTurn.Tool("1", "fs.read", true, "A"));
        (await AskAsync()).Calls.ShouldBe([("fs.read", """{"path":"b"}""")]);
        turns.Add(new ConversationTurn.Tool("2", "fs.read", true, "B"));
        (await AskAsync()).Text.ShouldBe("B");
        turns[^1] = new ConversationTurn.Tool("2", "fs.read", false, "denied");
        (await Should.ThrowAsync<ModelProviderException>(AskAsync)).Code.ShouldBe("tool_failed");
    }
}
