using System.Text;
using Rynxs.Ledger.Forensics;
using Spectre.Console;

namespace Rynxs.Cli.Terminal;

/// <summary>
/// Where a command writes. Text that agents, sandboxes or other users wrote is untrusted: on a terminal its control characters are shown,
/// never interpreted; into a pipe or a file it goes unchanged.
/// </summary>
internal sealed class Screen
{
    private readonly bool _outputIsTerminal;
    private readonly bool _errorIsTerminal;

    public Screen(TextWriter output, TextWriter error, bool outputIsTerminal, bool errorIsTerminal, bool colours)
    {
        Output = output;
        Error = error;
        _outputIsTerminal = outputIsTerminal;
        _errorIsTerminal = errorIsTerminal;
        Rich = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = colours && outputIsTerminal ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = colours && outputIsTerminal ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = outputIsTerminal ? InteractionSupport.Yes : InteractionSupport.No,
            Out = new AnsiConsoleOutput(output),
        });
        if (!outputIsTerminal)
        {
            // A pipe has no width: nothing is wrapped into it.
            Rich.Profile.Width = 10_000;
        }
    }

    public TextWriter Output { get; }

    public TextWriter Error { get; }

    /// <summary>Markup, colours and spinners; plain when standard output is not a terminal or NO_COLOR is set.</summary>
    public IAnsiConsole Rich { get; }

    public bool IsInteractive => _outputIsTerminal;

    /// <summary>Prints full exceptions and requests when set by <c>--verbose</c>.</summary>
    public bool Verbose { get; set; }

    public static Screen ForProcess()
    {
        bool colours = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
            && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
        var utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        return new Screen(
            new StreamWriter(Console.OpenStandardOutput(), utf8) { AutoFlush = true },
            new StreamWriter(Console.OpenStandardError(), utf8) { AutoFlush = true },
            !Console.IsOutputRedirected,
            !Console.IsErrorRedirected,
            colours);
    }

    /// <summary>Writes a line of result.</summary>
    public void Line(string text = "") => Output.WriteLine(_outputIsTerminal ? Visible(text) : text);

    /// <summary>Writes result text as it is, without a newline of ours.</summary>
    public void Text(string text) => Output.Write(_outputIsTerminal ? Visible(text) : text);

    /// <summary>Writes text of a program's standard error to ours.</summary>
    public void ErrorText(string text) => Error.Write(_errorIsTerminal ? Visible(text) : text);

    /// <summary>Writes a line that is not the result: progress, hints.</summary>
    public void Note(string text) => Error.WriteLine(_errorIsTerminal ? Visible(text) : text);

    public void Failure(string message, IEnumerable<string> hints)
    {
        Note("rynxs: " + message);
        foreach (string hint in hints)
        {
            Note("       " + hint);
        }
    }

    /// <inheritdoc cref="UntrustedText.Visible"/>
    public static string Visible(string text) => UntrustedText.Visible(text);
}
