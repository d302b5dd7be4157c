using System.CommandLine;
using System.CommandLine.Help;
using System.Text;
using Rynxs.Cli;
using Rynxs.Cli.Terminal;

namespace Rynxs.EndToEndTests;

/// <summary>The reference in docs/cli.md is made from the command tree; this test makes it again and compares.</summary>
public sealed class CommandReferenceTests
{
    private const string Begin = "<!-- reference: made from the command tree; RYNXS_UPDATE_DOCS=1 ./test --filter CommandReference writes it -->\n";
    private const string End = "<!-- end of the reference -->";

    [Fact]
    public void Reference_of_the_command_line_is_current()
    {
        string path = Path.Combine(RynxsProgram.Repository, "docs", "cli.md");
        string document = File.ReadAllText(path);
        int begin = document.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        int end = document.IndexOf(End, StringComparison.Ordinal);
        begin.ShouldBeGreaterThan(Begin.Length);
        end.ShouldBeGreaterThan(begin);
        var reference = new StringBuilder("\n");
        Write(CommandLine.CreateTree(new Screen(TextWriter.Null, TextWriter.Null, false, false, false)), reference);

        if (Environment.GetEnvironmentVariable("RYNXS_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, document[..begin] + reference + document[end..]);
            return;
        }

        document[begin..end].ShouldBe(reference.ToString(), "docs/cli.md is behind the commands: RYNXS_UPDATE_DOCS=1 writes it anew");
    }

    private static void Write(Command command, StringBuilder reference)
    {
        if (command.Subcommands.Count == 0 || command is RootCommand)
        {
            string title = command is RootCommand ? "Every command" : CommandLine.PathOf(command);
            string arguments = string.Concat(command.Arguments.Select(argument =>
                $" {argument.Name.ToUpperInvariant()}{(argument.Arity.MaximumNumberOfValues > 1 ? "…" : "")}"));
            reference.Append("### ").Append(title).Append(arguments).Append("\n\n");
            reference.Append(command is RootCommand ? "These options stand anywhere on the command line.\n" : command.Description + "\n");
            Option[] options = [.. command.Options.Where(option => option is not (HelpOption or VersionOption))];
            if (options.Length > 0)
            {
                reference.Append("\n| option | meaning |\n|---|---|\n");
            }

            foreach (Option option in options)
            {
                string names = string.Join(", ", ((string[])[option.Name, .. option.Aliases]).Select(name => $"`{name}`"));
                string fallback = option.HasDefaultValue && option.GetDefaultValue() is { } value and not false and not 0L and not long.MaxValue and not Array
                    ? $" Default `{value}`."
                    : "";
                reference.Append($"| {names}{(option.HelpName is null ? "" : " " + option.HelpName.Replace("|", "\\|", StringComparison.Ordinal))} | {option.Description}{(option.Required ? " Required." : "")}{fallback} |\n");
            }

            reference.Append('\n');
        }

        foreach (Command subcommand in command.Subcommands)
        {
            Write(subcommand, reference);
        }
    }
}
