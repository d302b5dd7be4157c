using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Operator.Cluster;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Tests.Network;

/// <summary>Who reaches whom under the policies that the operator makes, pair by pair (G4, C14 to C16 as far as policies go).</summary>
public sealed class ReachabilityTests
{
    private static readonly ClusterOptions Options = new()
    {
        AgentImage = "rynxs:test",
        Gateway = new ClusterPeer("rynxs-system", new Dictionary<string, string> { ["app.kubernetes.io/component"] = "gateway" }, 8003),
        Ledger = new ClusterPeer("rynxs-system", new Dictionary<string, string> { ["app.kubernetes.io/component"] = "ledger" }, 8004),
        ProtectedRanges = ["10.96.0.1/32", "192.0.2.10/32"],
    };

    private static readonly Party Internet = new("internet", "93.184.216.34");
    private static readonly Party Allowed = new("allow-listed endpoint", "198.51.100.7");
    private static readonly Party Model = new("model", "203.0.113.5");
    private static readonly Party ApiServer = new("API server", "192.0.2.10");
    private static readonly Party ApiService = new("API service", "10.96.0.1");
    private static readonly Party Metadata = new("cloud metadata", "169.254.169.254");
    private static readonly Party Resolver = Pod("resolver", "10.0.0.10", "kube-system", ("k8s-app", "kube-dns"));
    private static readonly Party Gateway = Pod("gateway", "10.0.0.11", "rynxs-system", ("app.kubernetes.io/component", "gateway"));
    private static readonly Party Ledger = Pod("ledger", "10.0.0.12", "rynxs-system", ("app.kubernetes.io/component", "ledger"));
    private static readonly Party Operator = Pod("operator", "10.0.0.13", "rynxs-system", ("app.kubernetes.io/component", "operator"));

    private readonly Party _agent = Agent("tenant-a", "one", "10.0.1.1");
    private readonly Party _sandbox = Sandbox("tenant-a", "one", "10.0.1.2");
    private readonly Party _peer = Agent("tenant-a", "two", "10.0.1.3");
    private readonly Party _stranger = Agent("tenant-b", "one", "10.0.2.1");

    [Fact]
    public void The_matrix_of_agents_and_sandboxes_is_closed_but_for_what_is_named()
    {
        PolicyEvaluator network = Policies(
            Spec("tenant-a", "one", new AgentSpec { Network = new NetworkSpec { AllowEgressTo = ["198.51.100.7:443", "example.com"] }, Provider = Provider }),
            Spec("tenant-a", "two", new AgentSpec()),
            Spec("tenant-b", "one", new AgentSpec()));
        (Party From, Party To, int Port, bool Reaches)[] matrix =
        [
            (_agent, Internet, 443, false), (_agent, Allowed, 443, true), (_agent, Allowed, 22, false), (_agent, Model, 8000, true), (_agent, Model, 22, false),
            (_agent, ApiServer, 6443, false), (_agent, ApiService, 443, false), (_agent, Metadata, 80, false),
            (_agent, Gateway, 8003, true), (_agent, Gateway, 22, false), (_agent, Ledger, 8004, true), (_agent, Operator, 8080, false),
            (_agent, Resolver, 53, true), (_agent, Resolver, 9153, false),
            (_agent, _peer, 8080, false), (_agent, _stranger, 8080, false), (_agent, _sandbox, 8080, false),
            (_sandbox, Internet, 443, false), (_sandbox, Allowed, 443, false), (_sandbox, Model, 8000, false), (_sandbox, ApiServer, 6443, false),
            (_sandbox, ApiService, 443, false), (_sandbox, Metadata, 80, false), (_sandbox, Gateway, 8003, true), (_sandbox, Ledger, 8004, false),
            (_sandbox, Resolver, 53, false), (_sandbox, _agent, 8080, false), (_sandbox, _peer, 8080, false), (_sandbox, _stranger, 8080, false),
            (_peer, Internet, 443, false), (_peer, Allowed, 443, false), (_peer, Model, 8000, false), (_peer, Gateway, 8003, false), (_peer, Ledger, 8004, true),
            (_peer, _agent, 8080, false), (_stranger, _agent, 8080, false), (_stranger, _sandbox, 8080, false),
            (Internet, _agent, 8080, false), (Internet, _sandbox, 8080, false), (Gateway, _agent, 8080, false), (Operator, _agent, 8080, false),
        ];

        foreach ((Party from, Party to, int port, bool reaches) in matrix)
        {
            network.Reaches(from, to, port).ShouldBe(reaches, $"{from.Namespace} {from.Name} to {to.Namespace} {to.Name}:{port}");
        }

        network.Reaches(_agent, Resolver, 53, "UDP").ShouldBeTrue();
        network.Reaches(_sandbox, Resolver, 53, "UDP").ShouldBeFalse("C14: no query carries anything out");
    }

    [Fact]
    public void Without_policies_everything_is_open_so_the_evaluator_sees_the_difference()
    {
        // Positive control.
        var open = new PolicyEvaluator([]);
        open.Reaches(_agent, Internet, 443).ShouldBeTrue();
        open.Reaches(_sandbox, ApiServer, 6443).ShouldBeTrue();
        open.Reaches(_stranger, _agent, 8080).ShouldBeTrue();
    }

