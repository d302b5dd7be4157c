using System.CommandLine;
using Rynxs.Cli.Export;
using Rynxs.Cli.Replay;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger verify|cat</c>: files, without a server.</summary>
internal static class LedgerCommand
{
    public static Command Create(Screen screen) =>
        new("ledger", "Verifies and shows ledgers on disk; needs no server and takes no lock.")
        {
            Verify(screen),
            LedgerCat.Create(screen),
            TailCommand.Create(screen),
            InspectCommand.Create(screen),
            ReplayCommand.Create(screen),
            CheckpointCommand.Create(screen),
            PointersCommand.Create(screen),
            AuditReportCommand.Create(screen),
            ExportCommand.Create(screen),
        };

    /// <summary>Verifies a path.</summary>
    /// <exception cref="CliException">Nothing is there, or it cannot be read.</exception>
    public static LedgerVerification VerifyPath(string path, CancellationToken cancellationToken)
    {
        try
        {
            return ChainVerifier.VerifyPath(path, cancellationToken);
        }
        catch (FileNotFoundException)
        {
            throw new CliException($"there is no file or directory '{path}'.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{path}' cannot be read: {exception.Message}");
        }
    }

    /// <summary>The path as an argument, or as the option of the original's command line.</summary>
    public static (Argument<string?> Argument, Option<string?> Alias) PathArgument() => (
        new Argument<string?>("path") { Description = "A log file, a chain's or ledger's directory, or a state directory.", Arity = ArgumentArity.ZeroOrOne },
        new Option<string?>("--log") { Description = "The same as PATH.", HelpName = "PATH" });

    public static string PathOf(ParseResult parsed, (Argument<string?> Argument, Option<string?> Alias) path) =>
        parsed.GetValue(path.Argument) ?? parsed.GetValue(path.Alias)
        ?? throw new CliException("give the path of a log or a directory.", ExitCodes.Usage, "See: rynxs ledger --help");

    private static Command Verify(Screen screen)
    {
        (Argument<string?> Argument, Option<string?> Alias) path = PathArgument();
        var json = new Option<bool>("--json") { Description = "One JSON object." };
        var command = new Command("verify", "Recomputes every hash. Exit code 2 and the first bad sequence, expected and actual, on damage.")
        {
            path.Argument, path.Alias, json,
        };
        command.SetAction((parsed, cancellationToken) =>
            Task.FromResult(VerificationReport.Show(VerifyPath(PathOf(parsed, path), cancellationToken), parsed.GetValue(json), screen)));
        return command;
    }
}
