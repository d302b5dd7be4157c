using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>Models over a sandbox's own socket, on a real server with real sandboxes: who calls is known by the socket and by nothing that is sent.</summary>
public sealed class ModelFromASandboxTests
{
    private const string Key = "sk-of-the-upstream-0123456789";
    private const string Group = "/apis/universe.ai/v1alpha1/namespaces/rynxs";

    [Fact]
    public async Task D7_a_sandbox_calls_models_as_its_own_agent_whatever_it_says()
    {
        SandboxRequirement.Require();
        await using var upstream = new ChatServer(Key);
        await using TestServer server = await TestServer.StartAsync(configure: options => options with { WarmSandboxes = 0 });
        await server.PostAsync(
            "/api/v1/namespaces/rynxs/secrets",
            $$"""{"apiVersion":"v1","kind":"Secret","metadata":{"name":"up","namespace":"rynxs"},"data":{"key":"{{Convert.ToBase64String(Encoding.UTF8.GetBytes(Key))}}"} }""",
            HttpStatusCode.Created);
        await server.PostAsync($"{Group}/inferencepolicies", $$$"""
            {"apiVersion":"universe.ai/v1alpha1","kind":"InferencePolicy","metadata":{"name":"p","namespace":"rynxs"},
             "spec":{"agents":["caller"],
              "upstreams":[{"name":"up","kind":"openai","baseUrl":"{{{upstream.Url}}}","credential":{"secretRef":{"name":"up","key":"key"} } }],
              "models":[{"name":"m","routes":[{"upstream":"up","model":"real"}]}]}}
            """, HttpStatusCode.Created);
        await server.PostAsync($"{Group}/egresspolicies", """
            {"apiVersion":"universe.ai/v1alpha1","kind":"EgressPolicy","metadata":{"name":"gateway-alone","namespace":"rynxs"},
             "spec":{"appliesTo":{"agents":["caller","other"],"executions":true}}}
            """, HttpStatusCode.Created);
        await server.WaitForAsync($"{Group}/inferencepolicies/p", item => item.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("enforcedDigest", out _));
        await server.CreateAgentAsync("rynxs", "caller", """{"role":"sandbox"}""");
        await server.CreateAgentAsync("rynxs", "other", """{"role":"sandbox"}""");

        string caller = await AskAsync(server, "caller", "-H 'X-Sandbox-ID: other'");
        string other = await AskAsync(server, "other", "-H 'X-Sandbox-ID: caller' -H 'X-Rynxs-Agent: caller' -H 'Authorization: Bearer agent:rynxs/caller'");
        JsonElement execution = await server.PostAsync(
            "/api/v1/sandbox/execute",
            JsonSerializer.Serialize(new { agent_id = "caller", language = "bash", code = Curl(""), network_policy = "restricted", timeout_seconds = 30 }));

        caller.ShouldContain("hello");
        caller.ShouldContain("status=200");
        other.ShouldContain("status=403");
        execution.GetProperty("output").GetString().ShouldNotBeNull().ShouldContain("status=403");
        upstream.Answered.ShouldBe(1, "nobody but the agent that the policy names was sent on");
        string audit = await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/caller/audit");
        audit.ShouldContain("\"InferenceStarted\"");
        audit.ShouldContain("\"CredentialDisclosed\"");
        audit.ShouldNotContain(Key);
    }

    private static async Task<string> AskAsync(TestServer server, string agent, string headers)
    {
        await server.CreateTaskAsync("rynxs", $"ask-{agent}", agent, $"run {Curl(headers)} in sandbox");
        return (await server.WaitForTaskAsync("rynxs", $"ask-{agent}")).ToString();
    }

    private static string Curl(string headers) =>
        $$"""curl -s -m 20 -w 'status=%{http_code}' {{headers}} -H 'content-type: application/json' -d '{"model":"m","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}' http://gateway.rynxs.internal/v1/chat/completions""";
}
