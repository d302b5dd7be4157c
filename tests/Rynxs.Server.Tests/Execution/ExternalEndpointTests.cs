using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Rynxs.Server.Execution.Integration;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>Policy and audit engines outside: asked and told over real HTTP, and nothing runs without them.</summary>
public sealed class ExternalEndpointTests
{
    private const string Execute = "/api/v1/sandbox/execute";
    private const string Code = """{"agent_id":"ada","code":"print(1)"}""";

    [Fact]
    public async Task What_the_policy_engine_denies_or_does_not_answer_is_not_run_and_what_it_allows_is()
    {
        SandboxRequirement.Require();
        await using var engine = await Engine.StartAsync();
        await using TestServer server = await TestServer.StartAsync(configure: options => options with { External = new ExternalEndpointOptions { PolicyUrl = engine.Url, TimeoutMilliseconds = 500 } });

        engine.Answer = (200, """{"allow":false,"reason":"memory_limit_exceeded"}""");
        JsonElement denied = await server.PostAsync(Execute, Code, HttpStatusCode.Forbidden);
        (denied.GetProperty("code").GetString(), denied.GetProperty("detail").GetString()!.Contains("memory_limit_exceeded", StringComparison.Ordinal)).ShouldBe(("policy_denied", true));
        JsonElement asked = JsonDocument.Parse(engine.Bodies.Single()).RootElement;
        (asked.GetProperty("action").GetString(), asked.GetProperty("context").GetProperty("sandbox").GetProperty("memory_mb").GetInt32(), asked.GetProperty("agent_id").GetString())
            .ShouldBe(("sandbox.execute", 512, "ada"));

        foreach ((int status, string body) in ((int, string)[])[(500, "{}"), (200, "{}"), (200, "no json"), (204, ""), (302, ""), (200, """{"allow":"yes"}"""), (0, "")])
        {
            engine.Answer = (status, body);
            (await server.PostAsync(Execute, Code, HttpStatusCode.ServiceUnavailable)).GetProperty("code").GetString().ShouldBe("policy_unavailable", $"{status} {body}");
        }

        engine.Answer = (200, """{"allow":true,"confidence_score":0.9}""");
        (await server.PostAsync(Execute, Code)).GetProperty("stdout").GetString().ShouldBe("1\n", "positive control");
        JsonElement list = await server.GetAsync("/api/v1/sandbox/executions?state=not_started");
        list.GetProperty("executions").GetArrayLength().ShouldBe(8);
    }

    [Fact]
    public async Task An_audit_engine_that_does_not_take_the_request_refuses_it_and_the_outcome_waits_until_it_is_taken()
    {
        SandboxRequirement.Require();
        await using var engine = await Engine.StartAsync();
        await using TestServer server = await TestServer.StartAsync(configure: options => options with { External = new ExternalEndpointOptions { AuditUrl = engine.Url, TimeoutMilliseconds = 500 } });

        engine.Answer = (500, "");
        (await server.PostAsync(Execute, Code, HttpStatusCode.ServiceUnavailable)).GetProperty("code").GetString().ShouldBe("audit_unavailable");
        string audit = await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/ada/audit");
        audit.ShouldNotContain("SandboxStarted");

        engine.Bodies.Clear();
        engine.Answers.Enqueue((201, "{}")); // the request
        engine.Answers.Enqueue((503, "")); // the outcome, at first
        engine.Answer = (201, "{}");
        (await server.PostAsync(Execute, Code)).GetProperty("success").GetBoolean().ShouldBeTrue();

        await engine.WaitForAsync(3);
        string[] outcomes = [.. engine.Bodies.Select(body => JsonDocument.Parse(body).RootElement.GetProperty("outcome").GetString() ?? "")];
        outcomes.ShouldBe(["requested", "success", "success"], "the one that was not taken is told again");
    }

    /// <summary>An HTTP server that answers what it is told to.</summary>
    private sealed class Engine : IAsyncDisposable
    {
        private readonly WebApplication _application;
        private readonly SemaphoreSlim _received = new(0);

        private Engine(WebApplication application) => _application = application;

        public string Url => _application.Urls.First();

        /// <summary>Status 0 never answers.</summary>
        public (int Status, string Body) Answer { get; set; } = (200, "{}");

        public ConcurrentQueue<(int Status, string Body)> Answers { get; } = new();

        public ConcurrentQueue<string> Bodies { get; } = new();

        public static async Task<Engine> StartAsync()
        {
            WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
            builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
            WebApplication application = builder.Build();
            var engine = new Engine(application);
            application.Run(engine.ServeAsync);
            await application.StartAsync(TestContext.Current.CancellationToken);
            return engine;
        }

        public async Task WaitForAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                (await _received.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)).ShouldBeTrue();
            }
        }

        public async ValueTask DisposeAsync() => await _application.DisposeAsync();

        private async Task ServeAsync(HttpContext context)
        {
            using var reader = new StreamReader(context.Request.Body, Encoding.UTF8);
            string body = await reader.ReadToEndAsync(context.RequestAborted);
            (int status, string text) = Answers.TryDequeue(out (int, string) next) ? next : Answer;
            Bodies.Enqueue(body);
            if (status == 0)
            {
                await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
                return;
            }

            context.Response.StatusCode = status;
            if (text.Length > 0)
            {
                await context.Response.WriteAsync(text, context.RequestAborted);
            }

            if (Answer.Status == 201)
            {
                _received.Release();
            }
        }
    }
}
