using System.CommandLine;
using Rynxs.Cli.Client;
using Rynxs.Cli.Stores;
using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Proofs;

/// <summary>Arguments that the proof commands share, and the files behind them. Every file is bounded before it is read.</summary>
internal static class ProofArguments
{
    public static Option<string[]> Keys() => new("--key")
    {
        Description = "Public key of the log that you trust, as 'rynxs ledger keys public' prints it, or @FILE with one a line. May be repeated.",
        HelpName = "VKEY",
    };

    public static Option<string?> Policy() => new("--witness-policy")
    {
        Description = "File in the form of C2SP tlog-policy: trusted logs and witnesses, and how many witnesses must have cosigned.",
        HelpName = "FILE",
    };

    public static Option<string?> KeyDirectoryOption() => new("--keys")
    {
        Description = "Directory of the private keys; keys/ledger of the state directory without it.",
        HelpName = "DIR",
    };

    public static Option<string> Chain() => new("--chain")
    {
        Description = "The chain: control, or agents/NAMESPACE/NAME.",
        HelpName = "CHAIN",
        DefaultValueFactory = _ => "control",
    };

    public static Option<string?> Output() => new("--out", "-o") { Description = "File to write; standard output without it.", HelpName = "FILE" };

    public static Argument<string?> Ledger() => new("path")
    {
        Description = "A ledger's or state directory, sqlite:PATH or s3://BUCKET/PREFIX; the state directory of --state without it.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    /// <summary>Root of the ledger at a path.</summary>
    public static string LedgerOf(ParseResult parsed, Argument<string?> path)
    {
        string given = parsed.GetValue(path) ?? ClientSettings.StateDirectoryOf(parsed);
        string ledger = Directory.Exists(Path.Combine(given, "ledger")) ? Path.Combine(given, "ledger") : given;
        return Directory.Exists(Path.Combine(ledger, "control"))
            ? Path.GetFullPath(ledger)
            : throw new CliException($"there is no ledger in '{given}': it has no control chain.");
    }

    /// <summary>Where the ledger lies: in files, or in another store.</summary>
    /// <exception cref="CliException">The path names no ledger.</exception>
    public static LedgerLocation LocationOf(ParseResult parsed, Argument<string?> path) =>
        parsed.GetValue(path) is { } given && StoreArguments.IsStore(given) ? StoreArguments.Parse(given) : new LedgerLocation.Files(LedgerOf(parsed, path));

    /// <summary>Reads the ledger at a path.</summary>
    /// <exception cref="CliException">There is none.</exception>
    public static LedgerReader Reader(ParseResult parsed, Argument<string?> path)
    {
        try
        {
            return LocationOf(parsed, path).OpenReader();
        }
        catch (FileNotFoundException exception)
        {
            throw new CliException(exception.Message);
        }
    }

    public static string KeyDirectoryOf(ParseResult parsed, Option<string?> keys) =>
        parsed.GetValue(keys) ?? Path.Combine(ClientSettings.StateDirectoryOf(parsed), "keys", "ledger");

    public static ChainId ChainOf(ParseResult parsed, Option<string> chain)
    {
        string text = parsed.GetRequiredValue(chain);
        return text.Split('/') switch
        {
            ["control"] => ChainId.Control,
            ["agents", { } ns, { } name] when ChainId.TryAgent(ns, name) is { } id => id,
            _ => throw new CliException($"--chain: '{text}' is not control or agents/NAMESPACE/NAME.", ExitCodes.Usage),
        };
    }

    public static IReadOnlyList<PinnedKey> PinnedKeys(ParseResult parsed, Option<string[]> keys)
    {
        var pinned = new List<PinnedKey>();
        foreach (string given in parsed.GetValue(keys) ?? [])
        {
            IEnumerable<string> texts = given.StartsWith('@')
                ? System.Text.Encoding.UTF8.GetString(ReadFile("--key", given[1..], 64 * 1024)).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                : [given];
            foreach (string text in texts)
            {
                pinned.Add(Parsed("--key", () => PinnedKey.Parse(text)));
            }
        }

        return pinned;
    }

    public static TrustPolicy? PolicyOf(ParseResult parsed, Option<string?> policy) => parsed.GetValue(policy) is { } path
        ? Parsed("--witness-policy", () => TrustPolicy.Parse(System.Text.Encoding.UTF8.GetString(ReadFile("--witness-policy", path, TrustPolicy.MaxCharacters))))
        : null;

    public static SignedCheckpoint Checkpoint(string option, string path) =>
        Parsed(option, () => SignedCheckpoint.Parse(ReadFile(option, path, SignedCheckpoint.MaxBytes)));

    /// <summary>A file, or standard input for <c>-</c>.</summary>
    public static byte[] ReadFile(string option, string path, int maxBytes)
    {
        try
        {
            using Stream stream = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
            ReadOnlyMemory<byte> content = BoundedInput.Read(stream, maxBytes + 1);
            return content.Length <= maxBytes ? content.ToArray() : throw new CliException($"{option}: '{path}' has more than {maxBytes} bytes.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"{option}: '{path}' cannot be read: {exception.Message}");
        }
    }

    public static void Write(Terminal.Screen screen, string? path, string text)
    {
        if (path is null)
        {
            screen.Text(text);
            return;
        }

        try
        {
            File.WriteAllText(path, text);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"--out: '{path}' cannot be written: {exception.Message}");
        }
    }

    /// <summary>Runs what works on a ledger's files and keys, and gives its failures one line each.</summary>
    public static async Task<int> GuardAsync(Func<Task<int>> action)
    {
        try
        {
            return await action();
        }
        catch (ProofException exception)
        {
            throw new CliException($"{exception.Code}: {exception.Message}", ExitCodes.VerificationFailed);
        }
        catch (Exception exception) when (exception is LedgerCorruptException or ChainRolledBackException)
        {
            throw new CliException(exception.Message, ExitCodes.VerificationFailed);
        }
        catch (Exception exception) when (exception is LedgerUnavailableException or LedgerLockedException or KeyDirectoryException
            or PlatformNotSupportedException or InvalidDataException)
        {
            throw new CliException(exception.Message);
        }
    }

    private static T Parsed<T>(string option, Func<T> parse)
    {
        try
        {
            return parse();
        }
        catch (FormatException exception)
        {
            throw new CliException($"{option}: {exception.Message}", ExitCodes.Usage);
        }
    }
}
