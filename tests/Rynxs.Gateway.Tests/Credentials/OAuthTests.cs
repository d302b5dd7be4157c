using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Tests.Inference;

namespace Rynxs.Gateway.Tests.Credentials;

/// <summary>Tokens by client credentials from a certified OpenID provider (npm oidc-provider).</summary>
public sealed class OAuthTests
{
    private const string Provider = """
        import Provider from 'oidc-provider';
        const port = Number(process.argv[2]);
        const provider = new Provider(`http://127.0.0.1:${port}`, {
          clients: [{ client_id: 'gateway', client_secret: 'a-client-secret-of-length', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_basic', scope: 'model' }],
          scopes: ['model'],
          features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
          ttl: { ClientCredentials: 60 },
        });
        provider.listen(port, '127.0.0.1', () => console.log('ready'));
        """;

    [Fact]
    public async Task Token_is_fetched_once_kept_renewed_before_its_end_and_refused_for_a_wrong_secret()
    {
        string? modules = NodeModules.Find();
        Assert.SkipWhen(modules is null || !Directory.Exists(Path.Combine(modules, "oidc-provider")), "oidc-provider is not installed; ./test installs it.");
        using TemporaryDirectory directory = new();
        await File.WriteAllTextAsync(directory.File("provider.mjs"), Provider);
        Directory.CreateSymbolicLink(directory.At("node_modules"), modules);
        int port = FreePort();
        using Process node = Process.Start(new ProcessStartInfo("node", [directory.File("provider.mjs"), $"{port}"]) { RedirectStandardOutput = true, RedirectStandardError = true }).ShouldNotBeNull();
        try
        {
            string? line;
            do
            {
                line = await node.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
            }
            while (line is not null and not "ready");
            line.ShouldBe("ready");

            string secret = "a-client-secret-of-length";
            SteppedTime time = new();
            using HttpMessageInvoker http = new(new SocketsHttpHandler { AllowAutoRedirect = false });
            CredentialSources sources = new((_, _) => ValueTask.FromResult<string?>(secret), null, null, http, time);
            CredentialRef.OAuth reference = new(new Uri($"http://127.0.0.1:{port}/token"), "gateway", new CredentialRef.Secret("ns", "oauth", "secret"), "model", null);

            Credential[] many = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => sources.GetAsync(reference, CancellationToken.None).AsTask()));
            many.Select(token => token.Value).Distinct().ShouldHaveSingleItem();
            time.Step(TimeSpan.FromSeconds(50));
            (await sources.GetAsync(reference, CancellationToken.None)).Value.ShouldBe(many[0].Value);
            time.Step(TimeSpan.FromSeconds(5)); // Nine tenths of a minute are over.
            (await sources.GetAsync(reference, CancellationToken.None)).Value.ShouldNotBe(many[0].Value);

            secret = "a-wrong-secret-of-length";
            sources.Forget(reference);
            (await Should.ThrowAsync<CredentialException>(async () => await sources.GetAsync(reference, CancellationToken.None))).Message.ShouldContain("401");
        }
        finally
        {
            node.Kill(entireProcessTree: true);
            await node.WaitForExitAsync();
        }
    }

    private static int FreePort()
    {
        using Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint.ShouldNotBeNull()).Port;
    }
}
