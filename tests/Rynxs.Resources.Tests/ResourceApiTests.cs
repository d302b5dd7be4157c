using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Rynxs.ResourceServer.Http;
using Rynxs.Resources.Identity;
using static Rynxs.Resources.Tests.StoreScenario;

namespace Rynxs.Resources.Tests;

/// <summary>The REST endpoints over a real Kestrel on a free port.</summary>
public sealed class ResourceApiTests
{
    private const string Tasks = "/apis/universe.ai/v1alpha1/namespaces/ns/tasks";
    private const string Body = """{"apiVersion":"universe.ai/v1alpha1","kind":"Task","metadata":{"name":"a"},"spec":{"title":"t","description":"d"}}""";

    [Fact]
    public async Task Objects_are_created_read_replaced_patched_listed_and_deleted()
    {
        await using Api api = await Api.StartAsync();

        JsonElement created = await api.SendAsync(HttpMethod.Post, Tasks, Body, "application/json", 201);
        created.GetProperty("metadata").GetProperty("namespace").GetString().ShouldBe("ns");
        created.GetProperty("metadata").GetProperty("creationTimestamp").GetString().ShouldNotBeNull().ShouldEndWith("Z");
        (await api.SendAsync(HttpMethod.Get, $"{Tasks}/a", null, null, 200)).ToString().ShouldBe(created.ToString());
        (await api.SendAsync(HttpMethod.Put, $"{Tasks}/a", Body.Replace("\"d\"", "\"e\"", StringComparison.Ordinal).Replace("{\"name\"", "{\"resourceVersion\":\"1\",\"name\"", StringComparison.Ordinal), "application/json", 200))
            .GetProperty("metadata").GetProperty("generation").GetInt64().ShouldBe(2);
        (await api.SendAsync(HttpMethod.Patch, $"{Tasks}/a/status", """{"status":{"phase":"Assigned"}}""", "application/merge-patch+json", 200))
            .GetProperty("status").GetProperty("phase").GetString().ShouldBe("Assigned");
        (await api.SendAsync(HttpMethod.Post, Tasks, "apiVersion: universe.ai/v1alpha1\nkind: Task\nmetadata: {name: b}\nspec: {title: t, description: d}\n", "application/yaml", 201))
            .GetProperty("spec").GetProperty("priority").GetString().ShouldBe("normal");

        JsonElement list = await api.SendAsync(HttpMethod.Get, $"{Tasks}?fieldSelector=status.phase%3DAssigned", null, null, 200);
        list.GetProperty("kind").GetString().ShouldBe("TaskList");
        list.GetProperty("items").GetArrayLength().ShouldBe(1);
        (await api.SendAsync(HttpMethod.Get, "/apis/universe.ai/v1alpha1/tasks", null, null, 200)).GetProperty("items").GetArrayLength().ShouldBe(2);

        JsonElement deleted = await api.SendAsync(HttpMethod.Delete, $"{Tasks}/a", null, null, 200);
        deleted.GetProperty("status").GetString().ShouldBe("Success");
        deleted.GetProperty("details").GetProperty("uid").GetString().ShouldBe(created.GetProperty("metadata").GetProperty("uid").GetString());
        await api.SendAsync(HttpMethod.Post, "/apis/universe.ai/v1alpha1/universes", """{"apiVersion":"universe.ai/v1alpha1","kind":"Universe","metadata":{"name":"u"}}""", "application/json", 201);
        await api.SendAsync(HttpMethod.Get, "/apis/universe.ai/v1alpha1/universes/u", null, null, 200);
    }

