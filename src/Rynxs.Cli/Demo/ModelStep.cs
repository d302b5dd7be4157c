using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.SandboxCode;

namespace Rynxs.Cli.Demo;

/// <summary>A model behind the gateway: its key is used and seen by nobody, its budget ends at the eleventh call, and all of it is in the audit trail.</summary>
internal static class ModelStep
{
    private const int Calls = 10;
    private const string Policy = "demo-models";

    public static async Task<Observation> RunAsync(DemoContext context, string agent, CancellationToken cancellationToken)
    {
        string key = "sk-demo-" + RandomNumberGenerator.GetHexString(32, lowercase: true);
        await using var model = new ModelServer(key);
        await CreateAsync(context, agent, key, model.Url, cancellationToken);
        await context.EventuallyAsync(
            "the gateway to enforce the policy",
            async () => (await context.Client.TryGetAsync($"/apis/universe.ai/v1alpha1/namespaces/{DemoContext.Namespace}/inferencepolicies/{Policy}", cancellationToken)) is { } policy
                && policy.Text("status.enforcedDigest") is not null ? policy : (JsonElement?)null,
            cancellationToken);

        string path = $"/gateway/namespaces/{DemoContext.Namespace}/agents/{agent}/v1/chat/completions";
        string answer = "";
        int answered = 0;
        for (int i = 0; i < Calls; i++)
        {
            JsonElement? told = await context.Client.SendAsync(HttpMethod.Post, path, Question("demo-model"), cancellationToken);
            answer = told?.GetProperty("choices")[0].GetProperty("message").Text("content") ?? "";
            answered += answer.Length > 0 ? 1 : 0;
        }

        string eleventh = await RefusedAsync(context, path, Question("demo-model"), cancellationToken);
        string other = await RefusedAsync(context, path, Question("another-model"), cancellationToken);
        JsonElement seen = await ExecCommand.ExecuteAsync(
            context.Client, DemoContext.Namespace, agent, ["sh", "-c", "env; cat /proc/*/environ /proc/*/cmdline; ls -laR /workspace; cat /workspace/* /workspace/*/* 2>/dev/null; true"], null, 30, cancellationToken);
        string inside = seen.Text("stdout") + seen.Text("stderr");

        JsonElement[] records = [];
        await context.EventuallyAsync(
            "the records of the calls",
            async () =>
            {
                records = [.. await context.RecordsAsync(agent, cancellationToken)];
                return Of("InferenceCompleted") >= Calls && Of("InferenceDenied") >= 2 ? true : (bool?)null;
            },
            cancellationToken);
        bool denied = records.Any(record => record.Text("type") == "InferenceDenied" && record.Text("payload.reason") == "budget_exceeded");
        bool leaked = inside.Contains(key, StringComparison.Ordinal) || records.Any(record => record.GetRawText().Contains(key, StringComparison.Ordinal));
        return new Observation(
            answered == Calls && model.Answered == Calls && eleventh.StartsWith("429", StringComparison.Ordinal) && other.StartsWith("404", StringComparison.Ordinal)
            && Of("CredentialDisclosed") == Calls && denied && inside.Length > 0 && !leaked,
            ("calls", $"{answered} of {Calls} answered by an OpenAI-compatible server that demands the key: {answer}"),
            ("eleventh", eleventh),
            ("another model", other),
            ("key", leaked ? "WAS SEEN" : $"not in the {inside.Length} bytes of environment, processes and files inside the sandbox, nor in the audit trail"),
            ("records", $"{Of("InferenceStarted")} started, {Of("InferenceCompleted")} completed, {Of("CredentialDisclosed")} disclosures of rynxs/demo-model-key/key, budget_exceeded {(denied ? "denied" : "NOT RECORDED")}"));

        int Of(string type) => records.Count(record => record.Text("type") == type);
    }

    private static string Question(string model) => new JsonObject
    {
        ["model"] = model,
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Say something." }),
    }.ToJsonString();

    private static async Task CreateAsync(DemoContext context, string agent, string key, string url, CancellationToken cancellationToken)
    {
        string secret = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Secret",
            ["metadata"] = new JsonObject { ["name"] = "demo-model-key", ["namespace"] = DemoContext.Namespace },
            ["data"] = new JsonObject { ["key"] = Convert.ToBase64String(Encoding.UTF8.GetBytes(key)) },
        }.ToJsonString();

        // What is set aside for a call is below 200 tokens: ten calls of 100 fit, the eleventh does not.
        string policy = $$$"""
            {"apiVersion":"universe.ai/v1alpha1","kind":"InferencePolicy","metadata":{"name":"{{{Policy}}}","namespace":"{{{DemoContext.Namespace}}}"},
             "spec":{"agents":["{{{agent}}}"],
              "upstreams":[{"name":"local","kind":"openai","baseUrl":"{{{url}}}","credential":{"secretRef":{"name":"demo-model-key","key":"key"} } }],
              "models":[{"name":"demo-model","routes":[{"upstream":"local","model":"demo-real"}],"maxOutputTokens":16}],
              "budgets":[{"scope":"agent","period":"total","tokens":{{{(Calls * ModelServer.TokensPerAnswer) + 99}}} }] } }
            """;
        await context.Client.SendAsync(HttpMethod.Post, $"/api/v1/namespaces/{DemoContext.Namespace}/secrets", secret, cancellationToken);
        await context.Client.SendAsync(HttpMethod.Post, $"/apis/universe.ai/v1alpha1/namespaces/{DemoContext.Namespace}/inferencepolicies", policy, cancellationToken);
    }

    private static async Task<string> RefusedAsync(DemoContext context, string path, string body, CancellationToken cancellationToken)
    {
        try
        {
            await context.Client.SendAsync(HttpMethod.Post, path, body, cancellationToken);
            return "ANSWERED";
        }
        catch (ApiException refused) when (refused.Status is HttpStatusCode.TooManyRequests or HttpStatusCode.NotFound or HttpStatusCode.Forbidden)
        {
            return $"{(int)refused.Status} {refused.Message}";
        }
    }
}
