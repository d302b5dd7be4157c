using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using YamlDotNet.Serialization;

namespace Rynxs.EndToEndTests;

/// <summary>What reaches a terminal, and the forms of output.</summary>
public sealed class ScreenTests
{
    [Fact]
    public void D5_control_characters_of_untrusted_text_are_shown_on_a_terminal_and_never_sent_to_it()
    {
        const string Hostile = "\x1b]0;owned\x07\x1b[2Jok\r\u009b31m\u202egnp.exe\nnext\tline";
        (Screen terminal, StringWriter shown) = Make(isTerminal: true);
        (Screen pipe, StringWriter passed) = Make(isTerminal: false);

        terminal.Text(Hostile);
        pipe.Text(Hostile);

        shown.ToString().ShouldBe("\\x1b]0;owned\\x07\\x1b[2Jok\\x0d\\x9b31m\\u202egnp.exe\nnext\tline");
        passed.ToString().ShouldBe(Hostile, "a file or a program gets the bytes as they are");
    }

    [Fact]
    public void D5_visible_text_has_no_control_character_whatever_it_is_made_from() =>
        Prop.ForAll(
            ArbMap.Default.ArbFor<string?>(),
            text => Screen.Visible(text ?? "").All(c => !char.IsControl(c) || c is '\n' or '\t'))
            .QuickCheckThrowOnFailure();

    [Fact]
    public void D5_table_cell_cannot_forge_a_row()
    {
        (Screen screen, StringWriter output) = Make(isTerminal: false);
        var table = new ColumnTable("NAME", "PHASE");
        table.Add("a\nadmin   Running", "\x1b[1mPending");

        table.WriteTo(screen);

        output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(2);
        output.ToString().ShouldContain("a\\nadmin   Running   \\x1b[1mPending");
    }

    [Fact]
    public void Yaml_output_reads_back_as_the_same_strings()
    {
        IDeserializer reader = new DeserializerBuilder().Build();
        Prop.ForAll(
            ArbMap.Default.ArbFor<NonNull<string>>().Filter(text => text.Get.All(c => !char.IsSurrogate(c) && c is not ('\ufffe' or '\uffff'))),
            text =>
            {
                JsonElement element = JsonSerializer.SerializeToElement(new Dictionary<string, string> { ["value"] = text.Get });
                return reader.Deserialize<Dictionary<string, string>>(YamlWriter.Write(element))["value"] == text.Get;
            }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("true")]
    [InlineData("no")]
    [InlineData("null")]
    [InlineData("1e3")]
    [InlineData("0x10")]
    [InlineData("12:30")]
    [InlineData("2026-01-01")]
    [InlineData("")]
    [InlineData("~")]
    [InlineData("- a")]
    [InlineData("a: b")]
    [InlineData("# c")]
    public void Yaml_output_quotes_strings_that_look_like_something_else(string text) =>
        YamlWriter.Write(JsonSerializer.SerializeToElement(new[] { text })).ShouldBe($"- \"{text}\"\n");

    [Theory]
    [InlineData("agnets", "agents")]
    [InlineData("taks", "tasks")]
    [InlineData("zebra", null)]
    public void Near_names_are_suggested_and_far_ones_are_not(string given, string? expected) =>
        NearestName.Find(given, ["agents", "tasks", "approvals", "universes"]).ShouldBe(expected);

    private static (Screen Screen, StringWriter Output) Make(bool isTerminal)
    {
        var output = new StringWriter { NewLine = "\n" };
        return (new Screen(output, TextWriter.Null, isTerminal, isTerminal, colours: false), output);
    }
}
