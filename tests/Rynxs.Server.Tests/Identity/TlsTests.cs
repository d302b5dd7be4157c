using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Tests.Kit;
using Rynxs.Server.Tls;

namespace Rynxs.Server.Tests.Identity;

/// <summary>A real server that speaks TLS; no sandbox runs here.</summary>
public sealed class TlsServer : IAsyncLifetime
{
    public TestServer Server { get; private set; } = null!; // Set before any test runs.

    public async ValueTask InitializeAsync()
    {
        SandboxRequirement.Require();
        Server = await TestServer.StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (Server is not null)
        {
            await Server.DisposeAsync();
        }
    }
}

public sealed class TlsTests(TlsServer shared) : IClassFixture<TlsServer>
{
    private Uri Url => shared.Server.Server.TlsUrl.ShouldNotBeNull();

    private X509Certificate2 Authority => X509CertificateLoader.LoadCertificateFromFile(Path.Combine(shared.Server.State, "tls", "ca.crt"));

    [Fact]
    public async Task Whoever_trusts_the_authority_speaks_http2_over_tls_and_plain_http_is_refused_there()
    {
        using HttpClient client = Client(token: shared.Server.Server.AdminToken);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/whoami") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using HttpResponseMessage response = await client.SendAsync(request, TestContext.Current.CancellationToken);

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Version.ShouldBe(HttpVersion.Version20);
        using var plain = new HttpClient();
        plain.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", shared.Server.Server.AdminToken);
        await Should.ThrowAsync<HttpRequestException>(
            () => plain.GetAsync(new Uri($"http://127.0.0.1:{Url.Port}/api/v1/whoami"), TestContext.Current.CancellationToken), "plain HTTP on the TLS port answers nothing");
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.1")]
    [InlineData("[::1]")]
    public void The_servers_certificate_names_the_ways_to_this_machine(string host)
    {
        using CertificateAuthority authority = CertificateAuthority.Open(shared.Server.State, TimeProvider.System);
        using X509Certificate2 certificate = authority.IssueServer(["build.example", "10.1.2.3"]);

        certificate.MatchesHostname(host.Trim('[', ']')).ShouldBeTrue();
        certificate.MatchesHostname("build.example").ShouldBeTrue();
        certificate.MatchesHostname("10.1.2.3").ShouldBeTrue();
        certificate.MatchesHostname("evil.example").ShouldBeFalse();
    }

    [Fact]
    public async Task Tls_below_1_2_is_refused()
    {
#pragma warning disable SYSLIB0039, CA5397, CA5359 // The test asks for what must be refused, and looks at the protocol alone.
        using Stream stream = await ConnectAsync();
        using var tls = new SslStream(stream, leaveInnerStreamOpen: false, (_, _, _, _) => true);
        await Should.ThrowAsync<Exception>(() => tls.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "localhost", EnabledSslProtocols = SslProtocols.Tls11 }, TestContext.Current.CancellationToken));

        using Stream again = await ConnectAsync();
        using var twelve = new SslStream(again, leaveInnerStreamOpen: false, (_, _, _, _) => true);
        await twelve.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "localhost", EnabledSslProtocols = SslProtocols.Tls12 }, TestContext.Current.CancellationToken);
        twelve.SslProtocol.ShouldBe(SslProtocols.Tls12, "positive control: 1.2 is accepted");
