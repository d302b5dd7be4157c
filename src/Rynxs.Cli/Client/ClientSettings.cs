using System.CommandLine;
using System.Text.Json;

namespace Rynxs.Cli.Client;

/// <summary>Which server to talk to, as whom, in which namespace.</summary>
internal sealed record ClientSettings
{
    private const int MaxServerFileBytes = 64 * 1024;
    private const int MaxTokenBytes = 4096;

    public required Uri Server { get; init; }

    /// <summary>Null when none was found: the server then answers 401, or accepts anonymous callers.</summary>
    public required string? Token { get; init; }

    public required string Namespace { get; init; }

    public required string StateDirectory { get; init; }

    /// <summary>
    /// Command line before environment before the state directory. The state directory's token is only ever sent to the server that the
    /// same directory names: <c>--server</c> with another address needs its own token.
    /// </summary>
    /// <exception cref="CliException">No server is named anywhere, or an address is not one.</exception>
    public static ClientSettings Resolve(ParseResult parsed)
    {
        string state = StateDirectoryOf(parsed);
        string? given = parsed.GetValue(GlobalOptions.Server) ?? NonEmpty(Environment.GetEnvironmentVariable("RYNXS_SERVER"));
        Uri? recorded = RecordedServer(state);
        Uri server = given is not null
            ? ParseServer(given)
            : recorded ?? throw new CliException(
                $"no server is running on the state directory {state}.",
                hints: ["Start one with: rynxs up", "Or name one with --server URL or RYNXS_SERVER; another state directory with --state or RYNXS_STATE."]);

        string? token = parsed.GetValue(GlobalOptions.Token) ?? NonEmpty(Environment.GetEnvironmentVariable("RYNXS_TOKEN"));
        if (token is null && recorded == server)
        {
            token = RecordedToken(state);
        }

        if (token is not null && token.Any(c => c is < '!' or > '~'))
        {
            throw new CliException("the token has characters that no token has (spaces, control characters or non-ASCII).", ExitCodes.Usage);
        }

        return new ClientSettings
        {
            Server = server,
            Token = token,
            Namespace = parsed.GetValue(GlobalOptions.Namespace) ?? "rynxs",
            StateDirectory = state,
        };
    }

    /// <summary>The server of a state directory, with its own token; null while none is recorded there.</summary>
    public static ClientSettings? FromState(string stateDirectory) =>
        RecordedServer(stateDirectory) is { } server && RecordedToken(stateDirectory) is { } token
            ? new ClientSettings { Server = server, Token = token, Namespace = "rynxs", StateDirectory = stateDirectory }
            : null;

    /// <summary><c>--state</c>, RYNXS_STATE, or the default: the system's state directory for root, the user's otherwise.</summary>
    public static string StateDirectoryOf(ParseResult parsed)
    {
        string? given = parsed.GetValue(GlobalOptions.State) ?? NonEmpty(Environment.GetEnvironmentVariable("RYNXS_STATE"));
        return Path.GetFullPath(given ?? DefaultStateDirectory());
    }

    private static string DefaultStateDirectory()
    {
        if (Environment.IsPrivilegedProcess)
        {
            return "/var/lib/rynxs";
        }

        string? state = NonEmpty(Environment.GetEnvironmentVariable("XDG_STATE_HOME"));
        return state is not null
            ? Path.Combine(state, "rynxs")
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state", "rynxs");
    }

    private static Uri ParseServer(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" && uri.UserInfo.Length == 0
            ? uri
            : throw new CliException($"'{text}' is not a server address.", ExitCodes.Usage, "Give an http or https address, such as http://127.0.0.1:8002");

    /// <summary>Where the state directory's server speaks TLS; null when none runs that does.</summary>
    public static Uri? RecordedTlsServer(string state) => Recorded(state, "tls_url");

    private static Uri? RecordedServer(string state) => Recorded(state, "url");

    private static Uri? Recorded(string state, string property)
    {
        if (ReadBounded(Path.Combine(state, "server.json"), MaxServerFileBytes) is not { } bytes)
        {
            return null;
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes);
            return document.RootElement.TryGetProperty(property, out JsonElement url) && url.ValueKind == JsonValueKind.String ? ParseServer(url.GetString() ?? "") : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw new CliException($"{Path.Combine(state, "server.json")} cannot be read: {exception.Message}");
        }
    }

    private static string? RecordedToken(string state) =>
        ReadBounded(Path.Combine(state, "token"), MaxTokenBytes) is { } bytes ? NonEmpty(System.Text.Encoding.UTF8.GetString(bytes).Trim()) : null;

    private static byte[]? ReadBounded(string path, int limit)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            if (file.Length > limit)
            {
                throw new CliException($"{path} is larger than {limit} bytes.");
            }

            byte[] bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            throw new CliException(
                $"{path} is not readable for you: it belongs to whoever started the server.",
                hints: ["Ask for a token of your own and give it with RYNXS_TOKEN (and RYNXS_SERVER), or run this as that user."]);
        }
    }

    private static string? NonEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
