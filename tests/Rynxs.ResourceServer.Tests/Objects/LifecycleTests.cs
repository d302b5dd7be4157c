using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Objects;

/// <summary>What the server does by itself: dependents, namespaces and definitions that go.</summary>
public sealed class LifecycleTests
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";

    [Fact]
    public async Task Dependents_go_after_their_last_owner()
    {
        await using ApiServer server = await StartAsync();
        string a = await MakeAsync(server, "a");
        string b = await MakeAsync(server, "b");
        await MakeAsync(server, "both", ("a", a, false), ("b", b, false));
        await MakeAsync(server, "child", ("a", a, false));
        await MakeAsync(server, "grandchild", ("child", await UidAsync(server, "child"), false));
        await MakeAsync(server, "stranger");

        await server.JsonAsync("DELETE", $"{Maps}/a");

        await GoneAsync(server, $"{Maps}/child");
        await GoneAsync(server, $"{Maps}/grandchild");
        (await server.JsonAsync("GET", $"{Maps}/both"))["metadata"]!["ownerReferences"]!.AsArray().Count.ShouldBe(1); // one owner is left
        await server.JsonAsync("DELETE", $"{Maps}/b");
        await GoneAsync(server, $"{Maps}/both");
        await server.JsonAsync("GET", $"{Maps}/stranger");
    }

    [Fact]
    public async Task Foreground_waits_for_the_dependents_that_block_and_orphan_lets_them_stay()
    {
        await using ApiServer server = await StartAsync();
        string owner = await MakeAsync(server, "owner");
        await server.JsonAsync("POST", Maps, Child("held", "owner", owner, finalizer: true), 201);

        JsonObject marked = await server.JsonAsync("DELETE", $"{Maps}/owner?propagationPolicy=Foreground");
        marked["metadata"]!["finalizers"]!.AsArray().Select(name => (string?)name).ShouldBe(["foregroundDeletion"]); // the answer is the object
        await EventuallyAsync(async () => (await server.JsonAsync("GET", $"{Maps}/held"))["metadata"]!["deletionTimestamp"] is not null);
        await server.JsonAsync("GET", $"{Maps}/owner"); // it waits
        await server.JsonAsync("PATCH", $"{Maps}/held", """{"metadata":{"finalizers":null}}""", contentType: "application/merge-patch+json");
        await GoneAsync(server, $"{Maps}/held");
        await GoneAsync(server, $"{Maps}/owner");

        string other = await MakeAsync(server, "other");
        await server.JsonAsync("POST", Maps, Child("stays", "other", other, finalizer: false), 201);
        await server.JsonAsync("DELETE", $"{Maps}/other?propagationPolicy=Orphan");
        await GoneAsync(server, $"{Maps}/other");
        (await server.JsonAsync("GET", $"{Maps}/stays"))["metadata"]!["ownerReferences"].ShouldBeNull();
    }

    [Fact]
    public async Task A_deleted_namespace_empties_itself_and_takes_nothing_new()
    {
        await using ApiServer server = await StartAsync();
        await server.JsonAsync("POST", "/api/v1/namespaces", """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}""", 201);
        await server.JsonAsync("POST", "/api/v1/namespaces/n/configmaps", """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}""", 201);
        await server.JsonAsync("POST", "/api/v1/namespaces/n/secrets", """{"apiVersion":"v1","kind":"Secret","metadata":{"name":"held","finalizers":["example.com/hold"]}}""", 201);

        JsonObject going = await server.JsonAsync("DELETE", "/api/v1/namespaces/n");

        ((string?)going["status"]!["phase"]).ShouldBe("Terminating");
        JsonObject refused = await server.JsonAsync("POST", "/api/v1/namespaces/n/configmaps", """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"}}""", 403);
        ((string?)refused["message"]).ShouldBe("configmaps \"d\" is forbidden: unable to create new content in namespace n because it is being terminated");
        await GoneAsync(server, "/api/v1/namespaces/n/configmaps/c");
        await server.JsonAsync("GET", "/api/v1/namespaces/n"); // a secret holds it
        await server.JsonAsync("PATCH", "/api/v1/namespaces/n/secrets/held", """{"metadata":{"finalizers":null}}""", contentType: "application/merge-patch+json");
        await GoneAsync(server, "/api/v1/namespaces/n");
        await server.JsonAsync("DELETE", "/api/v1/namespaces/default", expected: 403);
    }

    [Fact]
    public async Task What_holds_a_namespace_is_taken_from_it_by_finalize_alone()
    {
        await using ApiServer server = await StartAsync();
        const string Path = "/api/v1/namespaces/n";
        await server.JsonAsync("POST", "/api/v1/namespaces", """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}""", 201);
        await server.JsonAsync("POST", $"{Path}/secrets", """{"apiVersion":"v1","kind":"Secret","metadata":{"name":"held","finalizers":["example.com/hold"]}}""", 201);

        JsonObject patched = await server.JsonAsync("PATCH", Path, """{"spec":{"finalizers":null},"metadata":{"labels":{"a":"b"}}}""", contentType: "application/merge-patch+json");
        patched["spec"]!["finalizers"]!.AsArray().Count.ShouldBe(1);
        ((string?)patched["metadata"]!["labels"]!["a"]).ShouldBe("b");
        await server.JsonAsync("GET", $"{Path}/finalize", expected: 405);
        await server.JsonAsync("PATCH", $"{Path}/finalize", "{}", 405, "application/merge-patch+json");
        await server.JsonAsync("PUT", $"{Path}/secrets/held/finalize", "{}", 404);
        await server.JsonAsync("DELETE", Path);
        JsonObject going = await server.JsonAsync("GET", Path);

        // What an impatient administrator does: the namespace goes, whatever is in it.
        going["spec"] = new JsonObject();
        going["metadata"]!.AsObject().Remove("resourceVersion");
        JsonObject gone = await server.JsonAsync("PUT", $"{Path}/finalize", going.ToJsonString());

        ((string?)gone["status"]!["phase"]).ShouldBe("Terminating");
        await server.JsonAsync("GET", Path, expected: 404);
        (await server.JsonAsync("GET", "/api/v1"))["resources"]!.AsArray().Single(resource => (string?)resource!["name"] == "namespaces/finalize")!["verbs"]!.ToJsonString().ShouldBe("""["update"]""");
    }

    [Fact]
    public async Task A_definition_is_served_when_it_is_created_and_takes_its_objects_with_it_and_a_restart_keeps_it()
    {
        using TemporaryDirectory directory = new();
        await using (ApiServer server = await StartAsync(options => options with { Path = directory.At("objects.db") }))
        {
            await server.JsonAsync("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Definition, 201);
            await server.JsonAsync("POST", "/apis/example.com/v1/things", """{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"size":1}}""", 201);
            (await server.JsonAsync("GET", "/apis/example.com/v1"))["resources"]!.AsArray().Count.ShouldBe(1);
        }

        await using (ApiServer server = await StartAsync(options => options with { Path = directory.At("objects.db") }))
        {
            await server.JsonAsync("GET", "/apis/example.com/v1/things/t");
            await server.JsonAsync("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com");
            await GoneAsync(server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com");
            using HttpResponseMessage after = await server.SendAsync("GET", "/apis/example.com/v1/things/t");
            ((int)after.StatusCode).ShouldBe(404);
            // A new definition of the same name finds nothing of the old.
            await server.JsonAsync("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Definition, 201);
            (await server.JsonAsync("GET", "/apis/example.com/v1/things"))["items"]!.AsArray().ShouldBeEmpty();
        }
    }

    private const string Definition = """
        {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.example.com"},"spec":{"group":"example.com","scope":"Cluster",
        "names":{"plural":"things","singular":"thing","kind":"Thing","listKind":"ThingList"},"versions":[{"name":"v1","served":true,"storage":true,
        "schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"}}}}}}}]}}
        """;

    private static async Task<string> MakeAsync(ApiServer server, string name, params (string Name, string Uid, bool Blocks)[] owners)
    {
        JsonArray references = new([.. owners.Select(owner => new JsonObject { ["apiVersion"] = "v1", ["kind"] = "ConfigMap", ["name"] = owner.Name, ["uid"] = owner.Uid, ["blockOwnerDeletion"] = owner.Blocks })]);
        JsonObject body = new() { ["apiVersion"] = "v1", ["kind"] = "ConfigMap", ["metadata"] = new JsonObject { ["name"] = name, ["ownerReferences"] = references } };
        JsonObject made = await server.JsonAsync("POST", Maps, body.ToJsonString(), 201);
        return (string?)made["metadata"]!["uid"] ?? "";
    }

    private static string Child(string name, string owner, string uid, bool finalizer) => new JsonObject
    {
        ["apiVersion"] = "v1",
        ["kind"] = "ConfigMap",
        ["metadata"] = new JsonObject
        {
            ["name"] = name,
            ["finalizers"] = finalizer ? new JsonArray("example.com/hold") : new JsonArray(),
            ["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "v1", ["kind"] = "ConfigMap", ["name"] = owner, ["uid"] = uid, ["blockOwnerDeletion"] = true }),
        },
    }.ToJsonString();

    private static async Task<string> UidAsync(ApiServer server, string name) => (string?)(await server.JsonAsync("GET", $"{Maps}/{name}"))["metadata"]!["uid"] ?? "";

    private static Task GoneAsync(ApiServer server, string path) => EventuallyAsync(async () =>
    {
        using HttpResponseMessage response = await server.SendAsync("GET", path);
        return (int)response.StatusCode == 404;
    });

    /// <summary>Controllers work beside the requests: asked again until it is so, or for a generous time.</summary>
    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!await condition())
            await Task.Delay(20, patience.Token);
    }
}
