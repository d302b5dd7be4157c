using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>Who may do what, and what an answer gives away. No sandbox runs here.</summary>
public sealed class AccessTests(AccessTests.RunningServer shared) : IClassFixture<AccessTests.RunningServer>
{
    private const string Exec = "/api/v1/namespaces/team-a/agents/one/exec";

    public sealed class RunningServer : IAsyncLifetime
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

    public static TheoryData<string> Protected =>
    [
        "/metrics", "/version", "/api/v1/whoami", "/api/v1/doctor", "/api/v1/sandbox/status", "/apis/universe.ai/v1alpha1/agents",
        "/api/v1/namespaces/rynxs/agents/x/logs", "/api/v1/namespaces/rynxs/agents/x/audit", "/no/such/path",
    ];

    [Theory]
    [MemberData(nameof(Protected))]
    public async Task D9_nothing_but_health_answers_without_a_token(string path)
    {
        using HttpClient nobody = shared.Server.Client(token: null);
        await shared.Server.GetAsync(path, HttpStatusCode.Unauthorized, nobody);
        using HttpClient wrong = shared.Server.Client("rynxs_" + new string('A', 43));
        await shared.Server.GetAsync(path, HttpStatusCode.Unauthorized, wrong);
        (await nobody.GetAsync("/livez", TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.OK, "positive control: liveness is open");
        (await shared.Server.Http.GetAsync("/version", TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.OK, "positive control: the token counts");
    }

    [Fact]
    public async Task D8_what_is_invisible_and_what_does_not_exist_are_the_same_answer()
    {
        await CreateAgentObjectAsync("team-b", "real");
        using HttpClient ada = shared.Server.ClientFor("user:ada-d8", Role.Developer, "team-a");

        foreach (string tail in (string[])["logs", "outbox"])
        {
            JsonElement hidden = await shared.Server.GetAsync($"/api/v1/namespaces/team-b/agents/real/{tail}", HttpStatusCode.NotFound, ada);
            JsonElement absent = await shared.Server.GetAsync($"/api/v1/namespaces/team-b/agents/none/{tail}", HttpStatusCode.NotFound, ada);
            Shape(hidden).Replace("real", "X", StringComparison.Ordinal).ShouldBe(Shape(absent).Replace("none", "X", StringComparison.Ordinal));
        }

        await shared.Server.GetAsync("/apis/universe.ai/v1alpha1/namespaces/team-b/agents/real", HttpStatusCode.NotFound, ada);
        await shared.Server.GetAsync("/apis/universe.ai/v1alpha1/namespaces/team-b/agents/real", HttpStatusCode.OK);
    }

    [Fact]
    public async Task D8_an_agents_token_is_refused_alike_whether_or_not_a_name_exists()
    {
        await CreateAgentObjectAsync("team-a", "there");
        using HttpClient agent = shared.Server.ClientFor("agent:team-a/d8", Role.Agent, "team-a");

        string there = Shape(await shared.Server.GetAsync("/api/v1/namespaces/team-a/agents/there/logs", HttpStatusCode.Forbidden, agent));
        string absent = Shape(await shared.Server.GetAsync("/api/v1/namespaces/team-a/agents/absent/logs", HttpStatusCode.Forbidden, agent));

        there.ShouldBe(absent);
    }

    [Fact]
    public async Task D9_an_agents_token_executes_and_does_nothing_else()
    {
        using HttpClient agent = shared.Server.ClientFor("agent:team-a/d9", Role.Agent, "team-a");
        foreach (string path in (string[])["/metrics", "/api/v1/doctor", "/api/v1/sandbox/status"])
        {
            await shared.Server.GetAsync(path, HttpStatusCode.Forbidden, agent);
        }

        await shared.Server.PostAsync(Exec, """{"argv":["true"]}""", HttpStatusCode.Forbidden, agent);
        await shared.Server.PostAsync("/api/v1/namespaces/team-a/agents/one/messages", """{"text":"hi"}""", HttpStatusCode.Forbidden, agent);
        (await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, agent)).GetProperty("name").GetString().ShouldBe("agent:team-a/d9");
    }

    [Fact]
    public async Task D7_an_agents_token_cannot_run_under_another_agents_name()
    {
        using HttpClient agent = shared.Server.ClientFor("agent:team-a/d7", Role.Agent, "team-a");

        JsonElement refused = await shared.Server.PostAsync(
            "/api/v1/sandbox/execute?namespace=team-a", """{"agent_id":"someone-else","code":"1"}""", HttpStatusCode.Forbidden, agent);

        refused.GetProperty("code").GetString().ShouldBe("agent_id_mismatch");
        await shared.Server.PostAsync("/api/v1/sandbox/execute?namespace=team-b", """{"agent_id":"d7","code":"1"}""", HttpStatusCode.NotFound, agent);
    }

    [Fact]
    public async Task D7_headers_that_claim_an_identity_change_nothing()
    {
        using HttpClient ada = shared.Server.ClientFor("user:ada-d7", Role.Developer, "team-a");
        foreach (string header in (string[])["X-Forwarded-User", "X-Remote-User", "X-Sandbox-ID"])
        {
            ada.DefaultRequestHeaders.Add(header, "system:server");
        }

        (await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, ada)).GetProperty("name").GetString().ShouldBe("user:ada-d7");

        // The one header that means something is refused, not ignored: its sender expects to be somebody else.
        ada.DefaultRequestHeaders.Add("Impersonate-User", "system:server");
        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.Forbidden, ada);
    }

    [Fact]
    public async Task A_rebound_name_and_a_foreign_page_are_refused_on_loopback()
    {
        foreach ((string header, string value) in ((string, string)[])[("Host", "evil.example:80"), ("Origin", "https://evil.example")])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/version");
            request.Headers.TryAddWithoutValidation(header, value);
            using HttpResponseMessage response = await shared.Server.Http.SendAsync(request, TestContext.Current.CancellationToken);
            response.StatusCode.ShouldBe(HttpStatusCode.Forbidden, header);
            response.Headers.Contains("Access-Control-Allow-Origin").ShouldBeFalse();
        }
    }

    [Fact]
    public async Task A_blind_post_of_a_page_is_no_request()
    {
        using var content = new StringContent("""{"agent_id":"a","code":"1"}""", Encoding.UTF8, "text/plain");
        using HttpResponseMessage response = await shared.Server.Http.PostAsync("/api/v1/sandbox/execute", content, TestContext.Current.CancellationToken);

        response.StatusCode.ShouldBe(HttpStatusCode.UnsupportedMediaType);
    }

    [Fact]
    public async Task E5_who_asked_cannot_approve_and_a_decision_is_written_once()
    {
        await CreateApprovalAsync("e5", requester: "user:admin", expires: "2099-01-01T00:00:00Z");
        using HttpClient approver = shared.Server.ClientFor("user:approver-e5", Role.Approver);
        using HttpClient developer = shared.Server.ClientFor("user:developer-e5", Role.Developer);
        const string Path = "/api/v1/namespaces/team-a/approvals/e5/decision";

        (await shared.Server.PostAsync(Path, """{"decision":"approve"}""", HttpStatusCode.Forbidden)).GetProperty("code").GetString().ShouldBe("self_approval");
        await shared.Server.PostAsync(Path, """{"decision":"approve"}""", HttpStatusCode.NotFound, developer);
        using HttpClient auditor = shared.Server.ClientFor("user:auditor-e5", Role.Auditor);
        (await shared.Server.PostAsync(Path, """{"decision":"approve"}""", HttpStatusCode.Forbidden, auditor)).GetProperty("code").GetString().ShouldBe("not_an_approver");
        JsonElement decided = await shared.Server.PostAsync(Path, """{"decision":"reject","reason":"no"}""", HttpStatusCode.OK, approver);
        decided.GetProperty("status").GetProperty("decision").GetString().ShouldBe("Rejected");
        (await shared.Server.PostAsync(Path, """{"decision":"approve"}""", HttpStatusCode.Conflict, approver)).GetProperty("code").GetString().ShouldBe("already_decided");
    }

    [Fact]
    public async Task E5_an_expired_approval_cannot_be_approved()
    {
        await CreateApprovalAsync("e5-old", requester: "user:admin", expires: "2020-01-01T00:00:00Z");
        using HttpClient approver = shared.Server.ClientFor("user:approver-e5-old", Role.Approver);

        (await shared.Server.PostAsync(
            "/api/v1/namespaces/team-a/approvals/e5-old/decision", """{"decision":"approve"}""", HttpStatusCode.Conflict, approver)).GetProperty("code").GetString().ShouldBe("expired");
    }

    [Fact]
    public async Task D1_no_token_reaches_the_log_the_metrics_or_the_ledger()
    {
        using HttpClient ada = shared.Server.ClientFor("user:ada-d1", Role.Developer, "team-a");
        string token = ada.DefaultRequestHeaders.Authorization!.Parameter!;
        await CreateAgentObjectAsync("team-a", "d1-object");
        await shared.Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, ada);
        await shared.Server.GetAsync("/api/v1/namespaces/team-a/agents/none/audit", HttpStatusCode.Forbidden, ada);

        string everything = shared.Server.Log + await shared.Server.GetTextAsync("/metrics")
            + string.Concat(Directory.EnumerateFiles(Path.Combine(shared.Server.State, "ledger"), "*.jsonl", SearchOption.AllDirectories).Select(ReadShared));

        everything.ShouldNotContain(token);
        everything.ShouldNotContain(shared.Server.Server.AdminToken);
        everything.ShouldContain("ResourceMutated", Case.Sensitive, "positive control: the ledger was read");
    }

    internal static string ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    private static string Shape(JsonElement problem) =>
        $"{problem.GetProperty("status")} {problem.GetProperty("code")} {problem.GetProperty("detail")} {problem.GetProperty("title")}";

    private async Task CreateAgentObjectAsync(string ns, string name)
    {
        using var content = new StringContent(
            $$$"""{"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"name":"{{{name}}}","namespace":"{{{ns}}}"},"spec":{"role":"sandbox"}}""",
            Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await shared.Server.Http.PostAsync(
            $"/apis/universe.ai/v1alpha1/namespaces/{ns}/agents", content, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.Created, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    private async Task CreateApprovalAsync(string name, string requester, string expires)
    {
        using var content = new StringContent(
            $$$"""
            {"apiVersion":"universe.ai/v1alpha1","kind":"Approval","metadata":{"name":"{{{name}}}","namespace":"team-a"},
             "spec":{"kind":"tool","subjectHash":"{{{new string('a', 64)}}}","requester":"{{{requester}}}","expires":"{{{expires}}}"}}
            """, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await shared.Server.Http.PostAsync(
            "/apis/universe.ai/v1alpha1/namespaces/team-a/approvals", content, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.Created, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }
}
