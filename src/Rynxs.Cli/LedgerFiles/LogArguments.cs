using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Stores;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Forensics;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary>What the commands that read logs have in common: which log, and up to where.</summary>
internal static class LogArguments
{
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Argument<string?> Path() => new("path")
    {
        Description = "A log file, a chain's or ledger's directory, a state directory, sqlite:PATH or s3://BUCKET/PREFIX; without it the state directory's control chain.", Arity = ArgumentArity.ZeroOrOne,
    };

    public static Option<string?> Log() => new("--log", "-l") { Description = "The same as PATH.", HelpName = "PATH" };

    public static Option<string?> To() => new("--to", "--until", "-u")
    {
        Description = "Up to this sequence (inclusive), or up to before the first record of a later time (RFC 3339).", HelpName = "SEQ|TIME",
    };

    public static Option<bool> Json() => new("--json") { Description = "JSON instead of text." };

    /// <summary>The path that was given, else the state directory.</summary>
    public static string PathOf(ParseResult parsed, Argument<string?> path, Option<string?> log) =>
        parsed.GetValue(path) ?? parsed.GetValue(log) ?? ClientSettings.StateDirectoryOf(parsed);

    /// <summary>One chain; of another store than files the control chain.</summary>
    /// <exception cref="CliException">There is none.</exception>
    public static LogSource Open(string path) => StoreArguments.IsStore(path)
        ? OpenStored(path).FirstOrDefault(source => source.Chain == ChainId.Control.RelativePath) ?? throw new CliException($"'{path}' has no control chain.")
        : Opened(path, LogSource.Open);

    /// <summary>Every chain of a ledger.</summary>
    /// <exception cref="CliException">There is none.</exception>
    public static IReadOnlyList<LogSource> OpenAll(string path) => StoreArguments.IsStore(path) ? OpenStored(path) : Opened(path, LogSource.OpenAll);

    /// <summary>For what follows a log, which only files allow.</summary>
    /// <exception cref="CliException">The path names another store.</exception>
    public static void RequireFiles(string path, string what)
    {
        if (StoreArguments.IsStore(path))
        {
            throw new CliException($"{what} follows a log in files; '{path}' is another store.", ExitCodes.Usage, ["Copy it first: rynxs ledger copy FROM TO"]);
        }
    }

    /// <summary>A sequence, or a moment.</summary>
    /// <exception cref="CliException">It is neither.</exception>
    public static ReplayEnd EndOf(string? text, string option)
    {
        if (text is null)
        {
            return new ReplayEnd.Head();
        }

        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seq))
        {
            return new ReplayEnd.Sequence(seq);
        }

        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTimeOffset time)
            && text.Length >= 10 && text.Contains('-', StringComparison.Ordinal)
            ? new ReplayEnd.Time(time)
            : throw new CliException($"{option}: '{text}' is neither a sequence nor a time such as 2026-11-22T08:00:00Z.", ExitCodes.Usage);
    }

    public static JsonElement Element(JsonNode node) => JsonElement.Parse(node.ToJsonString(Relaxed));

    public static void WriteJson(Screen screen, JsonNode node) => OutputFormat.Write(screen, Element(node), OutputFormat.Json);

    /// <summary>A failure as JSON; the words on standard error are for the caller.</summary>
    public static JsonObject Failure(LedgerCorruptException exception) => new()
    {
        ["code"] = exception.Code, ["message"] = exception.Message, ["seq"] = exception.Seq, ["file"] = exception.File,
        ["expected"] = exception.Expected, ["actual"] = exception.Actual,
    };

    /// <summary>Text of a log in one line of output: nothing in it begins another line or moves a cursor, whatever the output is.</summary>
    public static string OneLine(string? text, int length = 200) => UntrustedText.OneLine(text, length);

    // The command line has no synchronization context that waiting could block.
    private static IReadOnlyList<LogSource> OpenStored(string path)
    {
        try
        {
            return StoreArguments.Parse(path).OpenLogsAsync(CancellationToken.None).GetAwaiter().GetResult();
        }
        catch (Exception exception) when (exception is FileNotFoundException or LedgerUnavailableException)
        {
            throw new CliException(exception.Message);
        }
    }

    private static T Opened<T>(string path, Func<string, T> open)
    {
        try
        {
            return open(path);
        }
        catch (FileNotFoundException)
        {
            throw new CliException(
                $"there is no log at '{path}'.",
                hints: ["Give a log file, the directory of a chain or a ledger, or a state directory (--state DIR)."]);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{path}' cannot be read: {exception.Message}");
        }
    }
}
