using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Resources.Manifests;

namespace Rynxs.Cli.Client;

/// <summary>
/// The kubeconfig files of <c>--kubeconfig</c>, <c>KUBECONFIG</c> or <c>~/.kube/config</c>, merged as kubectl merges them: the first that names something
/// wins. Programs that make credentials (<c>exec</c>, <c>auth-provider</c>) and servers without a verified certificate are refused, not guessed around.
/// </summary>
internal sealed class Kubeconfig
{
    private const int MaxBytes = 4 * 1024 * 1024;

    private readonly List<(string Path, JsonObject Content)> _files;

    private Kubeconfig(List<(string Path, JsonObject Content)> files) => _files = files;

    /// <summary>The files that exist.</summary>
    public IReadOnlyList<string> Paths => [.. _files.Select(file => file.Path)];

    /// <summary>The context that commands use; null when none is chosen.</summary>
    public string? CurrentContext => _files.Select(file => Text(file.Content["current-context"])).FirstOrDefault(name => !string.IsNullOrEmpty(name));

    /// <summary>All contexts, each once.</summary>
    public IReadOnlyList<KubeconfigContext> Contexts => [.. Entries("contexts")
        .Select(entry => new KubeconfigContext(
            entry.Name, Text(entry.Entry["context"]?["cluster"]) ?? "", Text(entry.Entry["context"]?["user"]) ?? "", Text(entry.Entry["context"]?["namespace"]), entry.Path))];

