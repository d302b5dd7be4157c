using System.CommandLine;
using System.Text.Json.Nodes;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger checkpoint create|verify</c>: signed states in the original's format.</summary>
internal static class CheckpointCommand
{
    public static Command Create(Screen screen) => new("checkpoint", "Signs the state of a log, and verifies such signatures.") { Sign(screen), Verify(screen) };

    private static string DefaultKey =>
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".rynxs", "keys", "checkpoint_ed25519");

    private static Command Sign(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        var output = new Option<string>("--out", "-o") { Description = "Directory for the checkpoint; its name is made from what it holds.", HelpName = "DIR", DefaultValueFactory = _ => "." };
        var key = new Option<string?>("--key", "-k") { Description = "Private key, PKCS #8 PEM, mode 0600 (default: ~/.rynxs/keys/checkpoint_ed25519).", HelpName = "FILE" };
        var generate = new Option<bool>("--generate-key") { Description = "Makes the key first, with mode 0600 and its public half beside it (.pub). Refused when the file exists." };
        Option<string?> to = LogArguments.To();
        Option<bool> json = LogArguments.Json();
        var command = new Command("create", "Replays a log and signs the state. Exit code 2 when the chain does not verify.") { path, log, output, key, generate, to, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            string keyFile = parsed.GetValue(key) ?? DefaultKey;
            if (parsed.GetValue(generate))
            {
                GenerateKey(keyFile);
            }

            using SigningKey signer = KeyFile(keyFile, CheckpointKeyFile.ReadPrivate);
            LogSource source = LogArguments.Open(LogArguments.PathOf(parsed, path, log));
            ReplayResult replay = LogReplay.Run(source, LogArguments.EndOf(parsed.GetValue(to), "--to"), observe: null, cancellationToken);
            if (replay.Last.Seq < 0)
            {
                throw new CliException("the log has no record up to there, so there is nothing to sign.");
            }

            RynxsCheckpoint checkpoint = RynxsCheckpoint.Create(replay, signer);
            string file = new CheckpointDirectory(parsed.GetRequiredValue(output)).Write(checkpoint);
            var result = new JsonObject
            {
                ["success"] = true, ["checkpoint_path"] = file, ["event_index"] = checkpoint.EventIndex, ["event_hash"] = checkpoint.EventHash,
                ["state_hash"] = checkpoint.StateHash, ["pubkey_id"] = checkpoint.PubkeyId,
            };
            Show(screen, result, parsed.GetValue(json));
            return Task.FromResult(ExitCodes.Ok);
        });
        return command;
    }

    private static Command Verify(Screen screen)
    {
        var file = new Argument<string>("file") { Description = "The checkpoint." };
        Option<string?> log = LogArguments.Log();
        var key = new Option<string?>("--key", "-k") { Description = "Public key that you trust, PEM (default: ~/.rynxs/keys/checkpoint_ed25519.pub).", HelpName = "FILE" };
        var full = new Option<bool>("--full") { Description = "Also walks the chain, compares the record's hash and replays to the state." };
        Option<bool> json = LogArguments.Json();
        var command = new Command("verify", "Verifies the signature of a checkpoint; with --full everything that it says. Exit code 2 when it is not true.") { file, log, key, full, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            string pem = ReadText(parsed.GetValue(key) ?? DefaultKey + ".pub");
            RynxsCheckpoint checkpoint = ReadCheckpoint(parsed.GetRequiredValue(file));
            CheckpointReport report = VerifyIt(checkpoint, pem, parsed.GetValue(full) ? LogArguments.Open(parsed.GetValue(log) ?? Client.ClientSettings.StateDirectoryOf(parsed)) : null, cancellationToken);
            Show(screen, ToJson(report, checkpoint, parsed.GetValue(full)), parsed.GetValue(json));
            return Task.FromResult(report.Valid ? ExitCodes.Ok : ExitCodes.VerificationFailed);
        });
        return command;
    }

    /// <summary>Reads a checkpoint.</summary>
    /// <exception cref="CliException">It cannot be read, or is none (exit code 2).</exception>
    public static RynxsCheckpoint ReadCheckpoint(string path)
    {
        try
        {
            return CheckpointDirectory.Read(path);
        }
        catch (FormatException exception)
        {
            throw new CliException($"'{path}' is no checkpoint: {exception.Message}", ExitCodes.VerificationFailed);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{path}' cannot be read: {exception.Message}");
        }
    }

    /// <summary>Verifies with a public key.</summary>
    /// <exception cref="CliException">The key is none.</exception>
    public static CheckpointReport VerifyIt(RynxsCheckpoint checkpoint, string pem, LogSource? log, CancellationToken cancellationToken)
    {
        try
        {
            return log is null ? CheckpointVerification.Signature(checkpoint, pem) : CheckpointVerification.Full(checkpoint, pem, log, cancellationToken);
        }
        catch (FormatException exception)
        {
            throw new CliException("--key: " + exception.Message, ExitCodes.Usage);
        }
    }

    /// <summary>The text of a public key's file.</summary>
    /// <exception cref="CliException">It cannot be read, or is too large.</exception>
    public static string ReadText(string path) => KeyFile(path, CheckpointKeyFile.ReadPem);

    private static void GenerateKey(string path) => KeyFile(path, file =>
    {
        CheckpointKeyFile.Generate(file);
        return file;
    });

    private static T KeyFile<T>(string path, Func<string, T> use)
    {
        try
        {
            return use(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new CliException($"the key '{path}' cannot be used: {exception.Message}", hints: ["A key is made with: rynxs ledger checkpoint create --generate-key"]);
        }
    }

    private static JsonObject ToJson(CheckpointReport report, RynxsCheckpoint checkpoint, bool full) => new()
    {
        ["success"] = report.Valid,
        ["verification"] = full ? "full" : "signature",
        ["event_index"] = checkpoint.EventIndex,
        ["event_hash"] = checkpoint.EventHash,
        ["state_hash"] = checkpoint.StateHash,
        ["pubkey_id"] = checkpoint.PubkeyId,
        ["signature_valid"] = report.SignatureValid,
        ["state_hash_valid"] = report.StateHashValid,
        ["event_hash_valid"] = report.EventHashValid,
        ["chain_valid"] = report.ChainValid,
        ["replay_valid"] = report.ReplayValid,
        ["errors"] = new JsonArray([.. report.Errors.Select(error => (JsonNode)error)]),
    };

    private static void Show(Screen screen, JsonObject result, bool json)
    {
        if (json)
        {
            LogArguments.WriteJson(screen, result);
            return;
        }

        foreach ((string key, JsonNode? value) in result)
        {
            if (value is JsonArray { Count: 0 } or null)
            {
                continue;
            }

            screen.Line($"{key}: {LogArguments.OneLine(value is JsonArray list ? string.Join(" ", list.Select(item => item?.ToString())) : value.ToString(), 4_000)}");
        }
    }
}
