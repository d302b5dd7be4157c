using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;

namespace Rynxs.Cli.Proofs;

/// <summary><c>rynxs ledger keys init|rotate|list|public</c>: the keys that sign checkpoints or cosign them. Private keys are never printed.</summary>
internal static class KeysCommand
{
    public static Command Create(Screen screen) =>
        new("keys", "Makes, rotates and lists the keys that sign checkpoints.")
        {
            Init(screen),
            Rotate(screen),
            List(screen),
            Public(screen),
        };

    private static Command Init(Screen screen)
    {
        Option<string?> keys = ProofArguments.KeyDirectoryOption();
        var name = new Option<string?>("--name") { Description = "Name of the log (the origin of its checkpoints) or of the witness, such as example.com/rynxs.", HelpName = "NAME" };
        var witness = new Option<bool>("--witness") { Description = "A key that cosigns: for 'rynxs witness'." };
        var command = new Command("init", "Makes a first key (files of mode 0600) and prints its public key. A server makes one by itself.") { keys, name, witness };
        command.SetAction(parsed => ProofArguments.GuardAsync(() =>
        {
            string given = parsed.GetValue(name) ?? "rynxs.local/" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));
            if (!VerifierKey.IsName(given))
            {
                throw new CliException("--name: a name has no white space, no control characters and no '+'.", ExitCodes.Usage);
            }

            NoteSignatureType type = parsed.GetValue(witness) ? NoteSignatureType.CosignatureV1 : NoteSignatureType.Ed25519;
            using KeyDirectory made = KeyDirectory.Create(ProofArguments.KeyDirectoryOf(parsed, keys), given, type, TimeProvider.System);
            screen.Line(made.Keys[0].PublicKey.ToString());
            return Task.FromResult(ExitCodes.Ok);
        }));
        return command;
    }

    private static Command Rotate(Screen screen)
    {
        Option<string?> keys = ProofArguments.KeyDirectoryOption();
        var overlap = new Option<string>("--overlap")
        {
            Description = "How long the present key still signs beside the new one (90s, 15m, 12h, 30d), or 0.",
            HelpName = "SPAN",
            DefaultValueFactory = _ => "30d",
        };
        var command = new Command("rotate", "Makes a new key and prints its public key. A running server, or witness, takes it within seconds.") { keys, overlap };
        command.SetAction(parsed => ProofArguments.GuardAsync(() =>
        {
            string given = parsed.GetRequiredValue(overlap);
            TimeSpan span = given == "0" ? TimeSpan.Zero : Moment.Parse("--overlap", given, new FixedTime()) - DateTimeOffset.UnixEpoch;
            using KeyDirectory directory = KeyDirectory.Open(ProofArguments.KeyDirectoryOf(parsed, keys));
            directory.Rotate(span, TimeProvider.System);
            screen.Line(directory.Keys[^1].PublicKey.ToString());
            return Task.FromResult(ExitCodes.Ok);
        }));
        return command;
    }

    private static Command List(Screen screen)
    {
        Option<string?> keys = ProofArguments.KeyDirectoryOption();
        var command = new Command("list", "Lists the keys: when each was made, and until when it signs.") { keys };
        command.SetAction(parsed => ProofArguments.GuardAsync(() =>
        {
            using KeyDirectory directory = KeyDirectory.Open(ProofArguments.KeyDirectoryOf(parsed, keys));
            var table = new ColumnTable("KEY", "PURPOSE", "CREATED", "SIGNS UNTIL");
            foreach (KeyRecord key in directory.Keys)
            {
                table.Add(
                    key.PublicKey.ToString(),
                    key.PublicKey.Type == NoteSignatureType.Ed25519 ? "log" : "witness",
                    key.Created.ToString("u", CultureInfo.InvariantCulture),
                    !key.HasPrivate ? "removed" : key.SignsUntil?.ToString("u", CultureInfo.InvariantCulture) ?? "-");
            }

            table.WriteTo(screen);
            return Task.FromResult(ExitCodes.Ok);
        }));
        return command;
    }

    private static Command Public(Screen screen)
    {
        Option<string?> keys = ProofArguments.KeyDirectoryOption();
        var pem = new Option<bool>("--pem") { Description = "As SubjectPublicKeyInfo PEM, for other tools." };
        var command = new Command("public", "Prints the public keys that sign now, to be pinned elsewhere with --key.") { keys, pem };
        command.SetAction(parsed => ProofArguments.GuardAsync(() =>
        {
            using KeyDirectory directory = KeyDirectory.Open(ProofArguments.KeyDirectoryOf(parsed, keys));
            foreach (SigningKey key in directory.SigningAt(TimeProvider.System.GetUtcNow()))
            {
                screen.Text(parsed.GetValue(pem) ? key.ToPublicPem() : key.PublicKey + "\n");
            }

            return Task.FromResult(ExitCodes.Ok);
        }));
        return command;
    }

    /// <summary>1970, so that a span from now is a span.</summary>
    private sealed class FixedTime : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch;
    }
}