    [Fact]
    public void The_originals_policies_closed_nothing_because_no_pod_had_their_label()
    {
        // The defect that these replace: a selector with a label that the pods do not carry.
        JsonObject policy = new()
        {
            ["metadata"] = new JsonObject { ["namespace"] = "tenant-a" },
            ["spec"] = AgentNetwork.Policy(new JsonObject { ["app"] = "universe-agent", ["agent"] = "one" }, []),
        };
        new PolicyEvaluator([policy]).Reaches(_agent, Internet, 443).ShouldBeTrue();
    }

    [Fact]
    public void The_selectors_are_labels_that_the_pods_really_get()
    {
        foreach (DesiredObject runtime in Spec("n", "a", new AgentSpec()).Where(desired => desired.Resource == ApiResources.StatefulSets))
        {
            JsonObject labels = runtime.Content["spec"]!["template"]!["metadata"]!["labels"]!.AsObject();
            foreach ((string key, JsonNode? value) in AgentObjects.Selector(AgentNames.App, "a"))
                ((string?)labels[key]).ShouldBe((string?)value);
        }
    }

    [Theory]
    [InlineData("worker")]
    [InlineData("manager")]
    [InlineData("director")]
    [InlineData("sandbox")]
    public void No_role_opens_anything(string role)
    {
        PolicyEvaluator network = Policies(Spec("tenant-a", "one", new AgentSpec { Role = role, Permissions = new AgentPermissions { CanAssignTasks = true } }));
        network.Reaches(_agent, Internet, 443).ShouldBeFalse();
        network.Reaches(_agent, ApiServer, 6443).ShouldBeFalse();
    }

    [Fact]
    public void What_is_taken_off_the_list_is_closed_again()
    {
        Policies(Spec("tenant-a", "one", new AgentSpec { Network = new NetworkSpec { AllowEgressTo = ["198.51.100.0/24"] } })).Reaches(_agent, Allowed, 443).ShouldBeTrue();
        Policies(Spec("tenant-a", "one", new AgentSpec())).Reaches(_agent, Allowed, 443).ShouldBeFalse();
    }

    [Theory]
    [InlineData("0.0.0.0/0")]
    [InlineData("128.0.0.0/1")]
    [InlineData("169.254.169.254")]
    [InlineData("192.0.2.10:6443")]
    [InlineData("192.0.2.0/24")]
    [InlineData("https://192.0.2.10:6443")]
    public void However_wide_the_list_the_api_server_and_the_metadata_service_stay_closed(string entry)
    {
        PolicyEvaluator network = Policies(Spec("tenant-a", "one", new AgentSpec { Network = new NetworkSpec { AllowEgressTo = [entry] } }));
        network.Reaches(_agent, ApiServer, 6443).ShouldBeFalse();
        network.Reaches(_agent, ApiService, 443).ShouldBeFalse();
        network.Reaches(_agent, Metadata, 80).ShouldBeFalse();
    }

    [Fact]
    public void Names_are_unreachable_without_a_gateway_and_the_policy_says_so()
    {
        IReadOnlyList<DesiredObject> objects = AgentObjects.Of(
            AgentOf("tenant-a", "one", new AgentSpec { Network = new NetworkSpec { AllowEgressTo = ["example.com", "*.example.org", "0x7f.1"] } }), Options with { Gateway = null });
        Policies(objects).Reaches(_agent, Internet, 443).ShouldBeFalse();
        ((string?)objects.Single(desired => desired.Name == "one-agent").Content["metadata"]!["annotations"]!["universe.ai/unreachable"]).ShouldBe("example.com,*.example.org,0x7f.1");
    }

    private static ProviderSpec Provider { get; } = new() { Kind = "openai", Model = "m", BaseUrl = "http://203.0.113.5:8000/v1" };

    private static AgentResource AgentOf(string space, string name, AgentSpec spec) =>
        new() { Metadata = new ObjectMeta { Name = name, Namespace = space, Uid = $"uid-{space}-{name}" }, Spec = spec };

    private static IReadOnlyList<DesiredObject> Spec(string space, string name, AgentSpec spec) => AgentObjects.Of(AgentOf(space, name, spec), Options);

    private static PolicyEvaluator Policies(params IReadOnlyList<DesiredObject>[] agents) =>
        new(agents.SelectMany(objects => objects).Where(desired => desired.Resource == ApiResources.NetworkPolicies).Select(desired => desired.Content));

    private static Party Agent(string space, string name, string address) => Pod(name, address, space, ("app", "universe-agent"), ("universe.ai/agent", name));

    private static Party Sandbox(string space, string name, string address) => Pod($"{name}'s sandbox", address, space, ("app", "universe-sandbox"), ("universe.ai/agent", name));

    private static Party Pod(string name, string address, string space, params (string Key, string Value)[] labels) =>
        new(name, address) { Namespace = space, Labels = labels.ToDictionary(label => label.Key, label => label.Value) };
}
