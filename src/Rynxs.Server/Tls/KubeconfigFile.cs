using System.Text;
using System.Text.Json;
using Rynxs.Server.State;

namespace Rynxs.Server.Tls;

/// <summary>
/// A kubeconfig with one context. JSON is YAML, and every client of Kubernetes reads it; so nothing here needs quoting rules of its own. The file holds a
/// credential: mode 0600.
/// </summary>
public static class KubeconfigFile
{
    /// <summary>Name of the context, the cluster and the user entry.</summary>
    public const string ContextName = "rynxs";

    /// <summary>Writes the file, replacing what is there.</summary>
    /// <param name="path">Where.</param>
    /// <param name="server">An https address: kubectl sends no credential over plain HTTP.</param>
    /// <param name="authorityPem">The certificate that vouches for the server.</param>
    /// <param name="credential">Who the client is.</param>
    /// <param name="resourceNamespace">Namespace where no other is said.</param>
    public static void Write(string path, Uri server, string authorityPem, KubeconfigCredential credential, string resourceNamespace)
    {
        if (server.Scheme != Uri.UriSchemeHttps)
        {
            throw new ArgumentException("A kubeconfig of ours only ever names an https address.", nameof(server));
        }

        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("apiVersion", "v1");
            writer.WriteString("kind", "Config");
            writer.WriteString("current-context", ContextName);
            Entry(writer, "clusters", "cluster", () =>
            {
                writer.WriteString("server", server.GetLeftPart(UriPartial.Authority));
                writer.WriteBase64String("certificate-authority-data", Encoding.ASCII.GetBytes(authorityPem));
            });
            Entry(writer, "users", "user", () => credential.WriteTo(writer));
            Entry(writer, "contexts", "context", () =>
            {
                writer.WriteString("cluster", ContextName);
                writer.WriteString("user", ContextName);
                writer.WriteString("namespace", resourceNamespace);
            });
            writer.WriteEndObject();
        }

        buffer.WriteByte((byte)'\n');
        StateDirectory.WriteAtomically(path, buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
    }

    private static void Entry(Utf8JsonWriter writer, string list, string name, Action content)
    {
        writer.WriteStartArray(list);
        writer.WriteStartObject();
        writer.WriteString("name", ContextName);
        writer.WriteStartObject(name);
        content();
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteEndArray();
    }
}

/// <summary>Who a client of a kubeconfig is.</summary>
public abstract record KubeconfigCredential
{
    private KubeconfigCredential()
    {
    }

    internal abstract void WriteTo(Utf8JsonWriter writer);

    /// <summary>A bearer token.</summary>
    public sealed record Token(string Text) : KubeconfigCredential
    {
        internal override void WriteTo(Utf8JsonWriter writer) => writer.WriteString("token", Text);
    }

    /// <summary>A certificate and its key, both PEM.</summary>
    public sealed record Certificate(string CertificatePem, string KeyPem) : KubeconfigCredential
    {
        internal override void WriteTo(Utf8JsonWriter writer)
        {
            writer.WriteBase64String("client-certificate-data", Encoding.ASCII.GetBytes(CertificatePem));
            writer.WriteBase64String("client-key-data", Encoding.ASCII.GetBytes(KeyPem));
        }
    }
}
