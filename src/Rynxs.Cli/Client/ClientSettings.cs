using System.CommandLine;
using System.Security.Cryptography.X509Certificates;
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

    /// <summary>Who vouches for the server; null for the machine's own authorities.</summary>
    public X509Certificate2Collection? Authority { get; init; }

    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>The name that the server's certificate must have, when it is not the address's.</summary>
    public string? ServerName { get; init; }

    /// <summary>
    /// Command line before environment before the state directory: <c>--server</c>, <c>--kubeconfig</c> or <c>--context</c>, RYNXS_SERVER, a state directory
    /// that is named, KUBECONFIG, the default state directory. A credential is only ever sent to the server that its own source names: <c>--server</c> with
    /// another address needs its own token.
    /// </summary>
    /// <exception cref="CliException">No server is named anywhere, or an address is not one.</exception>
    public static ClientSettings Resolve(ParseResult parsed)
    {
        string state = StateDirectoryOf(parsed);
        string? given = parsed.GetValue(GlobalOptions.Server) ?? (NamesKubeconfig(parsed) ? null : NonEmpty(Environment.GetEnvironmentVariable("RYNXS_SERVER")));
        bool stateNamed = parsed.GetValue(GlobalOptions.State) is not null || NonEmpty(Environment.GetEnvironmentVariable("RYNXS_STATE")) is not null;
        bool fromEnvironment = !stateNamed && NonEmpty(Environment.GetEnvironmentVariable("KUBECONFIG")) is not null;
        string? token = parsed.GetValue(GlobalOptions.Token) ?? NonEmpty(Environment.GetEnvironmentVariable("RYNXS_TOKEN"));
        if (given is null && (NamesKubeconfig(parsed) || fromEnvironment))
        {
            KubeconfigTarget target = Kubeconfig.Load(parsed.GetValue(GlobalOptions.Kubeconfig)).Resolve(parsed.GetValue(GlobalOptions.Context));
            return new ClientSettings
            {
                Server = target.Server,
                Token = Checked(parsed.GetValue(GlobalOptions.Token) ?? target.Token),
                Namespace = NamespaceOf(parsed) ?? target.Namespace ?? DefaultNamespace,
                StateDirectory = state,
                Authority = target.Authority,
                ClientCertificate = target.ClientCertificate,
                ServerName = target.ServerName,
            };
        }

        Uri? recorded = RecordedServer(state);
        Uri server = given is not null
            ? ParseServer(given)
            : recorded ?? throw new CliException(
                $"no server is running on the state directory {state}.",
                hints: ["Start one with: rynxs up", "Or name one with --server URL, RYNXS_SERVER or KUBECONFIG; another state directory with --state or RYNXS_STATE."]);

        Uri? recordedTls = RecordedTlsServer(state);
        if (token is null && (recorded == server || recordedTls == server))
        {
            token = RecordedToken(state);
        }

        return new ClientSettings
        {
            Server = server,
            Token = Checked(token),
            Namespace = NamespaceOf(parsed) ?? DefaultNamespace,
            StateDirectory = state,
            Authority = recordedTls is not null && recordedTls == server ? RecordedAuthority(state) : null,
        };
    }

    /// <summary>The namespace where no server is needed yet: <c>-n</c>, else the kubeconfig's, else <c>rynxs</c>.</summary>
    public static string NamespaceFor(ParseResult parsed) => NamespaceOf(parsed) ?? Resolve(parsed).Namespace;

    private const string DefaultNamespace = "rynxs";

    private static string? NamespaceOf(ParseResult parsed) => NonEmpty(parsed.GetValue(GlobalOptions.Namespace));

    private static bool NamesKubeconfig(ParseResult parsed) =>
        parsed.GetValue(GlobalOptions.Kubeconfig) is not null || parsed.GetValue(GlobalOptions.Context) is not null;

    private static string? Checked(string? token) => token is null || !token.Any(c => c is < '!' or > '~')
        ? token
        : throw new CliException("the token has characters that no token has (spaces, control characters or non-ASCII).", ExitCodes.Usage);

    private static X509Certificate2Collection? RecordedAuthority(string state)
    {
        if (ReadBounded(Path.Combine(state, "tls", "ca.crt"), MaxServerFileBytes) is not { } pem)
        {
            return null;
        }

        var authority = new X509Certificate2Collection();
        authority.ImportFromPem(System.Text.Encoding.ASCII.GetString(pem));
        return authority;
    }

    /// <summary>The server of a state directory, with its own token; null while none is recorded there.</summary>
    public static ClientSettings? FromState(string stateDirectory) =>
        RecordedServer(stateDirectory) is { } server && RecordedToken(stateDirectory) is { } token
            ? new ClientSettings { Server = server, Token = token, Namespace = DefaultNamespace, StateDirectory = stateDirectory }
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
