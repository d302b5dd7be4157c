using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>
/// The same random requests to a real API server and to our functions must leave the same object with the same owners, and be refused with the same
/// words. A seed that differs is printed; <c>RYNXS_RECORD</c> names a directory to write its exchanges to, from where they go to TestData/sequences.
/// </summary>
public sealed class RealServerComparisonTests
{
    private static readonly int Seeds = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 400 : 25;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Random_requests_end_as_they_end_on_a_real_API_server()
    {
        Assert.SkipWhen(KubeApiServer.Binaries is null, "There is no kube-apiserver: set KUBEBUILDER_ASSETS.");
        await using KubeApiServer server = await KubeApiServer.StartAsync(Ct);
        await DefineThingsAsync(server);

        int first = int.Parse(Environment.GetEnvironmentVariable("RYNXS_SEED") ?? "1", CultureInfo.InvariantCulture);
        int accepted = 0;
        List<string> differences = [];
        for (int seed = first; seed < first + Seeds; seed++)
        {
            (string? difference, JsonArray exchanges) = await CompareAsync(server, seed);
            accepted += exchanges.Count(exchange => (int)exchange!["status"]! < 300);
            if (difference is not null)
                differences.Add(difference);
            if (Environment.GetEnvironmentVariable("RYNXS_RECORD") is { Length: > 0 } directory)
                await File.WriteAllTextAsync(Path.Combine(directory, $"seed-{seed}.json"), exchanges.ToJsonString(new JsonSerializerOptions { WriteIndented = true }), Ct);
        }

        string.Join("\n\n", differences).ShouldBeEmpty();
        accepted.ShouldBeGreaterThan(Seeds * StepsOf(1) / 4);
    }

    private static async Task<(string? Difference, JsonArray Exchanges)> CompareAsync(KubeApiServer server, int seed)
    {
        string name = $"s{seed}";
        DocumentRequests ours = Things.Requests();
        RandomRequests random = new(seed);
        JsonArray exchanges = [];
        JsonObject? live = null;
        for (int step = 0; step < StepsOf(seed); step++)
        {
            DocumentRequest request = random.Next(live, name);
            (int status, JsonObject body) = await server.SendAsync(request.Method, PathOf(name, request), request.Body, request.ContentType, Ct);
            exchanges.Add((JsonNode)SequenceExchange.Record(request, status, body));
            string? difference = SequenceExchange.Compare(ours, request, status, body);
            if (difference is not null)
                return ($"seed {seed} step {step} {request.Method} {request.ContentType} by {request.Manager} {request.Subresource}: {difference}\nrequest {request.Body?.ToJsonString()}", exchanges);
            if (status < 300)
                live = body;
        }

        return (null, exchanges);
    }

    /// <summary>Enough of them for more updaters than an object keeps, where a sequence has so many.</summary>
    private static int StepsOf(int seed) => RandomRequests.HasManyUpdaters(seed) ? 45 : 16;

    private static async Task DefineThingsAsync(KubeApiServer server)
    {
        (int status, _) = await server.SendAsync("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Things.Definition, "application/json", Ct);
        status.ShouldBe(201);
        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        timeout.CancelAfter(TimeSpan.FromMinutes(1));
        while ((await server.SendAsync("GET", Collection, null, "", timeout.Token)).Status != 200)
            await Task.Delay(TimeSpan.FromMilliseconds(100), timeout.Token); // served a little after it is established
    }

    private static string PathOf(string name, DocumentRequest request)
    {
        string path = request.Method == "POST" ? Collection : $"{Collection}/{name}";
        if (request.Subresource.Length > 0)
            path += "/" + request.Subresource;
        return $"{path}?fieldManager={request.Manager}{(request.Force ? "&force=true" : "")}";
    }

    private const string Collection = "/apis/test.universe.ai/v1/namespaces/default/things";
}
