using System.CommandLine;
using Rynxs.Cli.Proofs;
using Rynxs.Cli.Export;
using Rynxs.Cli.Replay;
using Rynxs.Cli.Stores;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger …</c>: files, without a server.</summary>
internal static class LedgerCommand
{
    public static Command Create(Screen screen) =>
        new("ledger", "Verifies and shows ledgers on disk; needs no server and takes no lock.")
        {
            VerifyCommand.Create(screen),
            KeysCommand.Create(screen),
            PublishCommand.Create(screen),
            ProveCommand.Prove(screen),
            ProveCommand.VerifyProof(screen),
            ProveCommand.Consistency(screen),
            ProveCommand.VerifyConsistency(screen),
            RedactCommand.Create(screen),
            LedgerCat.Create(screen),
            CopyCommand.Copy(screen),
            CopyCommand.Backup(screen),
            PruneCommand.Create(screen),
            ProbeCommand.Create(screen),
            S3PolicyCommand.Create(screen),
            ServeCommand.Create(screen),
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
    public static LedgerVerification VerifyPath(string path, CancellationToken cancellationToken) =>
        VerifyPath(path, new VerificationOptions(), cancellationToken);

    /// <inheritdoc cref="VerifyPath(string, CancellationToken)"/>
    public static LedgerVerification VerifyPath(string path, VerificationOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return StoreArguments.IsStore(path) ? VerifyStore(path, options, cancellationToken) : ChainVerifier.VerifyPath(path, options, cancellationToken);
        }
        catch (LedgerUnavailableException exception)
        {
            throw new CliException(exception.Message);
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

    private static LedgerVerification VerifyStore(string path, VerificationOptions options, CancellationToken cancellationToken) => Task.Run(
        async () =>
        {
            await using LedgerReader reader = StoreArguments.Parse(path).OpenReader();
            return await ChainVerifier.VerifyAsync(new StoreLedgerSource(path, reader), options, cancellationToken);
        },
        CancellationToken.None).GetAwaiter().GetResult(); // As VerifyPath for files: its callers are synchronous.

    /// <summary>The path as an argument, or as the option of the original's command line.</summary>
    public static (Argument<string?> Argument, Option<string?> Alias) PathArgument() => (
        new Argument<string?>("path") { Description = "A log file, a chain's or ledger's directory, a state directory, sqlite:PATH, or s3://BUCKET/PREFIX (verify only).", Arity = ArgumentArity.ZeroOrOne },
        new Option<string?>("--log") { Description = "The same as PATH.", HelpName = "PATH" });

    public static string PathOf(ParseResult parsed, (Argument<string?> Argument, Option<string?> Alias) path) =>
        parsed.GetValue(path.Argument) ?? parsed.GetValue(path.Alias)
        ?? throw new CliException("give the path of a log or a directory.", ExitCodes.Usage, "See: rynxs ledger --help");
}
