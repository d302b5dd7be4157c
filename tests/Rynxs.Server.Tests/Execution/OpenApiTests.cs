using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Server.Execution;
using Rynxs.Server.Execution.OpenApi;
using Rynxs.Server.Problems;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>The document says what the endpoints do: compared with the routes, the readers and real answers.</summary>
public sealed class OpenApiTests
{
    [Fact]
    public async Task The_document_has_every_route_of_the_sandbox_api_and_every_field_of_its_answers()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonElement document = await server.GetAsync("/openapi.json");
        using HttpClient nobody = server.Client(null);
        await server.GetAsync("/openapi.json", HttpStatusCode.Unauthorized, nobody);

        JsonElement paths = document.GetProperty("paths");
        string[] described = [.. paths.EnumerateObject().SelectMany(path => path.Value.EnumerateObject().Select(method => $"{method.Name.ToUpperInvariant()} {path.Name}")).Order(StringComparer.Ordinal)];
        string[] routed = [.. server.Server.Routes.Where(route => route.Contains(" /api/v1/sandbox/", StringComparison.Ordinal)).Select(route => route.Replace("{**", "{", StringComparison.Ordinal).Replace(":int}", "}", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        routed.Length.ShouldBeGreaterThan(12);
        described.ShouldBe(routed);

        JsonElement status = await server.GetAsync("/api/v1/sandbox/status");
        Fields(document, "SandboxStatusResponse").ShouldBe([.. status.EnumerateObject().Select(field => field.Name)], ignoreOrder: true);
        JsonElement list = await server.GetAsync("/api/v1/sandbox/executions");
        Fields(document, "ExecutionList").ShouldBe([.. list.EnumerateObject().Select(field => field.Name)], ignoreOrder: true);
        foreach (string field in (string[])["execution_id", "success", "output", "error", "security_violations", "execution_time_seconds", "cold_start_time_ms", "resource_usage", "termination_reason", "runtime_used", "constitutional_hash_verified"])
        {
            Fields(document, "ExecuteResponse").ShouldContain(field, "the documented field list");
        }

        string[] references = [.. References(document)];
        references.ShouldNotBeEmpty();
        references.Where(name => !document.GetProperty("components").GetProperty("schemas").TryGetProperty(name, out _)).ShouldBeEmpty();
    }

    [Fact]
    public void The_documents_bounds_are_those_of_the_reader()
    {
        JsonObject properties = SandboxOperations.Execute.Body!["properties"]!.AsObject();
        int compared = 0;
        foreach ((string name, JsonNode? schema) in properties)
        {
            if (schema?["minimum"] is null)
            {
                continue;
            }

            double least = schema["minimum"]!.GetValue<double>(), most = schema["maximum"]!.GetValue<double>(), step = schema["type"]!.GetValue<string>() == "integer" ? 1 : 0.001;
            Read(name, least);
            Read(name, most);
            Should.Throw<ProblemException>(() => Read(name, least - step)).Problem.Field.ShouldBe(name);
            Should.Throw<ProblemException>(() => Read(name, most + step)).Problem.Field.ShouldBe(name);
            compared++;
        }

        compared.ShouldBe(3);
        Should.Throw<ProblemException>(() => ExecuteRequestReader.Read("""{"agent_id":"a","code":"1","zzz":1}"""u8.ToArray())).Problem.Detail
            .Split("known are ")[1].TrimEnd('.').Split(", ").ShouldBe([.. properties.Select(property => property.Key)], ignoreOrder: true);

        static void Read(string name, double value) => ExecuteRequestReader.Read(
            System.Text.Encoding.UTF8.GetBytes($$"""{"agent_id":"a","code":"1","{{name}}":{{value.ToString(CultureInfo.InvariantCulture)}}}"""));
    }

    private static string[] Fields(JsonElement document, string schema) =>
        [.. document.GetProperty("components").GetProperty("schemas").GetProperty(schema).GetProperty("properties").EnumerateObject().Select(property => property.Name)];

    private static IEnumerable<string> References(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(property =>
            property.Name == "$ref" && property.Value.GetString()!.StartsWith("#/components/schemas/", StringComparison.Ordinal) ? [property.Value.GetString()!.Split('/')[^1]] : References(property.Value)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(References),
        _ => [],
    };
}
