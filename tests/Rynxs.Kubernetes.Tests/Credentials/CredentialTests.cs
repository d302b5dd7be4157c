using System.Security.Cryptography.X509Certificates;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Tests.Kit;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Credentials;

public sealed class CredentialTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_chosen_context_gives_server_token_and_namespace()
    {
        KubernetesConnection connection = Read(
            """
            current-context: one
            clusters:
            - {name: c, cluster: {server: "https://192.0.2.1:6443", tls-server-name: api.example}}
            users:
            - {name: u, user: {token: secret-1}}
            - {name: v, user: {token: secret-2}}
            contexts:
            - {name: one, context: {cluster: c, user: u}}
            - {name: two, context: {cluster: c, user: v, namespace: there}}
            """, context: "two");

        connection.Server.ShouldBe(new Uri("https://192.0.2.1:6443"));
        connection.ServerName.ShouldBe("api.example");
        connection.Namespace.ShouldBe("there");
        (await connection.Credential.TokenAsync(null, Ct)).ShouldBe("secret-2");
    }

    [Fact]
    public void Of_several_files_the_first_that_names_something_counts()
    {
        string first = Write("a", """{"clusters":[{"name":"c","cluster":{"server":"https://192.0.2.1"}}]}""");
        string second = Write("b", """
            {"current-context":"x","clusters":[{"name":"c","cluster":{"server":"https://192.0.2.2"}}],
             "contexts":[{"name":"x","context":{"cluster":"c","user":""}}]}
            """);

        KubeconfigConnection.Read([first, _directory.File("missing"), second], null, TimeProvider.System).Server.Host.ShouldBe("192.0.2.1");
        KubeconfigConnection.Locations(null, name => name == "KUBECONFIG" ? $"{first}:{second}" : null).ShouldBe([first, second]);
    }

    [Fact]
    public void A_client_certificate_is_read_from_files_beside_the_kubeconfig()
    {
        (X509Certificate2 authority, X509Certificate2 certificate) = TestCertificates.Make("client");
        Write("ca.crt", authority.ExportCertificatePem());
        Write("client.crt", certificate.ExportCertificatePem());
        Write("client.key", certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());

        KubernetesConnection connection = Read(Context("client-certificate: client.crt, client-key: client.key", "certificate-authority: ca.crt"));

        connection.Credential.Certificate.ShouldNotBeNull().HasPrivateKey.ShouldBeTrue();
        connection.Authority.ShouldNotBeNull().Single().Thumbprint.ShouldBe(authority.Thumbprint);
    }

    [Fact]
    public async Task A_credential_program_is_asked_once_until_its_token_is_refused()
    {
        string program = Program("""
            echo run >> "$COUNT"
            printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"token-%s-%s"}}' "$1" "$(wc -l < "$COUNT" | tr -d ' ')"
            """);
        string count = _directory.File("count");
        KubernetesConnection connection = Read(Context($$"""exec: {apiVersion: client.authentication.k8s.io/v1, command: {{program}}, args: [x], env: [{name: COUNT, value: {{count}}}], interactiveMode: Never}"""));

        string?[] tokens = [await connection.Credential.TokenAsync(null, Ct), await connection.Credential.TokenAsync(null, Ct), await connection.Credential.TokenAsync("token-x-1", Ct)];

        tokens.ShouldBe(["token-x-1", "token-x-1", "token-x-2"]);
        (await File.ReadAllLinesAsync(count, Ct)).Length.ShouldBe(2);
    }

    [Theory]
    [InlineData("exit 3", "ended with code 3")]
    [InlineData("echo no json with-a-secret", "wrote no JSON")]
    [InlineData("""echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}'""", "neither a token nor a certificate")]
    [InlineData("""echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"with-a-secret"}}'""", "no ExecCredential of")]
    public async Task A_credential_program_that_fails_says_why_and_nothing_of_what_it_wrote(string body, string why)
    {
        KubernetesConnection connection = Read(Context($$"""exec: {apiVersion: client.authentication.k8s.io/v1, command: {{Program(body)}}}"""));

        CredentialException failed = await Should.ThrowAsync<CredentialException>(async () => await connection.Credential.TokenAsync(null, Ct));

        failed.Message.ShouldContain(why);
        failed.Message.ShouldNotContain("secret");
    }

    [Theory]
    [InlineData("token: t", "insecure-skip-tls-verify: true", "skips the check")]
    [InlineData("username: u, password: p", "", "'username'")]
    [InlineData("as: somebody", "", "'as'")]
    [InlineData("exec: {apiVersion: client.authentication.k8s.io/v9, command: x}", "", "exec.apiVersion")]
    [InlineData("exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}", "", "needs a terminal")]
    [InlineData("token: t", "proxy-url: http://proxy", "proxy-url")]
    [InlineData("client-certificate-data: '!'", "", "cannot be read")]
    public void What_is_not_supported_is_refused_and_named(string user, string cluster, string why) =>
        Should.Throw<CredentialException>(() => Read(Context(user, cluster))).Message.ShouldContain(why);

    [Fact]
    public void A_token_is_not_sent_over_plain_http() =>
        Should.Throw<CredentialException>(() => Read(Context("token: t").Replace("https://", "http://", StringComparison.Ordinal))).Message.ShouldContain("plain HTTP");

    [Fact]
    public async Task A_pod_takes_its_service_account()
    {
        (X509Certificate2 authority, _) = TestCertificates.Make("x");
        Write("ca.crt", authority.ExportCertificatePem());
        Write("token", "pod-token\n");
        Write("namespace", "mine");
        string? Environment(string name) => name switch { "KUBERNETES_SERVICE_HOST" => "fd00::1", "KUBERNETES_SERVICE_PORT" => "6443", _ => null };

        InClusterConnection.IsAvailable(Environment, _directory.Path).ShouldBeTrue();
        KubernetesConnection connection = InClusterConnection.Read(Environment, TimeProvider.System, _directory.Path);

        connection.Server.ShouldBe(new Uri("https://[fd00::1]:6443"));
        connection.Namespace.ShouldBe("mine");
        connection.Authority.ShouldNotBeNull().Count.ShouldBe(1);
        (await connection.Credential.TokenAsync(null, Ct)).ShouldBe("pod-token");
        Write("ca.crt", "nothing");
        Should.Throw<CredentialException>(() => InClusterConnection.Read(Environment, TimeProvider.System, _directory.Path)).Message.ShouldContain("no certificate");
    }

    private static string Context(string user, string cluster = "") => $$$"""
        current-context: x
        clusters:
        - {name: c, cluster: {server: "https://192.0.2.1"{{{(cluster.Length > 0 ? ", " + cluster : "")}}}}}
        users:
        - {name: u, user: { {{{user}}} }}
        contexts:
        - {name: x, context: {cluster: c, user: u}}
        """;

    private KubernetesConnection Read(string kubeconfig, string? context = null) => KubeconfigConnection.Read([Write("config", kubeconfig)], context, TimeProvider.System);

    private string Write(string name, string content)
    {
        string path = _directory.File(name);
        File.WriteAllText(path, content);
        return path;
    }

    private string Program(string body)
    {
        string path = Write("program", $"#!/bin/sh\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }
}
