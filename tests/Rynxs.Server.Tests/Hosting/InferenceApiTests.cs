using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Hosting;

/// <summary>Models through a real server: policies as objects, tokens, Secrets, budgets that outlive a restart.</summary>
public sealed class InferenceApiTests
{
    private const string Key = "sk-test-of-the-server-0123456789";
    private const string Objects = "/apis/universe.ai/v1alpha1/namespaces/team-a";
    private const string Chat = "/gateway/namespaces/team-a/agents/writer/v1/chat/completions";

    [Fact]
    public async Task Policy_secret_identity_budget_and_records_hold_together_and_outlive_a_restart()
    {
        await using var upstream = new ChatServer(Key);
        string state = TestServer.NewStatePath();
        try
        {
            await using (TestServer server = await TestServer.StartAsync(state))
            {
                await server.PostAsync($"{Objects}/agents", Agent("writer"), HttpStatusCode.Created);
                await server.PostAsync($"{Objects}/agents", Agent("reader"), HttpStatusCode.Created);
                using HttpClient writer = server.ClientFor("agent:team-a/writer", Role.Agent, "team-a");
                using HttpClient reader = server.ClientFor("agent:team-a/reader", Role.Agent, "team-a");
                using HttpClient stranger = server.ClientFor("user:stranger", Role.Developer, "team-b");
                using HttpClient auditor = server.ClientFor("user:auditor", Role.Auditor);

                await AskAsync(writer, HttpStatusCode.Forbidden); // Default deny.
                await server.PostAsync(
                    "/api/v1/namespaces/team-a/secrets",
                    $$"""{"apiVersion":"v1","kind":"Secret","metadata":{"name":"openai","namespace":"team-a"},"data":{"key":"{{Convert.ToBase64String(Encoding.UTF8.GetBytes(Key))}}"} }""",
                    HttpStatusCode.Created);
                await server.PostAsync($"{Objects}/inferencepolicies", Policy(upstream.Url), HttpStatusCode.Created);
                JsonElement policy = await EventuallyAsync(server, $"{Objects}/inferencepolicies/p", found => found.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("enforcedDigest", out _));
                policy.GetProperty("status").GetProperty("enforcedDigest").GetString().ShouldNotBeNull().Length.ShouldBe(64);

                await AskAsync(writer, HttpStatusCode.OK);
                await AskAsync(reader, HttpStatusCode.NotFound); // D7, D8, D9: another agent's token, another namespace, a role that does not execute.
                await AskAsync(stranger, HttpStatusCode.NotFound);
                await AskAsync(auditor, HttpStatusCode.Forbidden);
                upstream.Answered.ShouldBe(1);
                JsonElement budgets = await EventuallyAsync(server, "/api/v1/namespaces/team-a/budgets", found => found.GetProperty("items")[0].GetProperty("reserved_tokens").GetInt64() == 0);
                budgets.GetProperty("items")[0].GetProperty("spent_tokens").GetInt64().ShouldBe(100);
                await EventuallyTextAsync(server, "/api/v1/namespaces/team-a/agents/writer/logs?follow=0&tail=50", text =>
                {
                    text.ShouldNotContain(Key);
                    return text.Contains("InferenceCompleted", StringComparison.Ordinal) && text.Contains("CredentialDisclosed", StringComparison.Ordinal);
                });
                server.Log.ToString().ShouldNotContain(Key);
            }

            await using (TestServer again = await TestServer.StartAsync(state))
            {
                using HttpClient writer = again.ClientFor("agent:team-a/writer-2", Role.Developer, "team-a");
                await AskAsync(writer, HttpStatusCode.OK);
                await EventuallyAsync(again, "/api/v1/namespaces/team-a/budgets", found => found.GetProperty("items")[0].GetProperty("spent_tokens").GetInt64() == 200);
                await AskAsync(writer, HttpStatusCode.TooManyRequests); // 200 of 299 are spent.
                using HttpResponseMessage gone = await again.Http.DeleteAsync($"{Objects}/inferencepolicies/p", TestContext.Current.CancellationToken);
                gone.EnsureSuccessStatusCode();
                await Poll(async () => await StatusAsync(writer) == HttpStatusCode.Forbidden);
            }
        }
        finally
        {
            Directory.Delete(state, recursive: true);
        }
    }

    private static string Agent(string name) =>
        $$"""{"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"name":"{{name}}","namespace":"team-a"},"spec":{"role":"sandbox","team":"press","suspended":true} }""";

    private static string Policy(string url) => $$$"""
        {"apiVersion":"universe.ai/v1alpha1","kind":"InferencePolicy","metadata":{"name":"p","namespace":"team-a"},
         "spec":{"agents":["writer"],
          "upstreams":[{"name":"up","kind":"openai","baseUrl":"{{{url}}}","credential":{"secretRef":{"name":"openai","key":"key"} } }],
          "models":[{"name":"m","routes":[{"upstream":"up","model":"real"}],"maxOutputTokens":16}],
          "budgets":[{"scope":"team","period":"total","tokens":299}]}}
        """;

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client)
    {
        using var body = new StringContent("""{"model":"m","messages":[{"role":"user","content":"hi"}]}""", Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await client.PostAsync(Chat, body, TestContext.Current.CancellationToken);
        return response.StatusCode;
    }

    private static async Task AskAsync(HttpClient client, HttpStatusCode expected) => (await StatusAsync(client)).ShouldBe(expected);

    private static async Task<JsonElement> EventuallyAsync(TestServer server, string path, Func<JsonElement, bool> holds)
    {
        JsonElement found = default;
        await Poll(async () => holds(found = await server.GetAsync(path)));
        return found;
    }

    private static async Task EventuallyTextAsync(TestServer server, string path, Func<string, bool> holds) =>
        await Poll(async () => holds(await server.Http.GetStringAsync(path, TestContext.Current.CancellationToken)));

    private static async Task Poll(Func<Task<bool>> holds)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await holds())
        {
            await Task.Delay(20, patience.Token);
        }
    }
}
