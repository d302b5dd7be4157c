using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>Asynchronous executions, what is stored of them, and keys under which nothing is done twice.</summary>
public sealed class ExecutionLifecycleTests
{
    private const string Execute = "/api/v1/sandbox/execute";
    private const string Executions = "/api/v1/sandbox/executions";

    [Fact]
    public async Task Executions_are_asked_for_listed_cancelled_and_read_again_after_a_restart()
    {
        SandboxRequirement.Require();
        string state = TestServer.NewStatePath();
        string first, cancelled, keyed;
        await using (TestServer server = await TestServer.StartAsync(state))
        {
            JsonElement accepted = await server.PostAsync(Execute, """{"agent_id":"ada","code":"open('/dev/kmsg')\n","async":true}""", HttpStatusCode.Accepted);
            first = IdOf(accepted);
            JsonElement ended = await server.GetAsync($"{Executions}/{first}?wait_seconds=60");
            (ended.GetProperty("execution").GetProperty("state").GetString(), ended.GetProperty("result").GetProperty("termination_reason").GetString()).ShouldBe(("finished", "nonzero_exit"), ended.ToString());
            JsonElement violations = await server.GetAsync($"{Executions}/{first}/violations");
            violations.GetProperty("security_violations")[0].GetProperty("violation_type").GetString().ShouldBe("device_access");

            cancelled = IdOf(await server.PostAsync(Execute, """{"agent_id":"ada","code":"import time\ntime.sleep(300)","async":true}""", HttpStatusCode.Accepted));
            await WaitForStartsAsync(server, 2);
            JsonElement stopped = await server.PostAsync($"{Executions}/{cancelled}/cancel", "{}");
            stopped.GetProperty("result").GetProperty("termination_reason").GetString().ShouldBe("cancelled", stopped.ToString());
            (await server.PostAsync($"{Executions}/{cancelled}/cancel", "{}", HttpStatusCode.Conflict)).GetProperty("code").GetString().ShouldBe("execution_ended");

            const string body = """{"agent_id":"bob","code":"import uuid\nprint(uuid.uuid4())"}""";
            (JsonElement once, bool fresh) = await KeyedAsync(server.Http, "key 1".Replace(' ', '-'), body);
            (JsonElement twice, bool replayed) = await KeyedAsync(server.Http, "key-1", body);
            keyed = once.GetProperty("stdout").GetString() ?? "";
            keyed.Length.ShouldBeGreaterThan(30);
            twice.GetProperty("stdout").GetString().ShouldBe(keyed);
            (fresh, replayed).ShouldBe((false, true));
            (JsonElement other, _) = await KeyedAsync(server.Http, "key-1", """{"agent_id":"bob","code":"1"}""", HttpStatusCode.UnprocessableEntity);
            other.GetProperty("code").GetString().ShouldBe("idempotency_key_reused");
            using HttpClient stranger = server.ClientFor("stranger", Role.Developer);
            (JsonElement theirs, _) = await KeyedAsync(stranger, "key-1", body);
            theirs.GetProperty("stdout").GetString().ShouldNotBe(keyed, "a key belongs to who sent it");
        }

        await using (TestServer server = await TestServer.StartAsync(state))
        {
            (JsonElement again, bool replayed) = await KeyedAsync(server.Http, "key-1", """{"agent_id":"bob","code":"import uuid\nprint(uuid.uuid4())"}""");
            (again.GetProperty("stdout").GetString(), replayed).ShouldBe((keyed, true));
            JsonElement page = await server.GetAsync($"{Executions}?limit=1&agent_id=ada");
            JsonElement.ArrayEnumerator entries = page.GetProperty("executions").EnumerateArray();
            entries.Select(entry => entry.GetProperty("execution_id").GetString()).ShouldBe([cancelled]);
            JsonElement next = await server.GetAsync($"{Executions}?limit=1&agent_id=ada&continue={page.GetProperty("continue").GetString()}");
            next.GetProperty("executions").EnumerateArray().Select(entry => entry.GetProperty("execution_id").GetString()).ShouldBe([first]);
            next.GetProperty("continue").ValueKind.ShouldBe(JsonValueKind.Null);
            (await server.GetAsync($"{Executions}?state=finished")).GetProperty("executions").GetArrayLength().ShouldBe(4);
            (await server.GetAsync($"{Executions}/{first}/violations")).GetProperty("total_count").GetInt32().ShouldBe(1);
            foreach (string wrong in (string[])["limit=0", "limit=501", "state=done", "continue=-1"])
            {
                await server.GetAsync($"{Executions}?{wrong}", HttpStatusCode.UnprocessableEntity);
            }

            using HttpClient elsewhere = server.ClientFor("elsewhere", Role.Developer, "team");
            (await server.GetAsync(Executions, client: elsewhere)).GetProperty("executions").GetArrayLength().ShouldBe(0);
            await server.GetAsync($"{Executions}/{first}", HttpStatusCode.NotFound, elsewhere);
            await server.GetAsync($"{Executions}?namespace=rynxs", HttpStatusCode.NotFound, elsewhere);
        }

        Directory.Delete(state, recursive: true);
    }

    [Fact]
    public async Task Only_the_named_directories_can_be_written_and_the_answer_shows_how_that_was_tried()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync(configure: options => options with { SecurityDebug = true });
        const string code = """
            import os
            def tried(p):
                try: open(p,'w').write('x'); return 'written'
                except OSError as e: return e.strerror
            print(tried('/tmp/a'), '|', tried('/workspace/files/a'), '|', tried('/workspace/files/data/a'))
            """;
        JsonElement open = await server.PostAsync(Execute, Body(code, []));
        open.GetProperty("stdout").GetString().ShouldStartWith("written | written |", Case.Sensitive, "positive control");

        JsonElement closed = await server.PostAsync(Execute, Body(code, ["/workspace/files/data/"]));

        closed.GetProperty("stdout").GetString().ShouldBe("Permission denied | Permission denied | written\n", closed.ToString());
        closed.GetProperty("controls").EnumerateArray().ShouldContain(control => control.GetProperty("control").GetString() == "filesystem_access" && control.GetProperty("result").GetString() == "held");
        closed.GetProperty("security_debug").GetProperty("trace_events").GetInt64().ShouldBeGreaterThan(0);
        server.Log.ToString().ShouldContain("Security debug");

        static string Body(string code, string[] paths) => JsonSerializer.Serialize(new { agent_id = "a", code, filesystem_access = paths });
    }

    /// <summary>The record of a sandbox's start stands right before its program begins.</summary>
    private static async Task WaitForStartsAsync(TestServer server, int count)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while ((await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/ada/audit")).Split("\"SandboxStarted\"").Length <= count)
        {
            await Task.Delay(50, patience.Token);
        }
    }

    private static string IdOf(JsonElement accepted) => accepted.GetProperty("execution").GetProperty("execution_id").GetString() ?? "";

    private static async Task<(JsonElement Answer, bool Replayed)> KeyedAsync(HttpClient client, string key, string body, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Execute) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Add("Idempotency-Key", key);
        using HttpResponseMessage response = await client.SendAsync(request, TestContext.Current.CancellationToken);
        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(expected, text);
        return (JsonDocument.Parse(text).RootElement.Clone(), response.Headers.Contains("Idempotency-Replayed"));
    }
}
