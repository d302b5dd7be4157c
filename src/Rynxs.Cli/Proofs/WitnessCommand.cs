using System.CommandLine;
using System.Text;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Hosting;
using Rynxs.Server.Witness;

namespace Rynxs.Cli.Proofs;

/// <summary><c>rynxs witness</c>: cosigns checkpoints of other logs that continue what it saw before (C2SP tlog-witness).</summary>
internal static class WitnessCommand
{
    public static Command Create(Screen screen)
    {
        var directory = new Option<string?>("--dir") { Description = "Its state and keys; 'witness' in the state directory without it.", HelpName = "DIR" };
        var listen = new Option<string>("--listen") { Description = "ADDRESS:PORT; port 0 takes a free one.", HelpName = "ADDRESS:PORT", DefaultValueFactory = _ => "127.0.0.1:8003" };
        var logs = new Option<string[]>("--log-key") { Description = "Public key of a log to follow (vkey); its name is the origin. Or @FILE with one a line, read again at each request. May be repeated.", HelpName = "VKEY", Required = true };
        var name = new Option<string?>("--name") { Description = "Name for the first key, such as witness.example/w1; needed once.", HelpName = "NAME" };
        var token = new Option<string?>("--token-file") { Description = "File with the token that requests must carry.", HelpName = "FILE" };
        var open = new Option<bool>("--open") { Description = "Answer anyone: only checkpoints that a followed log signed are cosigned." };
        var command = new Command("witness", "Runs a witness until it is interrupted: it cosigns checkpoints of logs, and remembers them, on another machine than theirs.")
        {
            directory, listen, logs, name, token, open,
        };
        command.SetAction((parsed, cancellationToken) => ProofArguments.GuardAsync(async () =>
        {
            string path = parsed.GetValue(directory) ?? Path.Combine(ClientSettings.StateDirectoryOf(parsed), "witness");
            string? secret = Token(parsed.GetValue(token), parsed.GetValue(open));
            string[] given = parsed.GetRequiredValue(logs);
            WitnessedLog[] followed = Logs(given);
            using KeyDirectory keys = OpenKeys(Path.Combine(path, "keys"), parsed.GetValue(name));
            foreach (SigningKey key in keys.SigningAt(TimeProvider.System.GetUtcNow()))
            {
                screen.Line(key.PublicKey.ToString());
            }

            return await RunAsync(
                new WitnessServerOptions
                {
                    Listen = parsed.GetRequiredValue(listen),
                    Token = secret,
                    Witness = new WitnessOptions { Directory = Path.Combine(path, "state"), Keys = keys, Logs = followed, ReadLogs = Rereading(given) },
                },
                screen, cancellationToken);
        }));
        return command;
    }

    private static async Task<int> RunAsync(WitnessServerOptions options, Screen screen, CancellationToken cancellationToken)
    {
        WitnessServer server;
        try
        {
            server = await WitnessServer.StartAsync(options, cancellationToken);
        }
        catch (ServerStartException exception)
        {
            throw new CliException(exception.Message, exception.ExitCode);
        }

        await using (server)
        {
            screen.Line($"The witness answers on {server.Url} ({(options.Token is null ? "anyone" : "with a token")}).");
            var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using (cancellationToken.Register(() => stopped.TrySetResult()))
            {
                await stopped.Task;
            }
        }

        screen.Note("rynxs: the witness stopped.");
        return ExitCodes.Ok;
    }

    private static KeyDirectory OpenKeys(string path, string? name)
    {
        if (KeyDirectory.Exists(path))
        {
            return KeyDirectory.Open(path);
        }

        if (name is null || !VerifierKey.IsName(name))
        {
            throw new CliException("--name: the first start needs a name for the key, without white space and '+', such as witness.example/w1.", ExitCodes.Usage);
        }

        return KeyDirectory.Create(path, name, NoteSignatureType.CosignatureV1, TimeProvider.System);
    }

    private static string? Token(string? path, bool open)
    {
        if ((path is null) != open)
        {
            throw new CliException("give either --token-file FILE or --open.", ExitCodes.Usage);
        }

        string? token = path is null ? null : Encoding.UTF8.GetString(ProofArguments.ReadFile("--token-file", path, 4096)).Trim();
        return token is { Length: < 16 } ? throw new CliException("--token-file: a token has at least 16 characters.", ExitCodes.Usage) : token;
    }

    /// <summary>Null when no key is in a file.</summary>
    private static Func<IReadOnlyList<WitnessedLog>>? Rereading(string[] given) => !given.Any(text => text.StartsWith('@')) ? null : () =>
    {
        try
        {
            return Logs(given);
        }
        catch (CliException exception)
        {
            throw new InvalidDataException(exception.Message, exception);
        }
    };

    private static WitnessedLog[] Logs(string[] given)
    {
        try
        {
            return
            [
                .. given.SelectMany(text => text.StartsWith('@')
                        ? Encoding.UTF8.GetString(ProofArguments.ReadFile("--log-key", text[1..], 64 * 1024))
                            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                        : [text])
                    .Select(VerifierKey.Parse)
                    .Select(key => key.Type == NoteSignatureType.Ed25519 ? key : throw new CliException($"--log-key: {key} is a witness's key.", ExitCodes.Usage))
                    .GroupBy(key => key.Name, (origin, keys) => new WitnessedLog(origin, [.. keys])),
            ];
        }
        catch (FormatException exception)
        {
            throw new CliException("--log-key: " + exception.Message, ExitCodes.Usage);
        }
    }
}