    [Theory]
    [InlineData("GET", "/a", null, null, 404, "NotFound", "tasks.universe.ai \"a\" not found")]
    [InlineData("POST", "", "x", "text/plain", 415, "UnsupportedMediaType", "unknown format")]
    [InlineData("POST", "", "{\"a\":", "application/json", 400, "BadRequest", "unexpected end of JSON input")]
    [InlineData("POST", "?fieldValidation=Strict", "{\"a\":1,\"a\":2}", "application/json", 400, "BadRequest", "duplicate field")]
    [InlineData("POST", "?dryRun=Some", Body, "application/json", 422, "Invalid", "dryRun: Unsupported value")]
    [InlineData("PUT", "", Body, "application/json", 400, "BadRequest", "name must be provided")]
    [InlineData("PUT", "/other", Body, "application/json", 400, "BadRequest", "does not match the name on the URL")]
    [InlineData("PUT", "/a", Body, "application/json", 404, "NotFound", "not found")]
    [InlineData("PATCH", "/a", "{}", "application/json", 415, "UnsupportedMediaType", "merge-patch")]
    [InlineData("PATCH", "/a", "{", "application/merge-patch+json", 400, "BadRequest", "unexpected end of JSON input")]
    [InlineData("POST", "/a", Body, "application/json", 405, "MethodNotAllowed", "does not allow")]
    [InlineData("GET", "?labelSelector=a%3D%3D%3Db", null, null, 400, "BadRequest", "unable to parse requirement: found '=', expected: identifier")]
    [InlineData("GET", "?fieldSelector=spec.title%3Dx", null, null, 400, "BadRequest", "field label not supported")]
    [InlineData("GET", "?limit=x", null, null, 400, "BadRequest", "invalid syntax")]
    [InlineData("GET", "?watch=1&timeoutSeconds=x", null, null, 400, "BadRequest", "invalid syntax")]
    [InlineData("GET", "/a/scale", null, null, 404, "NotFound", "could not find")]
    public async Task Refusals_are_kubernetes_status_objects(string method, string path, string? body, string? contentType, int code, string reason, string message)
    {
        await using Api api = await Api.StartAsync();

        JsonElement status = await api.SendAsync(new HttpMethod(method), Tasks + path, body, contentType, code);

        status.GetProperty("kind").GetString().ShouldBe("Status");
        status.GetProperty("status").GetString().ShouldBe("Failure");
        status.GetProperty("reason").GetString().ShouldBe(reason);
        status.GetProperty("code").GetInt32().ShouldBe(code);
        status.GetProperty("message").GetString().ShouldNotBeNull().ShouldContain(message);
    }

    [Fact]
    public async Task An_invalid_object_lists_every_cause()
    {
        await using Api api = await Api.StartAsync();
        string bad = Body.Replace("\"title\":\"t\"", "\"titel\":\"t\",\"priority\":\"hihg\"", StringComparison.Ordinal);

        JsonElement status = await api.SendAsync(HttpMethod.Post, Tasks, bad, "application/json", 422);

        status.GetProperty("details").GetProperty("causes").EnumerateArray().Select(cause => cause.GetProperty("field").GetString())
            .ShouldBe(["spec.title", "spec.priority", "<nil>"], ignoreOrder: true);
        JsonElement strict = await api.SendAsync(HttpMethod.Post, $"{Tasks}?fieldValidation=Strict", bad, "application/json", 400);
        strict.GetProperty("message").GetString().ShouldNotBeNull().ShouldContain("strict decoding error: unknown field \"spec.titel\"");
        await api.SendAsync(HttpMethod.Post, Tasks, Body, "application/json", 201);
        await api.SendAsync(HttpMethod.Post, Tasks, Body, "application/json", 409);
        await api.SendAsync(HttpMethod.Post, $"{Tasks}?fieldValidation=Ignore", Body.Replace("\"a\"", "\"b\"", StringComparison.Ordinal).Replace("\"spec\":{", "\"spec\":{\"colour\":1,", StringComparison.Ordinal), "application/json", 201);
        await api.SendAsync(HttpMethod.Post, Tasks, Body.Replace("{\"name\"", "{\"namespace\":\"other\",\"name\"", StringComparison.Ordinal), "application/json", 400);
    }

    [Fact]
    public async Task A_body_over_three_mebibytes_is_refused()
    {
        await using Api api = await Api.StartAsync();

        await api.SendAsync(HttpMethod.Post, Tasks, new string(' ', 3 * 1024 * 1024 + 1), "application/json", 413);
    }

    [Fact]
    public async Task A_text_of_one_mebibyte_is_taken()
    {
        await using Api api = await Api.StartAsync();

        await api.SendAsync(HttpMethod.Post, Tasks, Body.Replace("\"d\"", $"\"{new string('x', 1024 * 1024)}\"", StringComparison.Ordinal), "application/json", 201);
    }

    [Fact]
    public async Task A_watch_streams_line_by_line()
    {
        await using Api api = await Api.StartAsync();
        await api.SendAsync(HttpMethod.Post, Tasks, Body, "application/json", 201);

        using HttpResponseMessage response = await api.Client.GetAsync($"{Tasks}?watch=1&allowWatchBookmarks=true", HttpCompletionOption.ResponseHeadersRead, Ct);
        using StreamReader lines = new(await response.Content.ReadAsStreamAsync(Ct));
        (await NextAsync()).ShouldBe(("ADDED", "a", "1"));
        await api.SendAsync(HttpMethod.Patch, $"{Tasks}/a", """{"spec":{"priority":"high"}}""", "application/merge-patch+json", 200);
        (await NextAsync()).ShouldBe(("MODIFIED", "a", "2"));
        await api.SendAsync(HttpMethod.Delete, $"{Tasks}/a", null, null, 200);
        (await NextAsync()).ShouldBe(("DELETED", "a", "3"));
        (await NextAsync(bookmarks: true)).ShouldBe(("BOOKMARK", null, "3"));

        async Task<(string?, string?, string?)> NextAsync(bool bookmarks = false)
        {
            while (true)
            {
                using JsonDocument line = JsonDocument.Parse((await lines.ReadLineAsync(Ct)).ShouldNotBeNull());
                JsonElement meta = line.RootElement.GetProperty("object").GetProperty("metadata");
                string? type = line.RootElement.GetProperty("type").GetString();
                if (type == "BOOKMARK" == bookmarks)
                    return (type, meta.TryGetProperty("name", out JsonElement name) ? name.GetString() : null, meta.GetProperty("resourceVersion").GetString());
            }
        }
    }

