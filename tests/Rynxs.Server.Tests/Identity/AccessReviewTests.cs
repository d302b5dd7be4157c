using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Identity;

/// <summary>Reviews, tokens of service accounts, impersonation, rates and the end of what a revoked token began, at a real server.</summary>
public sealed class AccessReviewTests(TlsServer shared) : IClassFixture<TlsServer>
{
    private const string Self = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    private const string Subject = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

    private TestServer Server => shared.Server;

    public static TheoryData<Role, string, string, string, string, bool> Answers => new()
    {
        { Role.Admin, "create", "", "secrets", "team-a", true },
        { Role.Operator, "get", "", "secrets", "team-a", false },
        { Role.Operator, "create", "universe.ai", "agents", "team-a", true },
        { Role.Developer, "create", "universe.ai", "agents", "team-a", false },
        { Role.Developer, "create", "universe.ai", "tasks", "team-a", true },
        { Role.Auditor, "list", "", "serviceaccounts", "team-a", true },
        { Role.Auditor, "get", "", "secrets", "team-a", false },
        { Role.Approver, "delete", "universe.ai", "approvals", "team-a", false },
        { Role.Agent, "list", "universe.ai", "agents", "team-a", false },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public async Task A_review_says_what_the_request_would_be_answered(Role role, string verb, string group, string resource, string ns, bool allowed)
    {
        using HttpClient client = Server.ClientFor($"user:{role}-{verb}-{resource}", role, ns);

        JsonElement review = await Server.PostAsync(Self, Review("SelfSubjectAccessReview", verb, group, resource, ns), HttpStatusCode.Created, client);

        review.GetProperty("status").GetProperty("allowed").GetBoolean().ShouldBe(allowed);
        JsonElement elsewhere = await Server.PostAsync(Self, Review("SelfSubjectAccessReview", verb, group, resource, "team-b"), HttpStatusCode.Created, client);
        elsewhere.GetProperty("status").GetProperty("allowed").GetBoolean().ShouldBeFalse("the token is bound to one namespace");
    }

    [Fact]
    public async Task Only_an_administrator_asks_about_others()
    {
        using HttpClient developer = Server.ClientFor("user:asked-about", Role.Developer, "team-a");
        string body = Review("SubjectAccessReview", "create", "universe.ai", "tasks", "team-a", "user:asked-about");

        (await Server.PostAsync(Subject, body, HttpStatusCode.Created)).GetProperty("status").GetProperty("allowed").GetBoolean().ShouldBeTrue();
        JsonElement refused = await Server.PostAsync(Subject, body, HttpStatusCode.Forbidden, developer);
        refused.GetProperty("reason").GetString().ShouldBe("Forbidden");
    }

    [Fact]
    public async Task D9_a_service_accounts_token_is_bound_to_its_account_its_audience_and_its_namespace()
    {
        await CreateAccountAsync("robot", "operator");
        string token = await AccountTokenAsync("robot");
        using HttpClient robot = Server.Client(token);

        JsonElement me = await Server.PostAsync(
            "/apis/authentication.k8s.io/v1/selfsubjectreviews", """{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}""", HttpStatusCode.Created, robot);
        me.GetProperty("status").GetProperty("userInfo").GetProperty("username").GetString().ShouldBe("system:serviceaccount:rynxs:robot");
        await Server.GetAsync("/api/v1/namespaces/rynxs/configmaps", HttpStatusCode.OK, robot);
        await Server.GetAsync("/api/v1/namespaces/rynxs/secrets/none", HttpStatusCode.NotFound, robot);
        await Server.GetAsync("/api/v1/namespaces/default/configmaps/none", HttpStatusCode.NotFound, robot);

        string elsewhere = await AccountTokenAsync("robot", """{"audiences":["elsewhere"]}""");
        using HttpClient wrong = Server.Client(elsewhere);
        await Server.GetAsync("/api/v1/namespaces/rynxs/configmaps", HttpStatusCode.Unauthorized, wrong);
        JsonElement review = await TokenReviewAsync(elsewhere, """["elsewhere"]""");
        review.GetProperty("authenticated").GetBoolean().ShouldBeTrue("positive control: it counts where it is meant for");
        (await TokenReviewAsync(elsewhere, """["other"]""")).GetProperty("authenticated").GetBoolean().ShouldBeFalse();

        using HttpClient forged = Server.Client(token[..^8] + "AAAAAAAA");
        await Server.GetAsync("/api/v1/namespaces/rynxs/configmaps", HttpStatusCode.Unauthorized, forged);
        (await Server.Http.DeleteAsync("/api/v1/namespaces/rynxs/serviceaccounts/robot", TestContext.Current.CancellationToken)).IsSuccessStatusCode.ShouldBeTrue();
        await CreateAccountAsync("robot", "operator");
        await Server.GetAsync("/api/v1/namespaces/rynxs/configmaps", HttpStatusCode.Unauthorized, robot);
    }

    [Fact]
    public async Task D7_whoever_is_no_administrator_gives_no_roles_away()
    {
        await CreateAccountAsync("quiet", "developer");
        using HttpClient operatorClient = Server.ClientFor("user:op-d7", Role.Operator, "rynxs");
        using var patch = new StringContent("""{"metadata":{"annotations":{"universe.ai/roles":"admin"}}}""", Encoding.UTF8, "application/merge-patch+json");
        using HttpResponseMessage refused = await operatorClient.PatchAsync("/api/v1/namespaces/rynxs/serviceaccounts/quiet", patch, TestContext.Current.CancellationToken);

        refused.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        await Server.PostAsync("/api/v1/namespaces/rynxs/serviceaccounts/quiet/token", TokenRequest("{}"), HttpStatusCode.Forbidden, operatorClient);
        (await AccountTokenAsync("quiet")).ShouldNotBeEmpty("positive control: an administrator makes one");
    }

    [Fact]
    public async Task D7_headers_of_a_proxy_say_nothing_and_impersonation_reads_and_never_writes()
    {
        using HttpClient developer = Server.ClientFor("user:dev-imp", Role.Developer);
        developer.DefaultRequestHeaders.Add("X-Remote-User", "user:admin");
        developer.DefaultRequestHeaders.Add("X-Remote-Group", "system:masters");
        developer.DefaultRequestHeaders.Add("X-Forwarded-User", "user:admin");
        (await Server.GetAsync("/api/v1/whoami", HttpStatusCode.OK, developer)).GetProperty("name").GetString().ShouldBe("user:dev-imp");
        developer.DefaultRequestHeaders.Add("Impersonate-User", "user:admin");
        await Server.GetAsync("/api/v1/namespaces/rynxs/configmaps", HttpStatusCode.Forbidden, developer);

        using HttpClient admin = Server.Client(Server.Server.AdminToken);
        admin.DefaultRequestHeaders.Add("Impersonate-User", "user:dev-imp");
        await Server.GetAsync("/api/v1/namespaces/rynxs/configmaps", HttpStatusCode.OK, admin);
        await Server.GetAsync("/api/v1/namespaces/rynxs/secrets/none", HttpStatusCode.NotFound, admin);
        JsonElement answer = await Server.PostAsync(Self, Review("SelfSubjectAccessReview", "create", "", "secrets", "rynxs"), HttpStatusCode.Created, admin);
        answer.GetProperty("status").GetProperty("allowed").GetBoolean().ShouldBeFalse("asked as the developer");
        await Server.PostAsync("/api/v1/namespaces/rynxs/configmaps", ConfigMap("imp"), HttpStatusCode.Forbidden, admin);
        admin.DefaultRequestHeaders.Remove("Impersonate-User");
        await Server.PostAsync("/api/v1/namespaces/rynxs/configmaps", ConfigMap("imp"), HttpStatusCode.Created, admin);
    }

    [Fact]
    public async Task D9_a_watch_ends_when_its_token_is_revoked()
    {
        var store = new TokenStore(Server.State, TimeProvider.System);
        using HttpClient watcher = Server.ClientFor("user:watcher", Role.Auditor);
        using HttpClient other = Server.ClientFor("user:other-watcher", Role.Auditor);
        using Stream stream = await watcher.GetStreamAsync("/api/v1/namespaces/rynxs/configmaps?watch=1", TestContext.Current.CancellationToken);
        using Stream kept = await other.GetStreamAsync("/api/v1/namespaces/rynxs/configmaps?watch=1", TestContext.Current.CancellationToken);
        await Server.PostAsync("/api/v1/namespaces/rynxs/configmaps", ConfigMap("seen-by-both"), HttpStatusCode.Created);
        using var reader = new StreamReader(stream);
        using var control = new StreamReader(kept);
        await UntilAsync(reader, "seen-by-both");
        await UntilAsync(control, "seen-by-both");

        store.Revoke("user:watcher").ShouldBeTrue();

        bool ended = false;
        try
        {
            string rest = await reader.ReadToEndAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(15), TestContext.Current.CancellationToken);
            ended = !rest.Contains("after-revocation", StringComparison.Ordinal);
        }
        catch (Exception exception) when (exception is IOException or HttpRequestException)
        {
            ended = true; // cut off is ended as well
        }

        ended.ShouldBeTrue();
        await Server.PostAsync("/api/v1/namespaces/rynxs/configmaps", ConfigMap("after-revocation"), HttpStatusCode.Created);
        await UntilAsync(control, "after-revocation"); // positive control: the other one goes on
    }

