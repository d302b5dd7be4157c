using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Resources.Manifests;

namespace Rynxs.Kubernetes.Credentials;

/// <summary>
/// Connections of kubeconfig files, merged as kubectl merges them: the first file that names something wins. Tokens, token files, client certificates and
/// credential programs are supported; <c>auth-provider</c>, basic authentication and impersonation are refused.
/// </summary>
public static class KubeconfigConnection
{
    private const int MaxBytes = 4 * 1024 * 1024;

    /// <summary>Where kubeconfigs are: <paramref name="given"/>, else KUBECONFIG, else <c>~/.kube/config</c>.</summary>
    public static IReadOnlyList<string> Locations(string? given, Func<string, string?> environment)
    {
        ArgumentNullException.ThrowIfNull(environment);
        if (given is not null)
        {
            return [Path.GetFullPath(given)];
        }

        return environment("KUBECONFIG") is { Length: > 0 } list
            ? [.. list.Split(':', StringSplitOptions.RemoveEmptyEntries).Select(Path.GetFullPath)]
            : [Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".kube", "config")];
    }

    /// <summary>Reads the connection of a context.</summary>
    /// <param name="paths">Files; those that do not exist are left out.</param>
    /// <param name="context">Its name; null for the current one.</param>
    /// <param name="timeProvider">Clock for expiry.</param>
    /// <param name="dangerousAllowInsecure">Whether <c>insecure-skip-tls-verify</c> of the file counts; refused otherwise.</param>
    /// <exception cref="CredentialException">The files or the context cannot be used.</exception>
    public static KubernetesConnection Read(IReadOnlyList<string> paths, string? context, TimeProvider timeProvider, bool dangerousAllowInsecure = false)
    {
        ArgumentNullException.ThrowIfNull(paths);
        List<(string Path, JsonObject Content)> files = [.. paths.Where(File.Exists).Select(path => (path, ReadFile(path)))];
        if (files.Count == 0)
        {
            throw new CredentialException($"there is no kubeconfig at {string.Join(", ", paths)}");
        }

        string name = context ?? files.Select(file => Text(file.Content["current-context"])).FirstOrDefault(current => !string.IsNullOrEmpty(current))
            ?? throw new CredentialException("the kubeconfig names no current-context");
        (JsonObject chosen, _) = Find(files, "contexts", "context", name);
        string clusterName = Text(chosen["cluster"]) ?? throw new CredentialException($"context '{name}' names no cluster");
        (JsonObject cluster, string clusterFile) = Find(files, "clusters", "cluster", clusterName);
        if (!Uri.TryCreate(Text(cluster["server"]) ?? "", UriKind.Absolute, out Uri? server) || server.Scheme is not ("https" or "http"))
        {
            throw new CredentialException($"cluster '{clusterName}' of {clusterFile}: server is not an address");
        }

        bool insecure = cluster["insecure-skip-tls-verify"] is JsonValue skip && skip.TryGetValue(out bool flag) && flag;
        if (insecure && !dangerousAllowInsecure)
        {
            throw new CredentialException($"cluster '{clusterName}' of {clusterFile} skips the check of the server's certificate; name its certificate-authority instead");
        }

        if (Text(cluster["proxy-url"]) is { Length: > 0 })
        {
            throw new CredentialException($"cluster '{clusterName}' of {clusterFile} uses proxy-url, which is not supported");
        }

        IClientCredential credential = FixedCredential.Anonymous;
        bool hasToken = false;
        if (Text(chosen["user"]) is { Length: > 0 } userName)
        {
            (JsonObject user, string userFile) = Find(files, "users", "user", userName);
            (credential, hasToken) = Credential(user, userName, userFile, timeProvider);
        }

        if (server.Scheme == "http" && !server.IsLoopback && hasToken)
        {
            throw new CredentialException($"cluster '{clusterName}' of {clusterFile} is reached by plain HTTP; a token is not sent over it");
        }

        return new KubernetesConnection
        {
            Server = server,
            Authority = Authority(cluster, clusterFile),
            ServerName = Text(cluster["tls-server-name"]),
            DangerousAcceptAnyServerCertificate = insecure,
            Credential = credential,
            Namespace = Text(chosen["namespace"]) is { Length: > 0 } inNamespace ? inNamespace : null,
        };
    }

    private static (IClientCredential Credential, bool HasToken) Credential(JsonObject user, string name, string file, TimeProvider timeProvider)
    {
        foreach (string unsupported in (ReadOnlySpan<string>)["auth-provider", "username", "as"])
        {
            if (user[unsupported] is not null)
            {
                throw new CredentialException($"user '{name}' of {file} uses '{unsupported}', which is not supported");
            }
        }

        X509Certificate2? certificate = ClientCertificate(user, file);
        if (user["exec"] is JsonObject exec)
        {
            return (new ExecCredential(Plugin(exec, name, file), timeProvider), true);
        }

        // As kubectl: the file wins, because somebody renews it.
        if (Text(user["tokenFile"]) is { Length: > 0 } path)
        {
            return (new TokenFileCredential(Beside(file, path), timeProvider, certificate), true);
        }

        string? token = Text(user["token"]) is { Length: > 0 } text ? text : null;
        return (new FixedCredential(token, certificate), token is not null);
    }

    private static ExecPlugin Plugin(JsonObject exec, string name, string file)
    {
        string apiVersion = Text(exec["apiVersion"]) ?? "";
        if (apiVersion is not ("client.authentication.k8s.io/v1" or "client.authentication.k8s.io/v1beta1"))
        {
            throw new CredentialException($"user '{name}' of {file}: exec.apiVersion '{apiVersion}' is not supported");
        }

        if (Text(exec["interactiveMode"]) == "Always")
        {
            throw new CredentialException($"user '{name}' of {file}: exec.interactiveMode Always needs a terminal");
        }

        string command = Text(exec["command"]) is { Length: > 0 } text ? text : throw new CredentialException($"user '{name}' of {file}: exec.command is missing");
        return new ExecPlugin
        {
            ApiVersion = apiVersion,
            // A path is relative to the file that names it, as for kubectl; a bare name is looked up in PATH.
            Command = command.Contains('/', StringComparison.Ordinal) ? Beside(file, command) : command,
            Arguments = [.. (exec["args"] as JsonArray ?? []).Select(argument => Text(argument) ?? "")],
            Environment = (exec["env"] as JsonArray ?? []).OfType<JsonObject>().ToDictionary(pair => Text(pair["name"]) ?? "", pair => Text(pair["value"]) ?? ""),
        };
    }

    private static JsonObject ReadFile(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                throw new CredentialException($"{path} is larger than {MaxBytes} bytes");
            }

            return ManifestDocuments.Read(File.ReadAllBytes(path)) is [{ } only] ? only : throw new CredentialException($"{path} is not a kubeconfig: one document is due");
        }
        catch (Exception exception) when (exception is FormatException or IOException or UnauthorizedAccessException)
        {
            throw new CredentialException($"the kubeconfig {path} cannot be read: {exception.Message}", exception);
        }
    }

    private static (JsonObject Content, string Path) Find(List<(string Path, JsonObject Content)> files, string list, string kind, string name)
    {
        foreach ((string path, JsonObject content) in files)
        {
            foreach (JsonObject entry in (content[list] as JsonArray ?? []).OfType<JsonObject>())
            {
                if (Text(entry["name"]) == name && entry[kind] is JsonObject found)
                {
                    return (found, path);
                }
            }
        }

        throw new CredentialException($"the kubeconfig has no {kind} '{name}'");
    }

    private static X509Certificate2Collection? Authority(JsonObject cluster, string file)
    {
        string? data = Text(cluster["certificate-authority-data"]), path = Text(cluster["certificate-authority"]);
        if (data is null && path is null)
        {
            return null;
        }

        var authority = new X509Certificate2Collection();
        try
        {
            authority.ImportFromPem(Encoding.ASCII.GetString(Content(data, path, file)));
        }
        catch (CryptographicException exception)
        {
            throw new CredentialException($"the certificate-authority of {file} is not a PEM certificate: {exception.Message}", exception);
        }

        return authority.Count > 0 ? authority : throw new CredentialException($"the certificate-authority of {file} has no certificate");
    }

    private static X509Certificate2? ClientCertificate(JsonObject user, string file)
    {
        string? data = Text(user["client-certificate-data"]), path = Text(user["client-certificate"]);
        if (data is null && path is null)
        {
            return null;
        }

        try
        {
            return X509Certificate2.CreateFromPem(
                Encoding.ASCII.GetString(Content(data, path, file)), Encoding.ASCII.GetString(Content(Text(user["client-key-data"]), Text(user["client-key"]), file)));
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException)
        {
            throw new CredentialException($"the client certificate of {file} cannot be used: {exception.Message}", exception);
        }
    }

    private static byte[] Content(string? data, string? path, string file)
    {
        try
        {
            if (data is not null)
            {
                return Convert.FromBase64String(data);
            }

            string full = Beside(file, path ?? throw new CredentialException($"{file} names a client certificate without its key"));
            return new FileInfo(full).Length <= MaxBytes ? File.ReadAllBytes(full) : throw new CredentialException($"{full} is larger than {MaxBytes} bytes");
        }
        catch (Exception exception) when (exception is FormatException or IOException or UnauthorizedAccessException)
        {
            throw new CredentialException($"a credential of {file} cannot be read: {exception.Message}", exception);
        }
    }

    private static string Beside(string file, string path) => Path.Combine(Path.GetDirectoryName(file) ?? "", path);

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;
}