#pragma warning restore SYSLIB0039, CA5397, CA5359
    }

    [Fact]
    public void D1_keys_and_the_kubeconfig_are_private_and_the_kubeconfig_names_https_alone()
    {
        foreach (string file in (string[])["tls/ca.key", "tls/serviceaccounts.key", "kubeconfig"])
        {
            File.GetUnixFileMode(Path.Combine(shared.Server.State, file)).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite, file);
        }

        using JsonDocument kubeconfig = JsonDocument.Parse(File.ReadAllText(Path.Combine(shared.Server.State, "kubeconfig")));
        JsonElement cluster = kubeconfig.RootElement.GetProperty("clusters")[0].GetProperty("cluster");
        cluster.GetProperty("server").GetString().ShouldBe(Url.GetLeftPart(UriPartial.Authority));
        cluster.GetProperty("server").GetString().ShouldNotBeNull().ShouldStartWith("https://");
        cluster.GetProperty("certificate-authority-data").GetBytesFromBase64().ShouldNotBeEmpty();
        cluster.TryGetProperty("insecure-skip-tls-verify", out _).ShouldBeFalse();
    }

    [Fact]
    public async Task A_client_certificate_stands_for_its_recorded_principal_until_it_is_revoked()
    {
        var store = new TokenStore(shared.Server.State, TimeProvider.System);
        using HttpClient client = Client(certificate: Issue(store, "user:cert", Role.Developer));

        JsonElement me = await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, client);
        me.GetProperty("name").GetString().ShouldBe("user:cert");
        me.GetProperty("roles").EnumerateArray().Select(role => role.GetString()).ShouldBe(["Developer"]);
        store.Revoke("user:cert").ShouldBeTrue();

        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.Unauthorized, client);
    }

    [Fact]
    public async Task D7_a_certificate_of_another_authority_or_without_a_record_is_refused()
    {
        using var directory = new TemporaryDirectory();
        using CertificateAuthority foreign = CertificateAuthority.Open(directory.Path, TimeProvider.System);
        using X509Certificate2 impostor = foreign.IssueClient("user:admin", [Role.Admin], TimeSpan.FromDays(1));
        using HttpClient foreigner = Client(certificate: Usable(impostor));
        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.Unauthorized, foreigner);

        using CertificateAuthority own = CertificateAuthority.Open(shared.Server.State, TimeProvider.System);
        using X509Certificate2 unrecorded = own.IssueClient("user:admin", [Role.Admin], TimeSpan.FromDays(1));
        using HttpClient stranger = Client(certificate: Usable(unrecorded));
        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.Unauthorized, stranger);

        var store = new TokenStore(shared.Server.State, TimeProvider.System);
        using HttpClient known = Client(certificate: Issue(store, "user:control", Role.Auditor));
        (await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, known)).GetProperty("name").GetString().ShouldBe("user:control", "positive control");
    }

    [Fact]
    public async Task D7_a_servers_certificate_is_no_clients_certificate()
    {
        using CertificateAuthority own = CertificateAuthority.Open(shared.Server.State, TimeProvider.System);
        using X509Certificate2 server = own.IssueServer([]);

        own.Signed(server).ShouldBeFalse("its purpose is another one");
        using X509Certificate2 client = own.IssueClient("user:x", [Role.Admin], TimeSpan.FromDays(1));
        own.Signed(client).ShouldBeTrue("positive control");
        using HttpClient wrong = Client(certificate: Usable(server));
        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.Unauthorized, wrong);
    }

    [Fact]
    public async Task A_wrong_token_is_not_made_good_by_a_certificate()
    {
        var store = new TokenStore(shared.Server.State, TimeProvider.System);
        using HttpClient client = Client(token: "rynxs_" + new string('A', 43), certificate: Issue(store, "user:both", Role.Developer));

        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.Unauthorized, client);
        client.DefaultRequestHeaders.Authorization = null;
        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, client);
    }

    [Fact]
    public async Task G6_connections_that_never_finish_the_handshake_are_closed_and_others_are_served_meanwhile()
    {
        var silent = new List<Socket>();
        try
        {
            for (int i = 0; i < 200; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(IPAddress.Loopback, Url.Port, TestContext.Current.CancellationToken);
                await socket.SendAsync(new byte[] { 0x16, 0x03, 0x01 }, TestContext.Current.CancellationToken); // the start of a record that never goes on
                silent.Add(socket);
            }

            using HttpClient client = Client(token: shared.Server.Server.AdminToken);
            await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, client);
            byte[] rest = new byte[64];
            foreach (Socket socket in silent)
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
                patience.CancelAfter(TlsListener.HandshakeTimeout + TimeSpan.FromSeconds(10));
                try
                {
                    while (await socket.ReceiveAsync(rest, patience.Token) > 0)
                    {
                        // An alert may come before the end.
                    }
                }
                catch (SocketException)
                {
                    // Reset is closed as well.
                }
            }
        }
        finally
        {
            silent.ForEach(socket => socket.Dispose());
        }
    }

    [Fact]
    public void The_certificate_is_made_anew_before_it_ends_without_a_restart()
    {
        using var directory = new TemporaryDirectory();
        var time = new MovedTime();
        using CertificateAuthority authority = CertificateAuthority.Open(directory.Path, time);
        using var certificate = new ServerCertificate(authority, [], time, Microsoft.Extensions.Logging.Abstractions.NullLogger<ServerCertificate>.Instance);
        X509Certificate2 first = certificate.Current();

        time.Offset = TimeSpan.FromDays(59);
        certificate.Current().ShouldBeSameAs(first);
        time.Offset = TimeSpan.FromDays(61);
        X509Certificate2 second = certificate.Current();

        second.SerialNumber.ShouldNotBe(first.SerialNumber);
        second.NotAfter.ToUniversalTime().ShouldBeGreaterThan(first.NotAfter.ToUniversalTime().AddDays(30));
    }

    [Fact]
    public void A_damaged_authority_is_an_error_that_names_it()
    {
        using var directory = new TemporaryDirectory();
        CertificateAuthority.Open(directory.Path, TimeProvider.System).Dispose();
        File.WriteAllText(directory.At("tls", "ca.key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");

        Should.Throw<InvalidDataException>(() => CertificateAuthority.Open(directory.Path, TimeProvider.System)).Message.ShouldContain("tls");
    }

    [Fact]
    public async Task The_port_stays_the_same_over_a_restart_while_it_is_free()
    {
        string state = TestServer.NewStatePath();
        Uri first;
        await using (TestServer server = await TestServer.StartAsync(state))
        {
            first = server.Server.TlsUrl.ShouldNotBeNull();
        }

        try
        {
            await using (TestServer again = await TestServer.StartAsync(state))
            {
                again.Server.TlsUrl.ShouldBe(first);
            }

            await using (TestServer without = await TestServer.StartAsync(state, options => options with { ListenTls = "none" }))
            {
                without.Server.TlsUrl.ShouldBeNull();
                File.Exists(Path.Combine(state, "kubeconfig")).ShouldBeFalse("a kubeconfig for a port where nobody listens would mislead");
            }
        }
        finally
        {
            Directory.Delete(state, recursive: true);
        }
    }

    private static X509Certificate2 Issue(TokenStore store, string name, Role role)
    {
        string state = store.StateDirectory;
        using CertificateAuthority authority = CertificateAuthority.Open(state, TimeProvider.System);
        (string pem, string key) = store.CreateCertificate(authority, name, new HashSet<Role> { role }, null, null);
        return X509Certificate2.CreateFromPem(pem, key);
    }

    private static X509Certificate2 Usable(X509Certificate2 certificate)
    {
        using ECDsa key = certificate.GetECDsaPrivateKey().ShouldNotBeNull();
        return X509Certificate2.CreateFromPem(certificate.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }

    private async Task<Stream> ConnectAsync()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, Url.Port, TestContext.Current.CancellationToken);
        return new NetworkStream(socket, ownsSocket: true);
    }

    private HttpClient Client(string? token = null, X509Certificate2? certificate = null)
    {
        var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.Add(Authority);
        if (certificate is not null)
        {
            handler.SslOptions.ClientCertificates = [certificate];
        }

        var client = new HttpClient(handler) { BaseAddress = Url };
        if (token is not null)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        return client;
    }
}

/// <summary>A clock that the test moves.</summary>
internal sealed class MovedTime : TimeProvider
{
    public TimeSpan Offset { get; set; }

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddYears(56) + Offset;
}
