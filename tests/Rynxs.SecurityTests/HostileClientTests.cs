using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>Catalogue groups D and G6 at the door: what a hostile or careless client sends, and what it may cost.</summary>
public sealed class HostileClientTests
{
    private const string Execute = "/api/v1/sandbox/execute";

    [Fact]
    public async Task G6_eleven_hundred_executions_of_one_agent_are_bounded_and_end_with_their_clients()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        string body = JsonSerializer.Serialize(new { agent_id = "flood", language = "bash", code = "sleep 300", timeout_seconds = 600 });
        using var leave = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var refused = new SemaphoreSlim(0);
        HttpResponseMessage? answer = null;
        async Task SendAsync()
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            try
            {
                HttpResponseMessage response = await server.Http.PostAsync(Execute, content, leave.Token);
                Interlocked.Exchange(ref answer, response)?.Dispose();
                refused.Release();
            }
            catch (OperationCanceledException)
            {
                // We left: it ran or waited.
            }
        }

        Task[] all = [.. Enumerable.Range(0, 1100).Select(_ => SendAsync())];
        for (int i = 0; i < 1100 - 1064; i++)
        {
            (await refused.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken)).ShouldBeTrue("64 run, 1000 wait, the others are refused");
        }

        using (HttpResponseMessage last = answer.ShouldNotBeNull())
        {
            last.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
            last.Headers.RetryAfter.ShouldNotBeNull().Delta.ShouldNotBeNull().ShouldBeGreaterThan(TimeSpan.Zero);
            (await last.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("\"code\":\"queue_full\"");
        }

        refused.CurrentCount.ShouldBe(0, "nothing else was answered: the accepted ones still wait");
        await leave.CancelAsync();
        await Task.WhenAll(all);
        await server.WaitForAsync("/api/v1/sandbox/status", status => status.GetProperty("total_count").GetInt32() == 0);
        JsonElement after = await server.PostAsync(Execute, """{"agent_id":"flood","language":"bash","code":"echo served"}""");
        after.GetProperty("stdout").GetString().ShouldBe("served\n", "positive control: the places are free again");
    }

    [Fact]
    public async Task G6_watches_and_follows_end_when_the_server_stops()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        await server.CreateAgentAsync("rynxs", "followed", """{"role":"worker"}""");
        var open = new List<(HttpResponseMessage Response, StreamReader Reader)>();
        foreach (string path in Enumerable.Repeat((string[])["/apis/universe.ai/v1alpha1/agents?watch=1", "/api/v1/namespaces/rynxs/agents/followed/logs?follow=1"], 50).SelectMany(both => both))
        {
            HttpResponseMessage response = await server.Http.GetAsync(path, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
            (await reader.ReadLineAsync(TestContext.Current.CancellationToken)).ShouldNotBeNull("positive control: the stream carries lines");
            open.Add((response, reader));
        }

        Task stopped = server.Server.StopAsync(TestContext.Current.CancellationToken);
        foreach ((HttpResponseMessage response, StreamReader reader) in open)
        {
            try
            {
                await reader.ReadToEndAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(15), TestContext.Current.CancellationToken);
            }
            catch (IOException)
            {
                // Cut off is ended as well.
            }

            response.Dispose();
        }

        await stopped.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData("DELETE", "/api/v1/whoami", "GET")]
    [InlineData("TRACE", "/livez", "GET, HEAD")]
    [InlineData("GET", Execute, "POST")]
    public async Task A_wrong_method_is_told_the_right_ones(string method, string path, string allowed)
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using HttpResponseMessage response = await server.Http.SendAsync(request, TestContext.Current.CancellationToken);

        response.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        response.Content.Headers.Allow.ShouldBe(allowed.Split(", "));
        response.Content.Headers.ContentType?.MediaType.ShouldBe("application/problem+json");
        (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("\"code\":\"method_not_allowed\"");
        using var head = new HttpRequestMessage(HttpMethod.Head, "/livez");
        (await server.Http.SendAsync(head, TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.OK, "positive control: monitors may ask with HEAD");
    }

    [Fact]
    public async Task D1_a_token_in_the_address_is_no_token_and_a_compressed_body_is_refused()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        using HttpClient nobody = server.Client(token: null);
        foreach (string name in (string[])["token", "access_token", "bearer"])
        {
            JsonElement refused = await server.GetAsync($"/api/v1/whoami?{name}={server.Server.AdminToken}", HttpStatusCode.Unauthorized, nobody);
            refused.GetProperty("code").GetString().ShouldBe("unauthenticated");
        }

        server.Log.ToString().ShouldNotContain(server.Server.AdminToken);
        using var content = new StringContent("""{"agent_id":"x","code":"1"}""", Encoding.UTF8, "application/json");
        content.Headers.ContentEncoding.Add("gzip");
        using HttpResponseMessage response = await server.Http.PostAsync(Execute, content, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.UnsupportedMediaType);
    }

    [Fact]
    public async Task G6_a_task_of_a_mebibyte_is_done_and_a_longer_one_is_refused_by_name()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        await server.CreateAgentAsync("rynxs", "reader", """{"role":"worker"}""");
        string text = "say " + new string('x', 1024 * 1024 - 4);

        await server.CreateTaskAsync("rynxs", "long", "reader", text);
        JsonElement done = await server.WaitForTaskAsync("rynxs", "long");
        done.GetProperty("status").GetProperty("phase").GetString().ShouldBe("Completed", done.GetProperty("status").ToString()[..200]);

        using var content = new StringContent(
            JsonSerializer.Serialize(new
            {
                apiVersion = "universe.ai/v1alpha1", kind = "Task", metadata = new { name = "longer", @namespace = "rynxs" },
                spec = new { title = "longer", description = text + "x", assignee = "reader" },
            }),
            Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        using HttpResponseMessage refused = await server.Http.PostAsync("/apis/universe.ai/v1alpha1/namespaces/rynxs/tasks", content, TestContext.Current.CancellationToken);
        refused.StatusCode.ShouldBe(HttpStatusCode.UnprocessableEntity);
        (await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("spec.description");
    }

    [Fact]
    public async Task Readiness_fails_while_the_objects_cannot_be_written()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        using var other = new SqliteConnection($"Data Source={Path.Combine(server.State, "objects.db")};Pooling=False");
        await other.OpenAsync(TestContext.Current.CancellationToken);
        using (SqliteCommand hold = other.CreateCommand())
        {
            hold.CommandText = "BEGIN IMMEDIATE";
            await hold.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        JsonElement busy = await server.GetAsync("/readyz", HttpStatusCode.ServiceUnavailable);
        busy.GetProperty("checks").EnumerateArray().Single(check => check.GetProperty("name").GetString() == "objects").GetProperty("ok").GetBoolean().ShouldBeFalse();

        using (SqliteCommand release = other.CreateCommand())
        {
            release.CommandText = "ROLLBACK";
            await release.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        await server.WaitUntilReadyAsync();
    }
}
