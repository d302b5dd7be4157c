using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Rynxs.Cli.Approvals;
using Rynxs.Cli.Audit;
using Rynxs.Cli.Benchmarks;
using Rynxs.Cli.Client;
using Rynxs.Cli.Completion;
using Rynxs.Cli.Contexts;
using Rynxs.Cli.Demo;
using Rynxs.Cli.Diagnostics;
using Rynxs.Cli.Forensics;
using Rynxs.Cli.Hosting;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Nodes;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Policies;
using Rynxs.Cli.Proofs;
using Rynxs.Cli.Recording;
using Rynxs.Cli.Replay;
using Rynxs.Cli.SandboxCode;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Cli.Secrets;
using Rynxs.Cli.Tokens;
using Rynxs.Ledger;

namespace Rynxs.Cli;

/// <summary>The command tree, and the one place where failures become messages and exit codes.</summary>
internal static class CommandLine
{
    /// <summary>A server drains for up to 20 s; an interrupted command is not cut off before.</summary>
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(60);

    // A token such as "@notes" is text of a task, not the name of a file with arguments.
    private static readonly ParserConfiguration Parser = new() { ResponseFileTokenReplacer = null };

    public static RootCommand CreateTree(Screen screen)
    {
        var root = new RootCommand("Governed computers for AI agents. Start with 'rynxs demo', or 'rynxs up' and 'rynxs apply -f examples'.")
        {
            DemoCommand.Create(screen),
            UpCommand.Create(screen),
            OperatorCommand.Create(screen),
            ApplyCommand.Create(screen),
            GetCommand.Create(screen),
            DescribeCommand.Create(screen),
            DiffCommand.Create(screen),
            EditCommand.Create(screen),
            DeleteCommand.Create(screen),
            WaitCommand.Create(screen),
            ExplainCommand.Create(screen),
            ApiResourcesCommand.Create(screen),
            ConfigCommand.Create(screen),
            TaskCommand.Create(screen),
            LogsCommand.Create(screen),
            RunCommand.Create(screen),
            ExecCommand.Create(screen),
            DecisionCommand.Create(screen, approve: true),
            DecisionCommand.Create(screen, approve: false),
            ApprovalsCommand.Create(screen),
            PolicyCommand.Create(screen),
            AuditCommand.Create(screen),
            LedgerCommand.Create(screen),
            ReplayCommand.Create(screen),
            WitnessCommand.Create(screen),
            ForensicsCommand.Create(screen),
            BenchCommand.Create(screen),
            RecordingCommand.Create(screen),
            DoctorCommand.Create(screen),
            TokenCommand.Create(screen),
            SecretsCommand.Create(screen),
            NodeCommand.Create(screen),
            VersionCommand.Create(screen),
            CompletionCommand.Create(screen),
        };
        root.Add(GlobalOptions.Server);
        root.Add(GlobalOptions.Token);
        root.Add(GlobalOptions.State);
        root.Add(GlobalOptions.Namespace);
        root.Add(GlobalOptions.Kubeconfig);
        root.Add(GlobalOptions.Context);
        root.Add(GlobalOptions.Verbose);
        return root;
    }