    [Fact]
    public async Task A_watch_ends_with_its_timeout_and_tells_when_the_history_is_gone()
    {
        await using Api api = await Api.StartAsync();

        string quiet = await api.Client.GetStringAsync($"{Tasks}?watch=1&timeoutSeconds=1&resourceVersion=0", Ct);
        quiet.ShouldBe("");
        string gone = await api.Client.GetStringAsync($"{Tasks}?watch=1&resourceVersion=99", Ct);
        gone.ShouldContain("\"type\":\"ERROR\"");
        gone.ShouldContain("\"reason\":\"Expired\",\"code\":410");
    }

    [Fact]
    public async Task An_open_watch_does_not_hold_up_a_stop()
    {
        await using Api api = await Api.StartAsync();
        using HttpResponseMessage response = await api.Client.GetAsync($"{Tasks}?watch=1", HttpCompletionOption.ResponseHeadersRead, Ct);
        long start = System.Diagnostics.Stopwatch.GetTimestamp();

        await api.StopAsync();

        // The host's own patience is 30 seconds.
        System.Diagnostics.Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(15));
        (await response.Content.ReadAsStringAsync(Ct)).ShouldNotContain("ERROR");
    }

    [Fact]
    public async Task The_principal_decides_what_there_is()
    {
        await using Api api = await Api.StartAsync();
        await api.SendAsync(HttpMethod.Post, Tasks, Body, "application/json", 201);

        await api.SendAsync(HttpMethod.Get, $"{Tasks}/a", null, null, 404, user: "agent");
        await api.SendAsync(HttpMethod.Get, Tasks, null, null, 403, user: "agent");
        await api.SendAsync(HttpMethod.Get, $"{Tasks}/a", null, null, 200, user: "auditor");
        await api.SendAsync(HttpMethod.Delete, $"{Tasks}/a", null, null, 403, user: "auditor");
        await api.SendAsync(HttpMethod.Get, $"{Tasks}?watch=1", null, null, 403, user: "agent");
    }

    private sealed class Api : IAsyncDisposable
    {
        private readonly WebApplication _application;
        private readonly StoreScenario _scenario;

        private Api(WebApplication application, StoreScenario scenario)
        {
            _application = application;
            _scenario = scenario;
            Client = new HttpClient { BaseAddress = new Uri(application.Urls.First()) };
        }

        public HttpClient Client { get; }

        public static async Task<Api> StartAsync()
        {
            StoreScenario scenario = await OpenAsync(options => options with { BookmarkInterval = TimeSpan.FromMilliseconds(100) });
            WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.Services.AddRouting();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            WebApplication application = builder.Build();
            application.MapResourceApi(scenario.Store, context => context.Request.Headers["X-User"].ToString() switch
            {
                "agent" => Principal.ForAgent("ns", "g"),
                "auditor" => User("auditor", Role.Auditor),
                _ => Principal.System,
            });
            await application.StartAsync(Ct);
            return new Api(application, scenario);
        }

        public async Task<JsonElement> SendAsync(HttpMethod method, string path, string? body, string? contentType, int expected, string? user = null)
        {
            using HttpRequestMessage request = new(method, path);
            if (body is not null)
            {
                request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
                request.Content.Headers.TryAddWithoutValidation("Content-Type", contentType);
            }

            if (user is not null)
                request.Headers.Add("X-User", user);
            using HttpResponseMessage response = await Client.SendAsync(request, Ct);
            string text = await response.Content.ReadAsStringAsync(Ct);
            response.StatusCode.ShouldBe((HttpStatusCode)expected, text);
            response.Content.Headers.ContentType?.MediaType.ShouldBe("application/json");
            return JsonDocument.Parse(text).RootElement;
        }

        public Task StopAsync() => _application.StopAsync(Ct);

        public async ValueTask DisposeAsync()
        {
            Client.Dispose();
            await _application.DisposeAsync();
            await _scenario.DisposeAsync();
        }
    }
}
