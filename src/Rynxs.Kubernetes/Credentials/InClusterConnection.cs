using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Rynxs.Kubernetes.Credentials;

/// <summary>The connection that a pod is given: the kubelet's environment and the files of its service account.</summary>
public static class InClusterConnection
{
    /// <summary>Where the kubelet mounts the service account's files.</summary>
    public const string DefaultDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// <summary>Whether this process seems to run in a pod that may talk to its API server.</summary>
    public static bool IsAvailable(Func<string, string?> environment, string directory = DefaultDirectory)
    {
        ArgumentNullException.ThrowIfNull(environment);
        return !string.IsNullOrEmpty(environment("KUBERNETES_SERVICE_HOST")) && File.Exists(Path.Combine(directory, "token"));
    }

    /// <summary>Reads it.</summary>
    /// <param name="environment">Gives environment variables.</param>
    /// <param name="timeProvider">Clock for reading the token again.</param>
    /// <param name="directory">The service account's files.</param>
    /// <exception cref="CredentialException">Something of it is missing or cannot be used.</exception>
    public static KubernetesConnection Read(Func<string, string?> environment, TimeProvider timeProvider, string directory = DefaultDirectory)
    {
        ArgumentNullException.ThrowIfNull(environment);
        string host = environment("KUBERNETES_SERVICE_HOST") is { Length: > 0 } value
            ? value : throw new CredentialException("KUBERNETES_SERVICE_HOST is not set: this is no pod, or its service links are off");
        string port = environment("KUBERNETES_SERVICE_PORT_HTTPS") ?? environment("KUBERNETES_SERVICE_PORT") ?? "443";
        string authority = IPAddress.TryParse(host, out IPAddress? address) && address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{host}]" : host;
        if (!Uri.TryCreate($"https://{authority}:{port}", UriKind.Absolute, out Uri? server))
        {
            throw new CredentialException($"KUBERNETES_SERVICE_HOST '{host}' and port '{port}' make no address");
        }

        string namespaceFile = Path.Combine(directory, "namespace");
        return new KubernetesConnection
        {
            Server = server,
            Authority = Certificates(Path.Combine(directory, "ca.crt")),
            Credential = new TokenFileCredential(Path.Combine(directory, "token"), timeProvider),
            Namespace = File.Exists(namespaceFile) ? File.ReadAllText(namespaceFile).Trim() : null,
        };
    }

    private static X509Certificate2Collection Certificates(string path)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPemFile(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new CredentialException($"the authority {path} cannot be read: {exception.Message}", exception);
        }

        // Without one the machine's own authorities would count: any public one could then stand in for the cluster.
        return certificates.Count > 0 ? certificates : throw new CredentialException($"the authority {path} holds no certificate");
    }
}