    public static async Task<int> RunAsync(string[] args, Screen screen)
    {
        RootCommand root = CreateTree(screen);
        ParseResult parsed = root.Parse(args.Length == 0 ? ["--help"] : args, Parser);
        // The parser takes an unknown option for the next argument; nobody means that, and what is meant has "--" before it.
        if (parsed.Action is not HelpAction && MistakenOption(parsed) is { } mistaken)
        {
            return UsageError(parsed, [$"Unrecognized option '{mistaken}'."], screen, mistaken);
        }

        if (parsed.Action is ParseErrorAction)
        {
            return UsageError(parsed, [.. parsed.Errors.Select(error => InWords(error.Message))], screen);
        }

        screen.Verbose = parsed.GetValue(GlobalOptions.Verbose);
        // The exit code of a failure of ours, where the command otherwise returns a program's own.
        int failure = parsed.CommandResult.Command.Name switch
        {
            RunCommand.Name or ExecCommand.Name => ExitCodes.NotTheProgram,
            DiffCommand.Name => ExitCodes.DiffFailed,
            _ => ExitCodes.Failure,
        };
        try
        {
            var configuration = new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = TerminationTimeout,
                Output = screen.Output,
                Error = screen.Error,
            };
            return await parsed.InvokeAsync(configuration, CancellationToken.None);
        }
        catch (CliException exception)
        {
            screen.Failure(exception.Message, exception.Hints);
            return exception.ExitCode == ExitCodes.Failure ? failure : exception.ExitCode;
        }
        catch (ApiException exception)
        {
            screen.Failure(exception.Message, [.. exception.Details.Select(detail => "- " + detail), .. Hints(exception)]);
            return failure;
        }
        catch (LedgerCorruptException exception)
        {
            screen.Failure(exception.Message, exception.Expected is null && exception.Actual is null ? [] : [$"expected  {exception.Expected ?? "-"}", $"actual    {exception.Actual ?? "-"}"]);
            return ExitCodes.VerificationFailed;
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Interrupted;
        }
        catch (IOException exception) when (exception is not FileNotFoundException and not DirectoryNotFoundException && IsBrokenPipe(exception))
        {
            // The reader of our output went away (`rynxs logs a | head`): that is its right.
            return ExitCodes.Ok;
        }
        catch (Exception exception)
        {
            // The top of the process: whatever it is, a person reads one line, and all of it only when asked.
            screen.Failure(
                exception.Message.ReplaceLineEndings(" "),
                screen.Verbose ? exception.ToString().Split('\n') : ["This was not expected; --verbose shows where it happened."]);
            return failure;
        }
    }

    private static int UsageError(ParseResult parsed, IReadOnlyList<string> errors, Screen screen, string? mistaken = null)
    {
        Command command = parsed.CommandResult.Command;
        // What is not known explains what is then missing, so it comes first.
        List<string> messages = [.. errors.Distinct().OrderByDescending(message => message.StartsWith("Unrecognized", StringComparison.Ordinal))];
        List<string> hints = [.. messages.Skip(1)];
        if ((mistaken ?? (parsed.UnmatchedTokens is [{ } unmatched, ..] ? unmatched : null)) is { } token)
        {
            IEnumerable<string> names = token.StartsWith('-')
                ? OptionNames(command)
                : command.Subcommands.Where(subcommand => !subcommand.Hidden).Select(subcommand => subcommand.Name);
            if (NearestName.Find(token, names) is { } near)
            {
                hints.Add($"Did you mean '{near}'?");
            }
        }

        hints.Add($"See: {PathOf(command)} --help");
        screen.Failure(messages[0], hints);
        return ExitCodes.Usage;
    }

    /// <summary>The parser names types of the runtime, which say nothing to a person.</summary>
    private static string InWords(string message) => message
        .Replace("as expected type 'System.Int32'", "as a whole number", StringComparison.Ordinal)
        .Replace("as expected type 'System.Int64'", "as a whole number", StringComparison.Ordinal)
        .Replace("as expected type 'System.Nullable`1[System.Int64]'", "as a whole number", StringComparison.Ordinal)
        .Replace("as expected type 'Microsoft.Extensions.Logging.LogLevel'", "as a log level (Trace, Debug, Information, Warning, Error, Critical, None)", StringComparison.Ordinal);

    private static string? MistakenOption(ParseResult parsed)
    {
        HashSet<Token> given = [.. parsed.Tokens.TakeWhile(token => token.Type != TokenType.DoubleDash)];
        return parsed.CommandResult.Children.OfType<ArgumentResult>()
            .SelectMany(argument => argument.Tokens)
            .FirstOrDefault(token => token.Value.Length > 1 && token.Value[0] == '-' && given.Contains(token))?.Value;
    }

    private static IEnumerable<string> OptionNames(Command command)
    {
        IEnumerable<string> own = command.Options.Select(option => option.Name);
        return command.Parents.OfType<Command>().SelectMany(parent => parent.Options.Where(option => option.Recursive).Select(option => option.Name)).Concat(own);
    }

    /// <summary>The command as it is typed, such as <c>rynxs ledger verify</c>.</summary>
    internal static string PathOf(Command command)
    {
        Command? parent = command.Parents.OfType<Command>().FirstOrDefault();
        return parent is null ? "rynxs" : $"{PathOf(parent)} {command.Name}";
    }

    private static string[] Hints(ApiException exception) => (int)exception.Status switch
    {
        401 => ["The server does not know this token. It is in STATE/token (readable by who started the server); give it with RYNXS_TOKEN or --state."],
        403 => ["This token's principal may not do that; 'rynxs token create' makes one with other roles."],
        404 => ["It does not exist, or this token may not see it. Another namespace? -n NAME"],
        429 => ["Too much at once: try again later."],
        _ => [],
    };

    private static bool IsBrokenPipe(IOException exception) =>
        exception.HResult == 32 || exception.InnerException is System.Net.Sockets.SocketException { SocketErrorCode: System.Net.Sockets.SocketError.Shutdown };
}
