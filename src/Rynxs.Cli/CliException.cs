namespace Rynxs.Cli;

/// <summary>A failure that the user can act on. The message is one line; hints say what to do next. Neither holds secrets.</summary>
internal sealed class CliException(string message, int exitCode = ExitCodes.Failure, params string[] hints) : Exception(message)
{
    public int ExitCode { get; } = exitCode;

    public IReadOnlyList<string> Hints { get; } = hints;
}
