using System.Text;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference;
using Rynxs.Gateway.Tests.Inference;
using Rynxs.Policy.Budgets;

namespace Rynxs.Gateway.Tests.Credentials;

/// <summary>D1, D2, D3: credentials go to their target and nowhere else.</summary>
public sealed class CredentialTests
{
    private const string Value = "sk-very-secret/value+1";
    private static readonly CredentialRef.Secret Key = new("ns", "openai", "key");
    private static readonly CredentialTarget Target = new("api.example.com", 443, true, "POST", "egress");

    [Fact]
    public async Task D1_D2_key_reaches_the_upstream_alone_is_recorded_by_name_and_scrubbed_from_an_answer_that_echoes_it()
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(200, ModelServer.Chat($"you sent {exchange.Head.Split('\n').First(line => line.StartsWith("Authorization", StringComparison.Ordinal)).Trim()}")));
        InferencePolicyConfig policy = GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, new BudgetLimit(BudgetScope.Agent, BudgetPeriod.Day, 1_000_000, null));
        policy = policy with { Upstreams = policy.Upstreams.ToDictionary(pair => pair.Key, pair => pair.Value with { Credential = Key }) };
        using TemporaryDirectory directory = new();
        await using (GatewayHost host = await GatewayHost.StartAsync(policy, directory, Reads()))
        {
            using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());

            string body = await response.Content.ReadAsStringAsync();
            upstream.Requests.Single().Head.ShouldContain($"Authorization: Bearer {Value}"); // Positive control.
            body.ShouldNotContain(Value);
            body.ShouldContain("Bearer [credential]");
            InferenceRecord.Disclosed record = await host.Log.UntilAsync<InferenceRecord.Disclosed>();
            (record.Credential, record.Recipient, record.Rule).ShouldBe(("ns/openai/key", upstream.BaseUrl.Authority, "ns/p"));
        }

        foreach (string file in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            (await File.ReadAllTextAsync(file)).ShouldNotContain(Value);
        }
    }

    [Fact]
    public async Task Missing_credential_refuses_the_call_and_costs_nothing()
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(200, ModelServer.Chat("hello")));
        InferencePolicyConfig policy = GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, new BudgetLimit(BudgetScope.Agent, BudgetPeriod.Day, 1_000_000, null));
        policy = policy with { Upstreams = policy.Upstreams.ToDictionary(pair => pair.Key, pair => pair.Value with { Credential = Key }) };
        await using GatewayHost host = await GatewayHost.StartAsync(policy);

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());

        response.Headers.GetValues("x-rynxs-code").Single().ShouldBe("credential_unavailable");
        upstream.Requests.ShouldBeEmpty();
        (await host.SpentAsync()).ShouldBe(Spend.Zero);
    }

    [Theory]
    [InlineData("evil.example.com", 443, true, "POST", "Authorization")]
    [InlineData("api.example.com", 8443, true, "POST", "Authorization")]
    [InlineData("api.example.com", 443, false, "POST", "Authorization")]
    [InlineData("api.example.com", 443, true, "GET", "Authorization")]
    [InlineData("api.example.com", 443, true, "POST", "X-Other")]
    public async Task D2_placeholder_is_replaced_for_its_host_port_method_and_header_alone(string host, int port, bool tls, string method, string header)
    {
        Disclosures log = new();
        CredentialBroker broker = new(new OneCredential(), log);
        string placeholder = broker.Bind(GatewayHost.Caller, Binding());

        Injection elsewhere = await broker.InjectAsync(GatewayHost.Caller, new CredentialTarget(host, port, tls, method, "egress"), [new(header, $"Bearer {placeholder}")], CancellationToken.None);
        elsewhere.ShouldBeOfType<Injection.Refused>().Code.ShouldBe("credential_not_bound");
        log.Written.ShouldBeEmpty();

        Injection there = await broker.InjectAsync(GatewayHost.Caller, Target, [new("Authorization", $"Bearer {placeholder}")], CancellationToken.None);
        there.ShouldBeOfType<Injection.Replaced>().Headers.ShouldContain(new KeyValuePair<string, string>("Authorization", $"Bearer {Value}"));
        log.Written.Single().ShouldBe(new CredentialDisclosure("ns/openai/key", "api.example.com:443", "egress", "rule"));
    }

    [Fact]
    public async Task D8_placeholder_of_another_sandbox_is_text_without_a_meaning()
    {
        CredentialBroker broker = new(new OneCredential(), new Disclosures());
        GatewayCaller other = GatewayHost.Caller with { Agent = "b" };
        string placeholder = broker.Bind(GatewayHost.Caller, Binding());
        KeyValuePair<string, string>[] headers = [new("Authorization", placeholder)];

        (await broker.InjectAsync(other, Target, headers, CancellationToken.None)).ShouldBeOfType<Injection.None>();
        (await broker.InjectAsync(GatewayHost.Caller, Target, headers, CancellationToken.None)).ShouldBeOfType<Injection.Replaced>();
        broker.Forget(GatewayHost.Caller);
        (await broker.InjectAsync(GatewayHost.Caller, Target, headers, CancellationToken.None)).ShouldBeOfType<Injection.None>();
    }

    [Fact]
    public async Task Disclosure_that_cannot_be_recorded_does_not_happen()
    {
        CredentialBroker broker = new(new OneCredential(), new Disclosures { Fails = true });
        string placeholder = broker.Bind(GatewayHost.Caller, Binding());

        (await broker.InjectAsync(GatewayHost.Caller, Target, [new("Authorization", placeholder)], CancellationToken.None))
            .ShouldBeOfType<Injection.Refused>().Code.ShouldBe("credential_unrecorded");
    }

    [Fact]
    public void D2_scrubber_finds_a_value_in_every_form_across_every_cut()
    {
        string[] forms = [Value, System.Text.Json.JsonEncodedText.Encode(Value).ToString(), Uri.EscapeDataString(Value), Convert.ToBase64String(Encoding.UTF8.GetBytes(Value)), Convert.ToBase64String(Encoding.UTF8.GetBytes("x" + Value + "y")), Convert.ToBase64String(Encoding.UTF8.GetBytes("xy" + Value))];
        foreach (string form in forms)
        {
            byte[] answer = Encoding.UTF8.GetBytes($"before {form} after");
            for (int cut = 0; cut <= answer.Length; cut++)
            {
                ResponseScrubber scrubber = new([Value]);
                string seen = Encoding.UTF8.GetString([.. scrubber.Next(answer.AsMemory(0, cut)).Span, .. scrubber.Next(answer.AsMemory(cut)).Span, .. scrubber.End().Span]);
                seen.ShouldStartWith("before ");
                seen.ShouldEndWith(" after");
                seen.ShouldContain("[credential]", customMessage: $"{form} cut at {cut}");
            }
        }

        ResponseScrubber control = new([Value]);
        Encoding.UTF8.GetString([.. control.Next("nothing here"u8.ToArray()).Span, .. control.End().Span]).ShouldBe("nothing here");
    }

    [Fact]
    public async Task Only_files_of_the_directory_and_variables_with_the_prefix_can_be_named()
    {
        using TemporaryDirectory directory = new();
        await File.WriteAllTextAsync(directory.File("key"), Value + "\n");
        File.SetUnixFileMode(directory.File("key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(directory.File("open"), Value);
        File.SetUnixFileMode(directory.File("open"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        using HttpMessageInvoker http = new(new SocketsHttpHandler());
        CredentialSources sources = new(null, directory, null, http, TimeProvider.System);

        (await sources.GetAsync(new CredentialRef.File("key"), CancellationToken.None)).Value.ShouldBe(Value);
        foreach (CredentialRef refused in (CredentialRef[])[
            new CredentialRef.File("../key"), new CredentialRef.File("/etc/passwd"), new CredentialRef.File("open"), new CredentialRef.File("missing"),
            new CredentialRef.EnvironmentVariable("PATH"), new CredentialRef.EnvironmentVariable("RYNXS_CREDENTIAL_NOT_SET"), new CredentialRef.Vault("secret", "a", "b")])
        {
            (await Should.ThrowAsync<CredentialException>(async () => await sources.GetAsync(refused, CancellationToken.None))).Message.ShouldNotContain(Value);
        }
    }

    [Fact]
    public async Task Vault_by_its_documented_contract_login_read_renewal_and_refusal()
    {
        // A double of the documented HTTP contract; no Vault server is to be had here.
        using TemporaryDirectory directory = new();
        await File.WriteAllTextAsync(directory.File("secret-id"), "the-secret-id\n");
        List<string> calls = [];
        bool revoked = false;
        await using ModelServer vault = new(async exchange =>
        {
            string line = exchange.Head.Split("\r\n")[0];
            lock (calls)
            {
                calls.Add(line);
            }

            if (line.StartsWith("POST /v1/auth/approle/login", StringComparison.Ordinal))
            {
                exchange.Json["role_id"]!.GetValue<string>().ShouldBe("role");
                exchange.Json["secret_id"]!.GetValue<string>().ShouldBe("the-secret-id");
                await exchange.JsonAsync(200, """{"auth":{"client_token":"hvs.token","lease_duration":60,"renewable":true}}""");
            }
            else if (line.StartsWith("POST /v1/auth/token/renew-self", StringComparison.Ordinal))
            {
                await exchange.JsonAsync(200, """{"auth":{"client_token":"hvs.token","lease_duration":60,"renewable":true}}""");
            }
            else if (revoked)
            {
                revoked = false;
                await exchange.JsonAsync(403, """{"errors":["permission denied"]}""");
            }
            else
            {
                exchange.Head.ShouldContain("X-Vault-Token: hvs.token");
                await exchange.JsonAsync(line.Contains("/missing", StringComparison.Ordinal) ? 404 : 200, line.Contains("/missing", StringComparison.Ordinal)
                    ? """{"errors":[]}"""
                    : $$$"""{"lease_duration":0,"data":{"metadata":{"version":3},"data":{"key":"{{{Value}}}"} } }""");
            }
        });
        SteppedTime time = new();
        using HttpMessageInvoker http = new(new SocketsHttpHandler());
        using VaultCredentials credentials = new(
            new VaultOptions { Address = new Uri($"http://{vault.BaseUrl.Authority}"), Login = new VaultLogin.AppRole("approle", "role", directory.File("secret-id")) }, http, time);

        (await credentials.GetAsync(new CredentialRef.Vault("secret", "team/openai", "key"), CancellationToken.None)).Value.ShouldBe(Value);
        (await credentials.GetAsync(new CredentialRef.Vault("secret", "team/openai", "key"), CancellationToken.None)).Value.ShouldBe(Value);
        calls.ShouldBe(["POST /v1/auth/approle/login HTTP/1.1", "GET /v1/secret/data/team/openai HTTP/1.1"]); // The second was kept.

        time.Step(TimeSpan.FromSeconds(50));
        await Should.ThrowAsync<CredentialException>(async () => await credentials.GetAsync(new CredentialRef.Vault("secret", "missing", "key"), CancellationToken.None));
        calls.ShouldContain("POST /v1/auth/token/renew-self HTTP/1.1");

        time.Step(TimeSpan.FromSeconds(20));
        revoked = true;
        (await credentials.GetAsync(new CredentialRef.Vault("secret", "team/openai", "key"), CancellationToken.None)).Value.ShouldBe(Value);
        calls.Count(call => call.Contains("login", StringComparison.Ordinal)).ShouldBe(2); // A token that was revoked is replaced once.
    }

    private static ReadSecret Reads() => (secret, _) => ValueTask.FromResult<string?>(secret == Key ? Value : null);

    private static CredentialBinding Binding() => new()
    {
        Credential = Key,
        Host = "api.example.com",
        Port = 443,
        Methods = new HashSet<string> { "POST" },
        Header = "Authorization",
        Rule = "rule",
    };

    private sealed class OneCredential : ICredentialSource
    {
        public ValueTask<Credential> GetAsync(CredentialRef reference, CancellationToken cancellationToken) => ValueTask.FromResult(new Credential(Value, null));
    }

    private sealed class Disclosures : IDisclosureLog
    {
        public bool Fails { get; init; }

        public List<CredentialDisclosure> Written { get; } = [];

        public ValueTask WriteAsync(GatewayCaller caller, CredentialDisclosure disclosure, CancellationToken cancellationToken)
        {
            if (Fails)
            {
                throw new IOException("The disk is full.");
            }

            Written.Add(disclosure);
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>A clock that stands until it is moved; its timers never fire.</summary>
internal sealed class SteppedTime : TimeProvider
{
    private DateTimeOffset _now = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => _now;

    public void Step(TimeSpan by) => _now += by;
}
