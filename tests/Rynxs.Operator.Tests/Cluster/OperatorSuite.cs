using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.Operator.Cluster;
using Rynxs.ResourceServer.Faults;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Operator.Tests.Cluster;

/// <summary>The operator against any API server: the same tests run on ours and on a real one.</summary>
public abstract class OperatorSuite(ITestCluster cluster)
{
    [Fact]
    public async Task A_new_agent_costs_at_most_ten_writes_and_then_none()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        int before = running.Writes.Count;

        await Client(api).CreateAsync(Agent(space, "my-agent"), Ct);
        await AgentAsync(api, space, "my-agent", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
        await running.QuietAsync();

        running.Writes.Skip(before).Count().ShouldBeLessThanOrEqualTo(10, string.Join("\n", running.Writes));
        foreach ((ApiResource kind, string name) in Expected("my-agent"))
        {
            KubeObject found = (await api.TryGetAsync(kind, space, name, Ct)).ShouldNotBeNull($"{kind} {name}");
            found.At("metadata", "ownerReferences")!.Value[0].GetProperty("kind").GetString().ShouldBe("Agent");
        }

        running.Events().Where(type => type is "AgentObserved" or "ActionsDecided" or "ActionApplied" or "ActionFailed" or "DriftObserved")
            .ShouldBe(["AgentObserved", "ActionsDecided", "ActionApplied", "ActionApplied", "ActionApplied", "ActionApplied"]);

        int steady = running.Requests.Count;
        await Task.Delay(1500, Ct);
        running.Requests.Count.ShouldBe(steady, "nothing is asked while nothing changes");
    }

    [Fact]
    public async Task The_pod_is_restricted_and_has_no_token()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();