    /// <summary>Where kubeconfigs are: <paramref name="given"/>, else KUBECONFIG, else <c>~/.kube/config</c>.</summary>
    public static IReadOnlyList<string> Locations(string? given)
    {
        if (given is not null)
        {
            return [Path.GetFullPath(given)];
        }

        return Environment.GetEnvironmentVariable("KUBECONFIG") is { Length: > 0 } list
            ? [.. list.Split(':', StringSplitOptions.RemoveEmptyEntries).Select(Path.GetFullPath)]
            : [Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".kube", "config")];
    }

    /// <exception cref="CliException">A file that was named does not exist, cannot be read or is no kubeconfig.</exception>
    public static Kubeconfig Load(string? given)
    {
        List<(string, JsonObject)> files = [];
        foreach (string path in Locations(given))
        {
            if (File.Exists(path))
            {
                files.Add((path, Read(path)));
            }
            else if (given is not null)
            {
                throw new CliException($"there is no kubeconfig '{path}'.");
            }
        }

        return new Kubeconfig(files);
    }

    /// <summary>How to reach the server of a context, as whom, in which namespace.</summary>
    /// <exception cref="CliException">The context is unknown or incomplete, or needs what is not supported.</exception>
    public KubeconfigTarget Resolve(string? contextName)
    {
        string name = contextName ?? CurrentContext ?? throw new CliException(
            "the kubeconfig names no current context.", hints: ["Choose one with --context or 'rynxs config use-context'; 'rynxs config get-contexts' lists them."]);
        KubeconfigContext context = Contexts.FirstOrDefault(candidate => candidate.Name == name) ?? throw new CliException(
            $"there is no context '{name}'{Terminal.NearestName.Hint(name, Contexts.Select(candidate => candidate.Name))}.", hints: ["See: rynxs config get-contexts"]);
        (JsonObject cluster, string clusterFile) = Find("clusters", "cluster", context.Cluster, name);
        (JsonObject user, string userFile) = Find("users", "user", context.User, name);
        string server = Text(cluster["server"]) ?? "";
        if (!Uri.TryCreate(server, UriKind.Absolute, out Uri? address) || address.Scheme is not ("https" or "http"))
        {
            throw new CliException($"cluster '{context.Cluster}' of {clusterFile}: '{server}' is not a server address.");
        }

        if (cluster["insecure-skip-tls-verify"] is JsonValue skip && skip.TryGetValue(out bool insecure) && insecure)
        {
            throw new CliException($"cluster '{context.Cluster}' of {clusterFile} skips the check of the server's certificate; that is not supported.",
                hints: ["Name the certificate's authority instead: certificate-authority."]);
        }

        foreach (string unsupported in (string[])["exec", "auth-provider", "username", "as"])
        {
            if (user[unsupported] is not null)
            {
                throw new CliException($"user '{context.User}' of {userFile} uses '{unsupported}', which is not supported; a token or a client certificate is.");
            }
        }

        if (address.Scheme == "http" && !address.IsLoopback && (user["token"] ?? user["tokenFile"]) is not null)
        {
            throw new CliException($"cluster '{context.Cluster}' of {clusterFile} is reached by plain HTTP; a token is not sent over it.");
        }

        return new KubeconfigTarget(address, Token(user, userFile), context.Namespace)
        {
            Authority = Authority(cluster, clusterFile),
            ClientCertificate = ClientCertificate(user, userFile),
            ServerName = Text(cluster["tls-server-name"]),
        };
    }

    /// <summary>Makes a context the current one, in the file that names the current one, else in the first; all else in the file stays as it is.</summary>
    public void Use(string contextName)
    {
        if (Contexts.All(context => context.Name != contextName))
        {
            throw new CliException(
                $"there is no context '{contextName}'{Terminal.NearestName.Hint(contextName, Contexts.Select(context => context.Name))}.", hints: ["See: rynxs config get-contexts"]);
        }

        string path = _files.Where(file => !string.IsNullOrEmpty(Text(file.Content["current-context"]))).Select(file => file.Path).FirstOrDefault() ?? _files[0].Path;
        string text = File.ReadAllText(path);
        string quoted = System.Text.Json.JsonSerializer.Serialize(contextName, CliJson.Default.String); // JSON strings are YAML strings
        int at = CurrentContextLine(text, out int length);
        string changed = at >= 0 ? text[..at] + quoted + text[(at + length)..]
            : text.TrimStart().StartsWith('{') ? throw new CliException($"{path} is JSON without a current-context; add one by hand, or use --context.")
            : text + (text.EndsWith('\n') ? "" : "\n") + $"current-context: {quoted}\n";
        string temporary = path + ".new";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = File.GetUnixFileMode(path) };
        using (var stream = new FileStream(temporary, options))
        {
            stream.Write(Encoding.UTF8.GetBytes(changed));
        }

        File.Move(temporary, path, overwrite: true);
    }

    // The value after a top-level current-context, in YAML (at the start of a line) or in JSON as it is written by programs.
    private static int CurrentContextLine(string text, out int length)
    {
        int start = 0;
        foreach (string line in text.Split('\n'))
        {
            foreach (string key in (string[])["current-context:", "\"current-context\":"])
            {
                string content = line.TrimStart();
                if (content.StartsWith(key, StringComparison.Ordinal) && (key[0] == '"' || content.Length == line.Length))
                {
                    int value = start + (line.Length - content.Length) + key.Length;
                    string rest = text[value..(start + line.Length)];
                    string trimmed = rest.TrimEnd('\r', ' ', ',');
                    int blank = trimmed.Length - trimmed.TrimStart().Length;
                    length = trimmed.Length - blank;
                    if (length == 0)
                    {
                        length = 0;
                        return value + rest.Length;
                    }

                    return value + blank;
                }
            }

            start += line.Length + 1;
        }

        length = 0;
        return -1;
    }

    private static JsonObject Read(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                throw new CliException($"{path} is larger than {MaxBytes} bytes.");
            }

            return ManifestDocuments.Read(File.ReadAllBytes(path)) is [{ } only] ? only : throw new CliException($"{path} is not a kubeconfig: one document is due.");
        }
        catch (Exception exception) when (exception is FormatException or IOException or UnauthorizedAccessException)
        {
            throw new CliException($"the kubeconfig {path} cannot be read: {exception.Message}");
        }
    }

    private IEnumerable<(string Name, JsonObject Entry, string Path)> Entries(string list) => _files
        .SelectMany(file => (file.Content[list] as JsonArray ?? []).OfType<JsonObject>().Select(entry => (Name: Text(entry["name"]) ?? "", Entry: entry, file.Path)))
        .DistinctBy(entry => entry.Name, StringComparer.Ordinal);

    private (JsonObject Entry, string Path) Find(string list, string kind, string name, string context)
    {
        foreach ((string candidate, JsonObject entry, string path) in Entries(list))
        {
            if (candidate == name && entry[kind] is JsonObject content)
            {
                return (content, path);
            }
        }

        throw new CliException($"context '{context}' names the {kind} '{name}', and the kubeconfig has none of that name.");
    }

    private static string? Token(JsonObject user, string file)
    {
        if (Text(user["token"]) is { Length: > 0 } token)
        {
            return token;
        }

        return Text(user["tokenFile"]) is { Length: > 0 } path ? Encoding.UTF8.GetString(Content(null, path, file)).Trim() : null;
    }

    private static X509Certificate2Collection? Authority(JsonObject cluster, string file)
    {
        if (Text(cluster["certificate-authority-data"]) is null && Text(cluster["certificate-authority"]) is null)
        {
            return null;
        }

        var authority = new X509Certificate2Collection();
        try
        {
            authority.ImportFromPem(Encoding.ASCII.GetString(Content(Text(cluster["certificate-authority-data"]), Text(cluster["certificate-authority"]), file)));
        }
        catch (CryptographicException exception)
        {
            throw new CliException($"the certificate-authority of {file} is not a PEM certificate: {exception.Message}");
        }

        return authority.Count > 0 ? authority : throw new CliException($"the certificate-authority of {file} has no certificate.");
    }

    private static X509Certificate2? ClientCertificate(JsonObject user, string file)
    {
        if (Text(user["client-certificate-data"]) is null && Text(user["client-certificate"]) is null)
        {
            return null;
        }

        try
        {
            return X509Certificate2.CreateFromPem(
                Encoding.ASCII.GetString(Content(Text(user["client-certificate-data"]), Text(user["client-certificate"]), file)),
                Encoding.ASCII.GetString(Content(Text(user["client-key-data"]), Text(user["client-key"]), file)));
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException)
        {
            throw new CliException($"the client certificate of {file} cannot be used: {exception.Message}");
        }
    }

    /// <summary>Content given in the file itself, or in another one, named relative to it.</summary>
    private static byte[] Content(string? data, string? path, string file)
    {
        try
        {
            if (data is not null)
            {
                return Convert.FromBase64String(data);
            }

            string full = Path.Combine(Path.GetDirectoryName(file) ?? "", path ?? throw new CliException($"{file} names a client certificate without its key."));
            return new FileInfo(full).Length <= MaxBytes ? File.ReadAllBytes(full) : throw new CliException($"{full} is larger than {MaxBytes} bytes.");
        }
        catch (Exception exception) when (exception is FormatException or IOException or UnauthorizedAccessException)
        {
            throw new CliException($"a credential of {file} cannot be read: {exception.Message}");
        }
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;
}

/// <summary>A context as it is listed.</summary>
internal sealed record KubeconfigContext(string Name, string Cluster, string User, string? Namespace, string File);

/// <summary>What a context leads to.</summary>
internal sealed record KubeconfigTarget(Uri Server, string? Token, string? Namespace)
{
    /// <summary>Who vouches for the server; null for the machine's own authorities.</summary>
    public X509Certificate2Collection? Authority { get; init; }

    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>The name that the server's certificate must have, when it is not the address's.</summary>
    public string? ServerName { get; init; }
}
