using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Kinds;

/// <summary>The status that a new object of a built-in kind has: what kube-apiserver 1.36.2 answered to the same requests.</summary>
public sealed class BlankStatusTests
{
    private const string Pod = """{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}""";
    private const string Workload = """{"metadata":{"name":"x"},"spec":{"serviceName":"s","selector":{"matchLabels":{"a":"b"}},"template":""" + Pod + "}}";
    private const string Once = """{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}""";

    [Fact]
    public async Task Each_built_in_kind_has_from_the_beginning_what_clients_read_without_asking()
    {
        await using ApiServer server = await StartAsync();
        (string Path, string Body, string Status)[] created =
        [
            ("/apis/apps/v1/namespaces/default/daemonsets", Workload.Replace("\"serviceName\":\"s\",", "", StringComparison.Ordinal), """{"currentNumberScheduled":0,"desiredNumberScheduled":0,"numberMisscheduled":0,"numberReady":0}"""),
            ("/apis/apps/v1/namespaces/default/deployments", Workload.Replace("\"serviceName\":\"s\",", "", StringComparison.Ordinal), "{}"),
            ("/apis/apps/v1/namespaces/default/replicasets", Workload.Replace("\"serviceName\":\"s\",", "", StringComparison.Ordinal), """{"replicas":0}"""),
            ("/apis/apps/v1/namespaces/default/statefulsets", Workload, """{"availableReplicas":0,"replicas":0}"""),
            ("/apis/batch/v1/namespaces/default/jobs", """{"metadata":{"name":"x"},""" + Once[1..], "{}"),
            ("/apis/batch/v1/namespaces/default/cronjobs", """{"metadata":{"name":"x"},"spec":{"schedule":"* * * * *","jobTemplate":""" + Once + "}}", "{}"),
            ("/apis/policy/v1/namespaces/default/poddisruptionbudgets", """{"metadata":{"name":"x"},"spec":{"minAvailable":1}}""", """{"currentHealthy":0,"desiredHealthy":0,"disruptionsAllowed":0,"expectedPods":0}"""),
            ("/apis/networking.k8s.io/v1/namespaces/default/ingresses", """{"metadata":{"name":"x"},"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":1}}}}}""", """{"loadBalancer":{}}"""),
            ("/api/v1/namespaces/default/services", """{"metadata":{"name":"x"},"spec":{"ports":[{"port":1}]}}""", """{"loadBalancer":{}}"""),
            ("/api/v1/namespaces/default/persistentvolumeclaims", """{"metadata":{"name":"x"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}""", """{"phase":"Pending"}"""),
            ("/api/v1/namespaces/default/pods", """{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i"}]}}""", """{"phase":"Pending","qosClass":"BestEffort"}"""),
            ("/api/v1/namespaces/default/pods", """{"metadata":{"name":"y"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1000m"}}}]}}""", """{"phase":"Pending","qosClass":"Guaranteed"}"""),
            ("/api/v1/namespaces/default/pods", """{"metadata":{"name":"z"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"1"}}},{"name":"d","image":"i"}]}}""", """{"phase":"Pending","qosClass":"Burstable"}"""),
            ("/api/v1/namespaces", """{"metadata":{"name":"x"}}""", """{"phase":"Active"}"""),
        ];
        List<string> differences = [];
        foreach ((string path, string body, string expected) in created)
        {
            JsonObject answer = await server.JsonAsync("POST", path, body, 201);
            if (!JsonNode.DeepEquals(answer["status"], JsonNode.Parse(expected)))
                differences.Add($"{path}: {expected} became {answer["status"]?.ToJsonString()}");
        }

        differences.ShouldBeEmpty();
    }
}
