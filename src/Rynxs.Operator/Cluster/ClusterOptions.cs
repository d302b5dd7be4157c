namespace Rynxs.Operator.Cluster;

/// <summary>Pods that are reached in the cluster: a namespace, labels of its pods, and a port.</summary>
/// <param name="Namespace">Namespace of the pods.</param>
/// <param name="Labels">All must be set on them.</param>
/// <param name="Port">TCP port of the pods themselves, not of a Service.</param>
public sealed record ClusterPeer(string Namespace, IReadOnlyDictionary<string, string> Labels, int Port);

/// <summary>What the objects of an agent are made from, beside its own spec.</summary>
public sealed record ClusterOptions
{
    /// <summary>Image of the agent role of our binary, by digest where it matters. It has <c>sh</c>, <c>tail</c> and <c>echo</c>.</summary>
    public required string AgentImage { get; init; }

    /// <summary>The one namespace whose agents this operator keeps; null for all.</summary>
    public string? Namespace { get; init; }

    /// <summary><c>IfNotPresent</c> (default), <c>Always</c> or <c>Never</c>.</summary>
    public string ImagePullPolicy { get; init; } = "IfNotPresent";

    /// <summary>RuntimeClass of agents' pods; null for the cluster's default. Agents run our own code: the sandbox of its tools is another pod.</summary>
    public string? AgentRuntimeClass { get; init; }

    /// <summary>The gateway, which alone reaches names outside; null when there is none, and then no name is reachable.</summary>
    public ClusterPeer? Gateway { get; init; }

    /// <summary>The role <c>ledger</c>, which agents append their audit to; null when there is none.</summary>
    public ClusterPeer? Ledger { get; init; }

    /// <summary>The cluster's resolver; both its ports 53.</summary>
    public ClusterPeer Resolver { get; init; } = new("kube-system", new Dictionary<string, string> { ["k8s-app"] = "kube-dns" }, 53);

    /// <summary>
    /// Blocks that no agent reaches whatever its list says: the API server's addresses above all. Link-local ones, where clouds keep their metadata
    /// service, are always among them.
    /// </summary>
    public IReadOnlyList<string> ProtectedRanges { get; init; } = [];

    /// <summary>CPU that an agent's pod reserves, and its limit.</summary>
    public string CpuRequest { get; init; } = "50m";

    public string CpuLimit { get; init; } = "1";

    /// <summary>Memory that an agent's pod reserves, and its limit.</summary>
    public string MemoryRequest { get; init; } = "96Mi";

    public string MemoryLimit { get; init; } = "256Mi";

    /// <summary>Agents that are worked on at once. Default 8.</summary>
    public int Workers { get; init; } = 8;
}
