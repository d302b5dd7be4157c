using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Requests;

/// <summary>What the client does against any API server: the same tests run on ours and on a real one.</summary>
public abstract class ClientSuite(ITestCluster cluster)
{
    [Fact]
    public async Task Objects_are_created_read_replaced_and_deleted_with_failures_by_reason()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();

        KubeObject created = await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);
        (await Failure(() => api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct))).Failure.ShouldBe(KubernetesFailure.AlreadyExists);
        JsonObject changed = ConfigMap(space, "a", "2");
        changed["metadata"]!["resourceVersion"] = created.ResourceVersion;
        KubeObject replaced = await api.ReplaceAsync(ApiResources.ConfigMaps, space, "a", changed, subresource: null, Ct);
        replaced.TextAt("data", "key").ShouldBe("2");
        (await Failure(() => api.ReplaceAsync(ApiResources.ConfigMaps, space, "a", (JsonObject)changed.DeepClone(), subresource: null, Ct)))
            .Failure.ShouldBe(KubernetesFailure.Conflict);
        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct)).ShouldNotBeNull().ResourceVersion.ShouldBe(replaced.ResourceVersion);
        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "b", Ct)).ShouldBeNull();

        (await Failure(() => api.DeleteAsync(ApiResources.ConfigMaps, space, "a", new DeleteTerms { Uid = "00000000-0000-0000-0000-000000000000" }, Ct)))
            .Failure.ShouldBe(KubernetesFailure.Conflict);
        (await api.DeleteAsync(ApiResources.ConfigMaps, space, "a", new DeleteTerms { Uid = created.Uid }, Ct)).ShouldBeTrue();
        (await api.DeleteAsync(ApiResources.ConfigMaps, space, "a", new DeleteTerms(), Ct)).ShouldBeFalse();
    }

    [Fact]
    public async Task An_invalid_object_names_every_field()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        var agent = new JsonObject
        {
            ["apiVersion"] = "universe.ai/v1alpha1", ["kind"] = "Agent", ["metadata"] = new JsonObject { ["name"] = "a", ["namespace"] = space },
            ["spec"] = new JsonObject { ["role"] = "emperor", ["limits"] = new JsonObject { ["pids"] = 0 } },
        };

        KubernetesException refused = await Failure(() => api.CreateAsync(ApiResource.Of(ResourceTypes.Agent), space, agent, Ct));

        refused.Failure.ShouldBe(KubernetesFailure.Invalid);
        refused.Code.ShouldBe(422);
        // The real server adds one without a field where it could not run the rules.
        refused.Causes.Select(cause => cause.Field).Where(field => field != "<nil>").ShouldBe(["spec.role", "spec.limits.pids"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_list_is_read_page_by_page_and_each_object_comes_once()
    {
        Require();
        using KubernetesApi api = cluster.Client(options => options with { PageSize = 3 });
        string space = await cluster.NamespaceAsync();
        string[] names = [.. Enumerable.Range(0, 10).Select(i => $"c{i}")];
        foreach (string name in names)
        {
            await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, name), Ct);
        }

        KubeList list = await api.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct);

        list.Items.Select(item => item.Name).ShouldBe(names, ignoreOrder: true);
        list.ResourceVersion.ShouldNotBeEmpty();
    }

    [Fact]
    public async Task A_watch_tells_changes_in_order_from_the_version_of_the_list()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        KubeList list = await api.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct);
        await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);
        await api.PatchAsync(ApiResources.ConfigMaps, space, "a", PatchKind.Merge, new JsonObject { ["data"] = new JsonObject { ["key"] = "2" } }, null, false, Ct);
        await api.DeleteAsync(ApiResources.ConfigMaps, space, "a", new DeleteTerms(), Ct);

        List<(WatchEventType, string?)> seen = [];
        await foreach (KubeEvent change in api.WatchAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, list.ResourceVersion, Ct))
        {
            if (change.Type != WatchEventType.Bookmark)
                seen.Add((change.Type, change.Item.TextAt("data", "key")));
            if (seen.Count == 3)
                break;
        }

        seen.ShouldBe([(WatchEventType.Added, "1"), (WatchEventType.Modified, "2"), (WatchEventType.Deleted, "2")]);
    }

    [Fact]
    public async Task Applied_fields_belong_to_their_manager_until_another_forces_them_away()
    {
        Require();
        using KubernetesApi ours = cluster.Client(), other = cluster.Client(options => options with { FieldManager = "other" });
        string space = await cluster.NamespaceAsync();
        await ours.ApplyAsync(ApiResources.ConfigMaps, ConfigMap(space, "a"), force: false, Ct);

        (await Failure(() => other.ApplyAsync(ApiResources.ConfigMaps, ConfigMap(space, "a", "2"), force: false, Ct))).Failure.ShouldBe(KubernetesFailure.Conflict);
        KubeObject taken = await other.ApplyAsync(ApiResources.ConfigMaps, ConfigMap(space, "a", "2"), force: true, Ct);
        KubeObject again = await other.ApplyAsync(ApiResources.ConfigMaps, ConfigMap(space, "a", "2"), force: true, Ct);

        taken.TextAt("data", "key").ShouldBe("2");
        again.ResourceVersion.ShouldBe(taken.ResourceVersion, "an apply that changes nothing writes nothing");
    }

    [Fact]
    public async Task A_json_patch_with_a_test_that_fails_changes_nothing()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);
        JsonArray Patch(string expected) =>
        [
            new JsonObject { ["op"] = "test", ["path"] = "/data/key", ["value"] = expected },
            new JsonObject { ["op"] = "replace", ["path"] = "/data/key", ["value"] = "3" },
        ];

        await Failure(() => api.PatchAsync(ApiResources.ConfigMaps, space, "a", PatchKind.Json, Patch("wrong"), null, false, Ct));
        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct))!.TextAt("data", "key").ShouldBe("1");
        await api.PatchAsync(ApiResources.ConfigMaps, space, "a", PatchKind.Json, Patch("1"), null, false, Ct);
        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct))!.TextAt("data", "key").ShouldBe("3");
    }

    [Fact]
    public async Task The_resource_client_reads_and_writes_agents_and_their_status_apart()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        var client = new KubernetesResourceClient(api);
        ResourceList<AgentResource> before = await client.ListAsync<AgentResource>(new ResourceQuery { Namespace = space }, Ct);

        AgentResource created = await client.CreateAsync(new AgentResource { Metadata = new ObjectMeta { Name = "a", Namespace = space }, Spec = new AgentSpec { Role = "manager" } }, Ct);
        AgentResource reported = await client.UpdateStatusAsync(created with { Status = new AgentStatus { Phase = "Running", ObservedGeneration = 1 } }, Ct);
        AgentResource patched = await client.MergePatchAsync<AgentResource>(created.Id, JsonDocument.Parse("""{"spec":{"suspended":true}}""").RootElement, null, Ct);

        reported.Status.ShouldNotBeNull().Phase.ShouldBe("Running");
        patched.Spec.Suspended.ShouldBeTrue();
        patched.Status.ShouldNotBeNull().Phase.ShouldBe("Running");
        patched.Metadata.Generation.ShouldBe(created.Metadata.Generation + 1);
        (await Should.ThrowAsync<ResourceException>(() => client.CreateAsync(created with { Metadata = new ObjectMeta { Name = "a", Namespace = space } }, Ct)))
            .Reason.ShouldBe(ResourceErrorReason.AlreadyExists);
        (await Should.ThrowAsync<ResourceException>(() => client.UpdateAsync(created with { Spec = new AgentSpec { Role = "worker" } }, Ct)))
            .Reason.ShouldBe(ResourceErrorReason.Conflict);
        await foreach (WatchEvent<AgentResource> change in client.WatchAsync<AgentResource>(new ResourceQuery { Namespace = space }, before.ResourceVersion, Ct))
        {
            change.Type.ShouldBe(WatchEventType.Added);
            change.Resource.Spec.Role.ShouldBe("manager");
            break;
        }

        await client.DeleteAsync<AgentResource>(created.Id, resourceVersion: null, Ct);
        (await client.TryGetAsync<AgentResource>(created.Id, Ct)).ShouldBeNull();
        (await Should.ThrowAsync<ResourceException>(() => client.DeleteAsync<AgentResource>(created.Id, resourceVersion: null, Ct))).Reason.ShouldBe(ResourceErrorReason.NotFound);
    }

    [Fact]
    public async Task A_name_with_a_slash_reaches_no_other_path()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);

        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a", Ct)).ShouldNotBeNull(); // positive control
        (await api.TryGetAsync(ApiResources.ConfigMaps, "default", $"../../{space}/configmaps/a", Ct)).ShouldBeNull();
        Should.Throw<ArgumentException>(() => ApiResources.ConfigMaps.Path("..", "a"));
    }

    [Fact]
    public async Task A_write_that_may_not_be_made_any_more_never_reaches_the_wire()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        bool may = true;
        using KubernetesApi api = cluster.Client(options => options with { MayWrite = () => may });
        await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a"), Ct);
        may = false;

        (await Failure(() => api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "b"), Ct))).Failure.ShouldBe(KubernetesFailure.Refused);

        (await api.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct)).Items.Select(item => item.Name).ShouldBe(["a"]);
    }

    protected void Require() => Assert.SkipUnless(cluster.Missing is null, cluster.Missing ?? "");

    protected static async Task<KubernetesException> Failure(Func<Task> call) => await Should.ThrowAsync<KubernetesException>(call);
}