    [Fact]
    public async Task G6_one_principal_in_a_loop_is_slowed_and_the_others_are_not()
    {
        await using TestServer limited = await TestServer.StartAsync(configure: options => options with { RequestsPerSecond = 5, ListenTls = "none" });
        using HttpClient loop = limited.ClientFor("user:loop", Role.Developer);
        var answers = new List<HttpStatusCode>();
        HttpResponseHeaders? headers = null;
        for (int i = 0; i < 40; i++)
        {
            using HttpResponseMessage response = await loop.GetAsync("/apis/universe.ai/v1alpha1/agents", TestContext.Current.CancellationToken);
            answers.Add(response.StatusCode);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                headers ??= response.Headers;
                (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("\"reason\":\"TooManyRequests\"");
            }
        }

        answers.Count(code => code == HttpStatusCode.OK).ShouldBeGreaterThanOrEqualTo(10);
        answers.ShouldContain(HttpStatusCode.TooManyRequests);
        headers.ShouldNotBeNull().RetryAfter.ShouldNotBeNull().Delta.ShouldBe(TimeSpan.FromSeconds(1));
        (await limited.GetAsync("/api/v1/whoami")).GetProperty("name").GetString().ShouldBe("user:admin", "positive control: another principal is served");
    }

    [Fact]
    public async Task D8_a_hidden_secret_and_a_missing_one_are_the_same_answer()
    {
        await Server.PostAsync(
            "/api/v1/namespaces/rynxs/secrets", """{"apiVersion":"v1","kind":"Secret","metadata":{"name":"real"},"stringData":{"a":"b"}}""", HttpStatusCode.Created);
        using HttpClient operatorClient = Server.ClientFor("user:op-d8", Role.Operator);

        string hidden = (await Server.GetAsync("/api/v1/namespaces/rynxs/secrets/real", HttpStatusCode.NotFound, operatorClient)).GetRawText();
        string missing = (await Server.GetAsync("/api/v1/namespaces/rynxs/secrets/none", HttpStatusCode.NotFound, operatorClient)).GetRawText();

        hidden.Replace("real", "X", StringComparison.Ordinal).ShouldBe(missing.Replace("none", "X", StringComparison.Ordinal));
        await Server.GetAsync("/api/v1/namespaces/rynxs/secrets/real", HttpStatusCode.OK);
    }