        // The namespace refuses every pod that is not restricted; a pod made from the template is tried.
        await api.PatchAsync(
            ApiResources.Namespaces, "", space, PatchKind.Merge,
            new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["pod-security.kubernetes.io/enforce"] = "restricted" } } }, null, false, Ct);
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
        KubeObject runtime = (await api.TryGetAsync(ApiResources.StatefulSets, space, "a", Ct)).ShouldNotBeNull();
        JsonNode template = JsonNode.Parse(runtime.At("spec", "template")!.Value.GetRawText())!;
        JsonObject Pod(string name, JsonNode spec) => new()
        {
            ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = space }, ["spec"] = spec,
        };

        await api.CreateAsync(ApiResources.Pods, space, Pod("as-made", template["spec"]!.DeepClone()), Ct);
        template["spec"]!["automountServiceAccountToken"]!.GetValue<bool>().ShouldBeFalse();
        (await api.TryGetAsync(ApiResources.ServiceAccounts, space, "a", Ct))!.At("automountServiceAccountToken")!.Value.GetBoolean().ShouldBeFalse();
        if (cluster.Faults is null)
        {
            // Positive control, where Pod Security admission is: the same pod without its security context is refused.
            JsonNode open = template["spec"]!.DeepClone();
            open.AsObject().Remove("securityContext");
            (await Should.ThrowAsync<KubernetesException>(() => api.CreateAsync(ApiResources.Pods, space, Pod("open", open), Ct))).Failure.ShouldBe(KubernetesFailure.Forbidden);
        }
    }

    [Fact]
    public async Task A_touch_of_metadata_appends_and_writes_nothing()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
        await running.QuietAsync();
        int events = running.Events().Count, writes = running.Writes.Count;

        await Client(api).MergePatchAsync<AgentResource>(new NamespacedName(space, "a"), JsonElement.Parse("""{"metadata":{"annotations":{"touched":"yes"}}}"""), null, Ct);
        await running.QuietAsync();

        running.Events().Count.ShouldBe(events);
        running.Writes.Count.ShouldBe(writes);
    }

    [Fact]
    public async Task What_others_change_or_remove_is_recorded_and_put_right()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client(options => options with { FieldManager = "somebody" });
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
        await running.QuietAsync();

        // A hole is cut into the policy, and the configuration is thrown away.
        await api.PatchAsync(
            ApiResources.NetworkPolicies, space, "a-agent", PatchKind.Merge, new JsonObject { ["spec"] = new JsonObject { ["egress"] = new JsonArray(new JsonObject()) } }, null, false, Ct);
        await EventuallyAsync(async () => await EgressAsync(api, space) == 0, "the hole is closed");
        await api.DeleteAsync(ApiResources.ConfigMaps, space, "a-spec", new DeleteTerms(), Ct);
        await EventuallyAsync(async () => await api.TryGetAsync(ApiResources.ConfigMaps, space, "a-spec", Ct) is not null, "the configuration is back");
        await running.QuietAsync();

        running.Events().Count(type => type == "DriftObserved").ShouldBe(2);
        running.Events().Count(type => type == "AgentObserved").ShouldBe(1);
    }

    [Fact]
    public async Task A_permission_that_is_taken_away_is_gone_from_the_policy()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a") with { Spec = new AgentSpec { Role = "manager", Network = new NetworkSpec { AllowEgressTo = ["198.51.100.7:443"] } } }, Ct);
        await EventuallyAsync(async () => await EgressAsync(api, space) > 0, "the endpoint is open");

        await Client(api).MergePatchAsync<AgentResource>(
            new NamespacedName(space, "a"), JsonElement.Parse("""{"spec":{"role":"worker","network":{"allowEgressTo":[]}}}"""), null, Ct);

        await EventuallyAsync(async () => await EgressAsync(api, space) == 0, "the endpoint is closed");
    }

    [Fact]
    public async Task An_object_of_somebody_else_is_not_touched()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        KubeObject theirs = await api.CreateAsync(ApiResources.ConfigMaps, space, ConfigMap(space, "a-spec"), Ct);
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a"), Ct);

        AgentResource refused = await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "object_not_ours") == true);

        refused.Status!.Phase.ShouldNotBe("Running");
        (await api.TryGetAsync(ApiResources.ConfigMaps, space, "a-spec", Ct))!.ResourceVersion.ShouldBe(theirs.ResourceVersion);
        await api.DeleteAsync(ApiResources.ConfigMaps, space, "a-spec", new DeleteTerms(), Ct);
        await EventuallyAsync(async () => await api.TryGetAsync(ApiResources.StatefulSets, space, "a", Ct) is not null, "the failure heals");
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
    }

    [Fact]
    public async Task A_deleted_agent_goes_when_its_pod_is_gone()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);

        await Client(api).DeleteAsync<AgentResource>(new NamespacedName(space, "a"), null, Ct);

        await EventuallyAsync(async () => await Client(api).TryGetAsync<AgentResource>(new NamespacedName(space, "a"), Ct) is null, "the agent is gone");
        (await api.TryGetAsync(ApiResources.StatefulSets, space, "a", Ct)).ShouldBeNull();
        if (cluster.Faults is not null)
        {
            // Ours collects what has no owner left; on a bare kube-apiserver the controller manager that does so is not running.
            foreach ((ApiResource kind, string name) in Expected("a"))
            {
                await EventuallyAsync(async () => await api.TryGetAsync(kind, space, name, Ct) is null, $"no orphan: {kind} {name}");
            }
        }
    }

    [Fact]
    public async Task Status_follows_the_pod_and_a_signature_that_cannot_be_checked_refuses_the_agent()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await Client(api).CreateAsync(Agent(space, "signed") with { Spec = new AgentSpec { Image = new ImageReference { Repository = "python", Verify = true } } }, Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
        KubeObject runtime = (await api.TryGetAsync(ApiResources.StatefulSets, space, "a", Ct)).ShouldNotBeNull();

        await api.PatchAsync(
            ApiResources.StatefulSets, space, "a", PatchKind.Merge,
            new JsonObject { ["status"] = new JsonObject { ["replicas"] = 1, ["readyReplicas"] = 1, ["observedGeneration"] = runtime.At("metadata", "generation")!.Value.GetInt64() } },
            "status", false, Ct);

        await AgentAsync(api, space, "a", agent => agent.Status?.Phase == "Running");
        await AgentAsync(api, space, "signed", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "signature_not_checked") == true);
        (await api.TryGetAsync(ApiResources.StatefulSets, space, "signed", Ct)).ShouldBeNull();
    }

    [Fact]
    public async Task Another_term_does_nothing_again()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using (RunningOperator first = await RunningOperator.StartAsync(cluster, space))
        {
            await Client(api).CreateAsync(Agent(space, "a"), Ct);
            await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
            await first.QuietAsync();
        }

        // With an empty ledger even: it observes and decides anew, and finds everything as it should be.
        await using RunningOperator second = await RunningOperator.StartAsync(cluster, space);
        await second.QuietAsync();

        second.Writes.ShouldBeEmpty();
        second.Events().ShouldContain("LeadershipAcquired");
    }

    protected static async Task EventuallyAsync(Func<Task<bool>> condition, string what)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await condition())
        {
            limit.IsCancellationRequested.ShouldBeFalse($"never: {what}");
            await Task.Delay(50, Ct);
        }
    }

    protected static async Task<AgentResource> AgentAsync(KubernetesApi api, string space, string name, Func<AgentResource, bool> condition)
    {
        AgentResource? agent = null;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while ((agent = await Client(api).TryGetAsync<AgentResource>(new NamespacedName(space, name), Ct)) is null || !condition(agent))
        {
            limit.IsCancellationRequested.ShouldBeFalse($"agent {name} is not as expected: {string.Join("; ", agent?.Status?.Conditions ?? [])}");
            await Task.Delay(50, Ct);
        }

        return agent;
    }

    /// <summary>Rules that open something for agent a; -1 when it has no policy.</summary>
    private static async Task<int> EgressAsync(KubernetesApi api, string space) =>
        await api.TryGetAsync(ApiResources.NetworkPolicies, space, "a-agent", Ct) is { } policy ? policy.At("spec", "egress")?.GetArrayLength() ?? 0 : -1;

    protected static KubernetesResourceClient Client(KubernetesApi api) => new(api);

    protected static AgentResource Agent(string space, string name) => new() { Metadata = new ObjectMeta { Name = name, Namespace = space } };

    protected void Require() => Assert.SkipUnless(cluster.Missing is null, cluster.Missing ?? "");

    private static (ApiResource Kind, string Name)[] Expected(string agent) =>
    [
        (ApiResources.PersistentVolumeClaims, $"{agent}-workspace"), (ApiResources.ServiceAccounts, agent), (ApiResources.ConfigMaps, $"{agent}-spec"),
        (ApiResources.NetworkPolicies, $"{agent}-agent"), (ApiResources.NetworkPolicies, $"{agent}-sandbox"), (ApiResources.Services, agent), (ApiResources.StatefulSets, agent),
    ];
}

