using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.OpenApi;

namespace Rynxs.ResourceServer.Tests.OpenApi;

public sealed class OpenApiTests
{
    private static readonly OpenApiDocuments Documents = new([.. BuiltInKinds.All, .. UniverseKinds.All]);

    [Fact]
    public void Every_reference_leads_to_a_definition()
    {
        foreach ((string path, JsonNode? entry) in Index())
        {
            OpenApiDocument document = Documents.V3(path).ShouldNotBeNull();
            entry!["serverRelativeURL"]!.GetValue<string>().ShouldBe($"/openapi/v3/{path}?hash={document.Hash}"); // Every entry has one.
            JsonNode root = JsonNode.Parse(document.Json.Span)!;
            HashSet<string> defined = [.. root["components"]!["schemas"]!.AsObject().Select(pair => "#/components/schemas/" + pair.Key)];
            References(root).Except(defined).ShouldBeEmpty(path);
        }

        JsonNode swagger = JsonNode.Parse(Documents.V2.Span)!;
        References(swagger).Except(swagger["definitions"]!.AsObject().Select(pair => "#/definitions/" + pair.Key)).ShouldBeEmpty("v2");
    }

    [Fact]
    public void No_member_stands_twice_in_an_object()
    {
        // JsonNode refuses doubles when an object is first looked at, which References does for all of them.
        foreach ((string path, _) in Index())
            Should.NotThrow(() => References(JsonNode.Parse(Documents.V3(path)!.Json.Span)!).Count(), path);
        Should.NotThrow(() => References(JsonNode.Parse(Documents.V2.Span)!).Count());
    }

    [Fact]
    public void Kind_that_is_told_of_twice_is_written_once()
    {
        OpenApiDocuments doubled = new([.. UniverseKinds.All, .. UniverseKinds.All]);

        Should.NotThrow(() => References(JsonNode.Parse(doubled.V3("apis/universe.ai/v1alpha1")!.Json.Span)!).Count());
        Should.NotThrow(() => References(JsonNode.Parse(doubled.V2.Span)!).Count());
    }

    [Fact]
    public void Operation_ids_are_unique()
    {
        JsonNode swagger = JsonNode.Parse(Documents.V2.Span)!;

        swagger["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject()).Where(operation => operation.Value is JsonObject)
            .Select(operation => operation.Value!["operationId"]!.GetValue<string>()).ShouldBeUnique();
    }

    [Fact]
    public void Kubectl_finds_what_it_looks_for()
    {
        JsonNode root = JsonNode.Parse(Documents.V3("apis/universe.ai/v1alpha1")!.Json.Span)!;
        JsonNode agent = root["components"]!["schemas"]!["ai.universe.v1alpha1.Agent"]!;

        agent["x-kubernetes-group-version-kind"]![0]!.ToJsonString().ShouldBe("""{"group":"universe.ai","kind":"Agent","version":"v1alpha1"}""");
        agent["properties"]!["spec"]!["properties"]!["role"]!["description"]!.GetValue<string>().ShouldContain("worker");
        JsonNode patch = root["paths"]!["/apis/universe.ai/v1alpha1/namespaces/{namespace}/agents/{name}"]!["patch"]!;
        patch["parameters"]!.AsArray().Select(parameter => parameter!["name"]!.GetValue<string>()).ShouldContain("fieldValidation");
        patch["x-kubernetes-group-version-kind"]!["kind"]!.GetValue<string>().ShouldBe("Agent");

        JsonNode core = JsonNode.Parse(Documents.V3("api/v1")!.Json.Span)!;
        JsonNode containers = core["components"]!["schemas"]!["io.k8s.api.core.v1.PodSpec"]!["properties"]!["containers"]!;
        containers["x-kubernetes-patch-merge-key"]!.GetValue<string>().ShouldBe("name");
        containers["x-kubernetes-list-type"]!.GetValue<string>().ShouldBe("map");
        containers["items"]!["$ref"]!.GetValue<string>().ShouldBe("#/components/schemas/io.k8s.api.core.v1.Container");
    }

    [Fact]
    public void Unknown_group_has_no_document() => Documents.V3("apis/nothing/v1").ShouldBeNull();

    private static JsonObject Index() => JsonNode.Parse(Documents.V3Index.Span)!["paths"]!.AsObject();

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject map => map.SelectMany(pair => pair.Key == "$ref" && pair.Value is JsonValue value ? [value.GetValue<string>()] : References(pair.Value)),
        JsonArray list => list.SelectMany(References),
        _ => [],
    };
}
