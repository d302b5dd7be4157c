using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Objects;

/// <summary>Custom kinds in several versions (conversion None). What is expected here was seen on kube-apiserver 1.36.2.</summary>
public sealed class VersionTests
{
    private const string Definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    private const string Root = "/apis/example.com";

    [Fact]
    public async Task Each_version_shows_and_takes_the_fields_that_it_knows_and_the_version_of_the_storage_keeps_those_that_it_knows()
    {
        await using ApiServer server = await StartAsync();
        await server.JsonAsync("POST", Definitions, Definition(storage: "v1"), 201);
        await server.JsonAsync("POST", $"{Root}/v1/gadgets", """{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"g"},"spec":{"size":1,"old":"x"}}""", 201);

        Spec(await server.JsonAsync("GET", $"{Root}/v1/gadgets/g")).ShouldBe("""{"size":1,"old":"x"}""");
        JsonObject second = await server.JsonAsync("GET", $"{Root}/v2/gadgets/g");
        ((string?)second["apiVersion"]).ShouldBe("example.com/v2");
        Spec(second).ShouldBe("""{"size":1}""");
        Spec((await server.JsonAsync("GET", $"{Root}/v2/gadgets"))["items"]![0]!.AsObject()).ShouldBe("""{"size":1}""");
        string watched = await server.Client.GetStringAsync($"{Root}/v2/gadgets?watch=1&timeoutSeconds=1", Ct);
        watched.ShouldContain("example.com/v2");
        watched.ShouldNotContain("\"old\":\"x\"");

        // A change through v2 has lost what v2 does not know.
        await server.JsonAsync("PATCH", $"{Root}/v2/gadgets/g", """{"spec":{"size":2}}""", contentType: "application/merge-patch+json");
        Spec(await server.JsonAsync("GET", $"{Root}/v1/gadgets/g")).ShouldBe("""{"size":2}""");
        // And what the version of the storage does not know is not kept: not even in the answer.
        JsonObject applied = await server.JsonAsync("PATCH", $"{Root}/v2/gadgets/g?fieldManager=m&force=true",
            """{"apiVersion":"example.com/v2","kind":"Gadget","metadata":{"name":"g"},"spec":{"color":"blue"}}""", contentType: "application/apply-patch+yaml");
        Spec(applied).ShouldBe("""{"size":2}""");
        JsonObject made = await server.JsonAsync("POST", $"{Root}/v2/gadgets", """{"apiVersion":"example.com/v2","kind":"Gadget","metadata":{"name":"h"},"spec":{"size":3,"color":"blue"}}""", 201);
        ((string?)made["apiVersion"]).ShouldBe("example.com/v2");
        Spec(made).ShouldBe("""{"size":3}""");

        JsonObject discovered = await server.JsonAsync("GET", Root);
        ((string?)discovered["preferredVersion"]!["version"]).ShouldBe("v2");
        await server.JsonAsync("DELETE", $"{Root}/v2/gadgets/g");
        await server.JsonAsync("GET", $"{Root}/v1/gadgets/g", expected: 404);
    }

    [Fact]
    public async Task The_version_of_the_storage_can_change_and_is_remembered_until_someone_says_that_nothing_is_stored_in_it()
    {
        await using ApiServer server = await StartAsync();
        await server.JsonAsync("POST", Definitions, Definition(storage: "v1"), 201);
        await server.JsonAsync("POST", $"{Root}/v1/gadgets", """{"apiVersion":"example.com/v1","kind":"Gadget","metadata":{"name":"g"},"spec":{"size":1,"old":"x"}}""", 201);
        JsonObject live = await server.JsonAsync("GET", $"{Definitions}/gadgets.example.com");
        JsonObject next = JsonNode.Parse(Definition(storage: "v2"))!.AsObject();
        next["metadata"] = live["metadata"]!.DeepClone();

        await server.JsonAsync("PUT", $"{Definitions}/gadgets.example.com", next.ToJsonString());

        (await server.JsonAsync("GET", $"{Definitions}/gadgets.example.com"))["status"]!["storedVersions"]!.ToJsonString().ShouldBe("""["v1","v2"]""");
        Spec(await server.JsonAsync("GET", $"{Root}/v1/gadgets/g")).ShouldBe("""{"size":1,"old":"x"}""", "stored before, in v1");
        await server.JsonAsync("PATCH", $"{Root}/v2/gadgets/g", """{"spec":{"color":"blue"}}""", contentType: "application/merge-patch+json");
        Spec(await server.JsonAsync("GET", $"{Root}/v2/gadgets/g")).ShouldBe("""{"size":1,"color":"blue"}""");
        Spec(await server.JsonAsync("GET", $"{Root}/v1/gadgets/g")).ShouldBe("""{"size":1}""");

        // v1 cannot go while something may be stored in it.
        live = await server.JsonAsync("GET", $"{Definitions}/gadgets.example.com");
        live["spec"]!["versions"]!.AsArray().RemoveAt(0);
        JsonObject refused = await server.JsonAsync("PUT", $"{Definitions}/gadgets.example.com", live.ToJsonString(), 422);
        ((string?)refused["message"]).ShouldNotBeNull().ShouldContain("status.storedVersions");
    }

    [Fact]
    public async Task Webhooks_of_conversion_and_of_admission_are_refused_in_words_and_nothing_is_stored()
    {
        await using ApiServer server = await StartAsync();
        JsonObject definition = JsonNode.Parse(Definition(storage: "v1"))!.AsObject();
        definition["spec"]!["conversion"] = JsonNode.Parse(
            """{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"url":"https://example.com/convert"}}}""");
        JsonObject refused = await server.JsonAsync("POST", Definitions, definition.ToJsonString(), 422);
        ((string?)refused["message"]).ShouldNotBeNull().ShouldContain("this server converts by strategy None alone");
        await server.JsonAsync("GET", $"{Definitions}/gadgets.example.com", expected: 404);

        foreach (string plural in (string[])["validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies"])
        {
            JsonObject none = await server.JsonAsync("POST", $"/apis/admissionregistration.k8s.io/v1/{plural}", """{"metadata":{"name":"x"}}""", 404);
            ((string?)none["message"]).ShouldNotBeNull().ShouldContain("calls no admission webhooks");
        }

        definition["spec"]!["conversion"] = new JsonObject { ["strategy"] = "None" };
        await server.JsonAsync("POST", Definitions, definition.ToJsonString(), 201); // positive control
    }

    private static string Spec(JsonObject document) => document["spec"]!.ToJsonString();

    private static string Definition(string storage) => $$$$$$$$"""
        {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"gadgets.example.com"},"spec":{"group":"example.com","scope":"Cluster",
        "names":{"plural":"gadgets","kind":"Gadget"},"versions":[
        {"name":"v1","served":true,"storage":{{{{{{{{(storage == "v1" ? "true" : "false")}}}}}}}},"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"},"old":{"type":"string"}}}}}}},
        {"name":"v2","served":true,"storage":{{{{{{{{(storage == "v2" ? "true" : "false")}}}}}}}},"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"},"color":{"type":"string"}}}}}}}]}}
        """;
}