public sealed class OperatorOnOurServerTests(OurCluster cluster) : OperatorSuite(cluster)
{
    [Fact]
    public async Task A_server_that_conflicts_and_turns_away_delays_an_agent_and_loses_nothing()
    {
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        await using RunningOperator running = await RunningOperator.StartAsync(cluster, space);
        using FaultRule conflicts = cluster.Injector.Add(new FaultMatch { Namespace = space, Plural = "agents", Verb = "patch", Subresource = "" }, new Fault.Conflict(), times: 2);
        using FaultRule busy = cluster.Injector.Add(new FaultMatch { Namespace = space, Plural = "services" }, new Fault.Refuse(429), times: 3);
        using FaultRule broken = cluster.Injector.Add(new FaultMatch { Namespace = space, Plural = "networkpolicies", Verb = "patch" }, new Fault.DropAnswer(), times: 1);

        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);

        (await api.TryGetAsync(ApiResources.StatefulSets, space, "a", Ct)).ShouldNotBeNull();
        conflicts.Hits.ShouldBe(2);
    }
}

public sealed class OperatorOnRealServerTests(RealCluster cluster) : OperatorSuite(cluster)
{
    [Fact]
    public async Task The_rules_of_the_chart_are_enough_for_all_that_an_agent_needs()
    {
        Require();
        string space = await cluster.NamespaceAsync();
        using KubernetesApi api = cluster.Client();
        JsonObject Named(string apiVersion, string kind, string name) => new()
        {
            ["apiVersion"] = apiVersion, ["kind"] = kind, ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = space },
        };
        await api.CreateAsync(ApiResources.ServiceAccounts, space, Named("v1", "ServiceAccount", "operator"), Ct);
        JsonObject role = Named("rbac.authorization.k8s.io/v1", "Role", "operator");
        role["rules"] = new JsonArray([.. OperatorPermissions.Cluster.Concat(OperatorPermissions.Lease).Select(rule => new JsonObject
        {
            ["apiGroups"] = new JsonArray(rule.Group), ["resources"] = new JsonArray(rule.Resource), ["verbs"] = new JsonArray([.. rule.Verbs.Select(verb => (JsonNode)verb)]),
        })]);
        await api.CreateAsync(new ApiResource("rbac.authorization.k8s.io", "v1", "roles", "Role"), space, role, Ct);
        JsonObject binding = Named("rbac.authorization.k8s.io/v1", "RoleBinding", "operator");
        binding["roleRef"] = new JsonObject { ["apiGroup"] = "rbac.authorization.k8s.io", ["kind"] = "Role", ["name"] = "operator" };
        binding["subjects"] = new JsonArray(new JsonObject { ["kind"] = "ServiceAccount", ["name"] = "operator", ["namespace"] = space });
        await api.CreateAsync(new ApiResource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"), space, binding, Ct);
        (string token, _) = await api.RequestTokenAsync(space, "operator", [], TimeSpan.FromMinutes(10), Ct);

        await using RunningOperator running = await RunningOperator.StartAsync(
            cluster, space, connection: cluster.Connection with { Credential = new Rynxs.Kubernetes.Credentials.FixedCredential(token) });
        await Client(api).CreateAsync(Agent(space, "a"), Ct);
        await AgentAsync(api, space, "a", agent => agent.Status?.Conditions.Any(condition => condition.Reason == "PodNotReady") == true);
        await Client(api).DeleteAsync<AgentResource>(new NamespacedName(space, "a"), null, Ct);
        await EventuallyAsync(async () => await Client(api).TryGetAsync<AgentResource>(new NamespacedName(space, "a"), Ct) is null, "the agent is gone");

        running.Writes.ShouldNotBeEmpty();
    }
}
