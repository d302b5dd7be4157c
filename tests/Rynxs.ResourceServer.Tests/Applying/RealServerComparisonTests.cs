using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>
/// The same random requests to a real API server and to our functions must leave the same object with the same owners, and be refused with the same
/// words. A seed that differs is printed; <c>RYNXS_RECORD</c> names a directory to write its exchanges to, from where they go to TestData/sequences.
/// </summary>
public sealed class RealServerComparisonTests
{
    private static readonly int FirstSeed = int.Parse(Environment.GetEnvironmentVariable("RYNXS_SEED") ?? "1", CultureInfo.InvariantCulture);
    private static readonly int Seeds = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 400 : 25;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Random_requests_end_as_they_end_on_a_real_API_server()
    {
        Assert.SkipWhen(KubeApiServer.Binaries is null, "There is no kube-apiserver: set KUBEBUILDER_ASSETS.");
        await using KubeApiServer server = await KubeApiServer.StartAsync(Ct);
        await DefineThingsAsync(server);

        ServedKind deployment = BuiltInKinds.All.Single(kind => kind is { Kind: "Deployment", Group: "apps" });
        List<string> differences = [];
        int accepted = 0;
        for (int seed = FirstSeed; seed < FirstSeed + Seeds; seed++)
        {
            RandomRequests things = new(seed);
            accepted += await CompareAsync(server, seed, "thing", Things.Requests(), things.Next, ThingsPath, StepsOf(seed), differences);
            RandomDeploymentRequests deployments = new(seed);
            DocumentRequests ours = new(deployment.Schema, "apps/v1", "Deployment", deployment);
            accepted += await CompareAsync(server, seed, "deployment", ours, deployments.Next, DeploymentsPath, 10, differences);
        }

        string.Join("\n\n", differences).ShouldBeEmpty();
        accepted.ShouldBeGreaterThan(Seeds * 10);
    }

    private static async Task<int> CompareAsync(
        KubeApiServer server, int seed, string kind, DocumentRequests ours, Func<JsonObject?, string, DocumentRequest> next, string collection, int steps, List<string> differences)
    {
        string name = $"s{seed}";
        JsonArray exchanges = [];
        JsonObject? live = null;
        for (int step = 0; step < steps; step++)
        {
            DocumentRequest request = next(live, name);
            (int status, JsonObject body) = await server.SendAsync(request.Method, PathOf(collection, name, request), request.Body, request.ContentType, Ct);
            exchanges.Add((JsonNode)SequenceExchange.Record(request, status, body));
            if (SequenceExchange.Compare(ours, request, status, body) is { } difference)
            {
                differences.Add($"{kind} seed {seed} step {step} {request.Method} {request.ContentType} by {request.Manager} {request.Subresource}: {difference}\nrequest {request.Body?.ToJsonString()}");
                break;
            }

            if (status < 300)
                live = body;
        }

        if (Environment.GetEnvironmentVariable("RYNXS_RECORD") is { Length: > 0 } directory)
            await File.WriteAllTextAsync(Path.Combine(directory, $"{kind}-{seed}.json"), exchanges.ToJsonString(), Ct);
        return exchanges.Count(exchange => (int)exchange!["status"]! < 300);
    }

    /// <summary>Enough of them for more updaters than an object keeps, where a sequence has so many.</summary>
    private static int StepsOf(int seed) => RandomRequests.HasManyUpdaters(seed) ? 45 : 16;

    private static async Task DefineThingsAsync(KubeApiServer server)
    {
        (int status, _) = await server.SendAsync("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Things.Definition, "application/json", Ct);
        status.ShouldBe(201);
        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        timeout.CancelAfter(TimeSpan.FromMinutes(1));
        while ((await server.SendAsync("GET", ThingsPath, null, "", timeout.Token)).Status != 200)
            await Task.Delay(TimeSpan.FromMilliseconds(100), timeout.Token); // served a little after it is established
    }

    private static string PathOf(string collection, string name, DocumentRequest request)
    {
        string path = request.Method == "POST" ? collection : $"{collection}/{name}";
        if (request.Subresource.Length > 0)
            path += "/" + request.Subresource;
        return $"{path}?fieldManager={request.Manager}{(request.Force ? "&force=true" : "")}";
    }

    private const string ThingsPath = "/apis/test.universe.ai/v1/namespaces/default/things";
    private const string DeploymentsPath = "/apis/apps/v1/namespaces/default/deployments";
}
