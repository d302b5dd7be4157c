using System.Buffers.Text;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Rynxs.EndToEndTests.Kubectl;

/// <summary>Tokens of a certified OpenID provider at a real server: those that count, and every way of making one that must not.</summary>
public sealed class OidcTests
{
    [Fact]
    public async Task Tokens_of_the_provider_count_for_what_their_groups_may_and_forged_ones_do_not()
    {
        SandboxRequirement.Require();
        KubernetesTools.RequirePackage("oidc-provider");
        using var directory = new TemporaryDirectory();
        int port = FreePort();
        string issuer = $"http://127.0.0.1:{port}";
        Process provider = await StartProviderAsync(directory, port);
        try
        {
            await using RunningServer server = await RunningServer.StartAsync(
                directory.File("state"), "--oidc-issuer", issuer, "--oidc-audience", "urn:rynxs", "--oidc-role", "approvers=approver", "--oidc-role", "devs=developer@team-a");
            using var http = new HttpClient { BaseAddress = new Uri(Text(await File.ReadAllTextAsync(Path.Combine(server.State, "server.json"), TestContext.Current.CancellationToken), "url")) };

            string token = await TokenAsync(issuer, "svc", "urn:rynxs");
            JsonElement me = await WhoAmIAsync(http, token, HttpStatusCode.OK);
            me.GetProperty("name").GetString().ShouldBe("oidc:svc");
            me.GetProperty("roles").ToString().ShouldBe("[\"Approver\"]");
            JsonElement developer = await WhoAmIAsync(http, await TokenAsync(issuer, "dev", "urn:rynxs"), HttpStatusCode.OK);
            developer.GetProperty("roles").ToString().ShouldBe("[\"Developer\"]");
            developer.GetProperty("namespaces").ToString().ShouldBe("[\"team-a\"]");

            await WhoAmIAsync(http, await TokenAsync(issuer, "stranger", "urn:rynxs"), HttpStatusCode.Unauthorized);
            await WhoAmIAsync(http, await TokenAsync(issuer, "svc", "urn:elsewhere"), HttpStatusCode.Unauthorized);
            foreach (string forged in await ForgeriesAsync(issuer, token))
            {
                await WhoAmIAsync(http, forged, HttpStatusCode.Unauthorized);
            }

            // A new provider process has a new key under a new id: the cache asks again, by itself and within its bounds.
            await StopAsync(provider);
            provider = await StartProviderAsync(directory, port);
            string rotated = await TokenAsync(issuer, "svc", "urn:rynxs");
            await Eventually.Async(async () =>
            {
                using HttpResponseMessage response = await AskAsync(http, rotated);
                return response.StatusCode == HttpStatusCode.OK ? "counts" : null;
            });
            await WhoAmIAsync(http, token, HttpStatusCode.Unauthorized);
        }
        finally
        {
            await StopAsync(provider);
        }
    }

    /// <summary>D7, D9: another signature, other claims, no algorithm, an HMAC keyed with the public key (CVE-2015-9235), another issuer.</summary>
    private static async Task<IReadOnlyList<string>> ForgeriesAsync(string issuer, string token)
    {
        string[] parts = token.Split('.');
        JsonElement header = JsonDocument.Parse(Base64Url.DecodeFromChars(parts[0])).RootElement;
        string claims = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(parts[1]));
        string kid = header.GetProperty("kid").GetString() ?? "";
        string admin = Encode(claims.Replace("approvers", "approvers\",\"admins", StringComparison.Ordinal));
        using var http = new HttpClient();
        string keys = await http.GetStringAsync(new Uri(issuer + "/jwks"), TestContext.Current.CancellationToken);
        string modulus = JsonDocument.Parse(keys).RootElement.GetProperty("keys")[0].GetProperty("n").GetString() ?? "";
        string hs = Encode($$"""{"alg":"HS256","typ":"JWT","kid":"{{kid}}"}""");
        return
        [
            $"{parts[0]}.{parts[1]}.{new string('A', parts[2].Length)}",
            $"{parts[0]}.{parts[1]}.",
            $"{parts[0]}.{admin}.{parts[2]}",
            $"{Encode("""{"alg":"none","typ":"JWT"}""")}.{parts[1]}.",
            $"{Encode($$"""{"alg":"None","typ":"JWT","kid":"{{kid}}"}""")}.{parts[1]}.{parts[2]}",
            Hmac(hs, parts[1], Encoding.ASCII.GetBytes(modulus)),
            Hmac(hs, parts[1], Base64Url.DecodeFromChars(modulus)),
            $"{parts[0]}.{Encode(claims.Replace(issuer, "https://elsewhere.example", StringComparison.Ordinal))}.{parts[2]}",
            $"{parts[0]}.{Encode(claims.Replace(issuer, "https://rynxs.local", StringComparison.Ordinal))}.{parts[2]}",
        ];
    }

    private static string Hmac(string header, string claims, byte[] key) =>
        $"{header}.{claims}.{Base64Url.EncodeToString(System.Security.Cryptography.HMACSHA256.HashData(key, Encoding.ASCII.GetBytes($"{header}.{claims}")))}";

    private static string Encode(string text) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));

    private static async Task<string> TokenAsync(string issuer, string client, string resource)
    {
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes(client + ":secret")));
        using var form = new FormUrlEncodedContent([new("grant_type", "client_credentials"), new("resource", resource), new("scope", "use")]);
        using HttpResponseMessage response = await http.PostAsync(new Uri(issuer + "/token"), form, TestContext.Current.CancellationToken);
        string body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        response.IsSuccessStatusCode.ShouldBeTrue(body);
        return Text(body, "access_token");
    }

    private static async Task<JsonElement> WhoAmIAsync(HttpClient http, string token, HttpStatusCode expected)
    {
        using HttpResponseMessage response = await AskAsync(http, token);
        string body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(expected, body);
        return JsonDocument.Parse(body).RootElement.Clone();
    }

    private static async Task<HttpResponseMessage> AskAsync(HttpClient http, string token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/whoami");
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + token);
        return await http.SendAsync(request, TestContext.Current.CancellationToken);
    }

    private static async Task<Process> StartProviderAsync(TemporaryDirectory directory, int port)
    {
        string script = directory.File("oidc.mjs");
        if (!File.Exists(script))
        {
            File.Copy(Path.Combine(RynxsProgram.Repository, "tests", "Rynxs.EndToEndTests", "Kubectl", "node", "oidc.mjs"), script);
            File.CreateSymbolicLink(directory.File("node_modules"), KubernetesTools.NodeModules);
        }

        Process process = RynxsProgram.Start(new Invocation
        {
            Program = "/usr/bin/env",
            Arguments = ["node", script, port.ToString(System.Globalization.CultureInfo.InvariantCulture)],
            Environment = new Dictionary<string, string> { ["PATH"] = KubernetesTools.SearchPath },
        });
        _ = process.StandardError.BaseStream.CopyToAsync(Stream.Null); // ends with the process
        string? line = await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask()
            .WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        line.ShouldBe("up");
        return process;
    }

    private static async Task StopAsync(Process process)
    {
        process.Kill();
        await process.WaitForExitAsync(CancellationToken.None);
        process.Dispose();
    }

    private static string Text(string json, string name) => JsonDocument.Parse(json).RootElement.GetProperty(name).GetString() ?? "";

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
