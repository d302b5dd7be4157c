namespace Rynxs.Server.OperatorRole;

/// <summary>Settings of the role <c>operator</c>.</summary>
public sealed record OperatorRoleOptions
{
    /// <summary>Address and port of health and metrics, <c>0.0.0.0:8080</c> unless told: the kubelet and the scraper come from other addresses. Port 0 for a free one.</summary>
    public string Listen { get; init; } = "0.0.0.0:8080";

    /// <summary>Kubeconfig file; null in a pod, else KUBECONFIG or <c>~/.kube/config</c>.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>Context of the kubeconfig; null for the current one.</summary>
    public string? Context { get; init; }

    /// <summary>Name of the Lease.</summary>
    public string LeaseName { get; init; } = "rynxs-operator-leader";

    /// <summary>Namespace of the Lease; null for the pod's, or the context's.</summary>
    public string? LeaseNamespace { get; init; }

    /// <summary>Name of this replica, such as its pod's. A part that is new with each start is added.</summary>
    public required string Identity { get; init; }

    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(15);

    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Address of the role <c>ledger</c>.</summary>
    public required Uri LedgerUrl { get; init; }

    /// <summary>File with the token for it; read before each request.</summary>
    public required string LedgerTokenFile { get; init; }

    /// <summary>Directory for the spools of this replica's terms.</summary>
    public required string WorkDirectory { get; init; }

    /// <summary>Image of the agent role.</summary>
    public required string AgentImage { get; init; }

    /// <summary>RuntimeClass of agents' pods; null for the cluster's default.</summary>
    public string? AgentRuntimeClass { get; init; }

    /// <summary>The one namespace whose agents are kept; null for all.</summary>
    public string? WatchNamespace { get; init; }

    /// <summary>The ledger's pods, as <c>NAMESPACE/PORT/LABEL=VALUE,…</c>; null when agents reach none.</summary>
    public string? LedgerPods { get; init; }

    /// <summary>The gateway's pods, in the same form; null when there is none.</summary>
    public string? GatewayPods { get; init; }

    /// <summary>Blocks that no agent reaches, in CIDR form. The API server's own addresses are added.</summary>
    public IReadOnlyList<string> ProtectedRanges { get; init; } = [];

    /// <summary>Clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where log lines go; standard error when null.</summary>
    public TextWriter? LogWriter { get; init; }

    /// <summary>Least level that is logged.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;
}
