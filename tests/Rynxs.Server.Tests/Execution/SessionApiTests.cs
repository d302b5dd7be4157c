using System.Net;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>The pool behind execute, and sandboxes that a caller keeps, end to end.</summary>
public sealed class SessionApiTests
{
    private const string Sessions = "/api/v1/sandbox/sessions";

    [Fact]
    public async Task A_session_runs_many_programs_keeps_state_pauses_and_ends_on_the_record()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync(configure: options => options with { WarmSandboxes = 1 });
        await server.WaitForAsync("/api/v1/doctor", report => report.GetProperty("checks").EnumerateArray().Any(check =>
            check.GetProperty("name").GetString() == "sandbox_pool" && check.GetProperty("detail").GetString() == "execute: 1 of 1 wait."));
        JsonElement warm = await server.PostAsync("/api/v1/sandbox/execute", """{"agent_id":"ada","code":"import sys\nprint(6*7)\nsys.exit(5)"}""");
        (warm.GetProperty("sandbox_start").GetString(), warm.GetProperty("stdout").GetString(), warm.GetProperty("exit_code").GetInt32()).ShouldBe(("warm", "42\n", 5), warm.ToString());
        warm.GetProperty("cold_start_time_ms").GetDouble().ShouldBeGreaterThan(0);

        JsonElement session = await server.PostAsync(Sessions, """{"agent_id":"ada","ttl_seconds":600}""", HttpStatusCode.Created);
        string path = $"{Sessions}/{session.GetProperty("session_id").GetString()}";
        string execute = path + "/execute";
        (await server.PostAsync(execute, """{"code":"open('kept','w').write('file')"}""")).GetProperty("success").GetBoolean().ShouldBeTrue();
        (await server.PostAsync(execute, """{"code":"cat kept","language":"bash"}""")).GetProperty("stdout").GetString().ShouldBe("file");
        await server.PostAsync(execute, """{"code":"x = 41","keep_state":true}""");
        (await server.PostAsync(execute, """{"code":"print(x + 1)","keep_state":true}""")).GetProperty("stdout").GetString().ShouldBe("42\n");

        (await server.PostAsync(path + "/pause", "{}")).GetProperty("state").GetString().ShouldBe("paused");
        (await server.PostAsync(execute, """{"code":"1"}""", HttpStatusCode.Conflict)).GetProperty("code").GetString().ShouldBe("session_paused");
        (await server.PostAsync(path + "/resume", "{}")).GetProperty("state").GetString().ShouldBe("running");
        (await server.PostAsync(execute, """{"code":"print(x)","keep_state":true}""")).GetProperty("stdout").GetString().ShouldBe("41\n");

        (await server.PostAsync(execute, """{"code":"1","memory_limit_mb":64}""", HttpStatusCode.UnprocessableEntity)).ToString().ShouldContain("memory_limit_mb");
        (await server.PostAsync(Sessions, """{"agent_id":"ada","ttl_seconds":1}""", HttpStatusCode.UnprocessableEntity)).ToString().ShouldContain("ttl_seconds");
        (await server.PostAsync(Sessions, """{"agent_id":"ada","code":"1"}""", HttpStatusCode.UnprocessableEntity)).ToString().ShouldContain("code");
        using HttpClient stranger = server.ClientFor("stranger", Role.Developer, "elsewhere");
        await server.GetAsync(path, HttpStatusCode.NotFound, stranger);
        (await server.GetAsync(Sessions, client: stranger)).GetProperty("sessions").GetArrayLength().ShouldBe(0);
        (await server.GetAsync(Sessions)).GetProperty("sessions").GetArrayLength().ShouldBe(1);

        using HttpResponseMessage deleted = await server.Http.DeleteAsync(path, TestContext.Current.CancellationToken);
        deleted.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        JsonElement gone = await server.GetAsync(path);
        (gone.GetProperty("state").GetString(), gone.GetProperty("end_reason").GetString()).ShouldBe(("ended", "deleted"));
        await server.GetAsync(path, HttpStatusCode.NotFound, stranger);
        await server.WaitForAsync("/api/v1/sandbox/status", status => status.GetProperty("total_count").GetInt32() == 0);
        string audit = await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/ada/audit");
        audit.ShouldContain("\"deleted\"");
    }
}