public sealed class ClientOnOurServerTests(OurCluster cluster) : ClientSuite(cluster);

public sealed class ClientOnRealServerTests(RealCluster cluster) : ClientSuite(cluster)
{
    [Fact]
    public async Task A_service_account_gets_a_token_and_access_is_reviewed()
    {
        Require();
        using KubernetesApi api = cluster.Client();
        string space = await cluster.NamespaceAsync();
        await api.CreateAsync(
            ApiResources.ServiceAccounts, space,
            new JsonObject { ["apiVersion"] = "v1", ["kind"] = "ServiceAccount", ["metadata"] = new JsonObject { ["name"] = "robot", ["namespace"] = space } }, Ct);

        (string token, DateTimeOffset expires) = await api.RequestTokenAsync(space, "robot", [], TimeSpan.FromMinutes(10), Ct);
        using KubernetesApi robot = cluster.Client(options => options with
        {
            Connection = options.Connection with { Credential = new Rynxs.Kubernetes.Credentials.FixedCredential(token) },
        });

        expires.ShouldBeGreaterThan(TimeProvider.System.GetUtcNow().AddMinutes(5));
        (await robot.MayAsync("create", ApiResources.Pods, null, space, Ct)).ShouldBeFalse();
        (await api.MayAsync("create", ApiResources.Pods, null, space, Ct)).ShouldBeTrue();
        (await Failure(() => robot.ListAsync(ApiResources.ConfigMaps, new ResourceQuery { Namespace = space }, Ct))).Failure.ShouldBe(KubernetesFailure.Forbidden);
    }
}
