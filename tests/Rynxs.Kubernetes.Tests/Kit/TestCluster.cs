using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.ResourceServer.Faults;

namespace Rynxs.Kubernetes.Tests.Kit;

/// <summary>An API server to test against: ours with faults, or a real kube-apiserver.</summary>
public interface ITestCluster
{
    /// <summary>As an administrator, over TLS with the server's own authority.</summary>
    KubernetesConnection Connection { get; }

    /// <summary>Null on a real server.</summary>
    FaultInjector? Faults { get; }

    /// <summary>Why tests cannot run here; null when they can.</summary>
    string? Missing { get; }
}

internal static class TestClusters
{
    private static int _namespaces;

    public static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>A client; changes to its options are made by <paramref name="configure"/>.</summary>
    public static KubernetesApi Client(this ITestCluster cluster, Func<KubernetesApiOptions, KubernetesApiOptions>? configure = null)
    {
        KubernetesApiOptions options = new() { Connection = cluster.Connection };
        return new KubernetesApi(configure?.Invoke(options) ?? options);
    }

    /// <summary>A namespace of the test's own.</summary>
    public static async Task<string> NamespaceAsync(this ITestCluster cluster)
    {
        using KubernetesApi api = cluster.Client();
        string name = $"t{Environment.ProcessId}-{Interlocked.Increment(ref _namespaces)}";
        await api.CreateAsync(
            ApiResources.Namespaces, "", new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Namespace", ["metadata"] = new JsonObject { ["name"] = name } }, Ct);
        return name;
    }

    /// <summary>A ConfigMap with one value.</summary>
    public static JsonObject ConfigMap(string inNamespace, string name, string value = "1") => new()
    {
        ["apiVersion"] = "v1",
        ["kind"] = "ConfigMap",
        ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = inNamespace },
        ["data"] = new JsonObject { ["key"] = value },
    };
}

/// <summary>Waits for something that another task brings about: asked often, failing after a generous while.</summary>
internal static class Eventually
{
    public static async Task TrueAsync(Func<bool> condition, string what, int seconds = 30)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        while (!condition())
        {
            limit.IsCancellationRequested.ShouldBeFalse($"never: {what}");
            await Task.Delay(10, TestClusters.Ct);
        }
    }
}