    private static async Task UntilAsync(StreamReader reader, string text)
    {
        while (await reader.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(15), TestContext.Current.CancellationToken) is { } line)
        {
            if (line.Contains(text, StringComparison.Ordinal))
            {
                return;
            }
        }

        throw new InvalidOperationException($"The watch ended before '{text}' came.");
    }

    private static string ConfigMap(string name) => $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}"}}""";

    private static string Review(string kind, string verb, string group, string resource, string ns, string? user = null) => JsonSerializer.Serialize(new
    {
        kind, apiVersion = "authorization.k8s.io/v1",
        spec = new { user = user ?? "", resourceAttributes = new Dictionary<string, string> { ["verb"] = verb, ["group"] = group, ["resource"] = resource, ["namespace"] = ns } },
    });

    private static string TokenRequest(string spec) => $$"""{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{{spec}}}""";

    private async Task CreateAccountAsync(string name, string roles) => await Server.PostAsync(
        "/api/v1/namespaces/rynxs/serviceaccounts",
        $$$$"""{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"{{{{name}}}}","annotations":{"universe.ai/roles":"{{{{roles}}}}"}}}""", HttpStatusCode.Created);

    private async Task<string> AccountTokenAsync(string name, string spec = "{}")
    {
        JsonElement answer = await Server.PostAsync($"/api/v1/namespaces/rynxs/serviceaccounts/{name}/token", TokenRequest(spec), HttpStatusCode.Created);
        return answer.GetProperty("status").GetProperty("token").GetString().ShouldNotBeNull();
    }

    private async Task<JsonElement> TokenReviewAsync(string token, string audiences)
    {
        JsonElement answer = await Server.PostAsync(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            $$$$"""{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"{{{{token}}}}","audiences":{{{{audiences}}}}}}""", HttpStatusCode.Created);
        answer.GetRawText().ShouldNotContain(token);
        return answer.GetProperty("status");
    }
}
