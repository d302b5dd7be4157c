using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Leases;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Ledger;
using Rynxs.Ledger.Remote;
using Rynxs.Operator.Cluster;
using Rynxs.Server.Hosting;
using Rynxs.Server.Logging;
using Rynxs.Server.Metrics;

namespace Rynxs.Server.OperatorRole;

/// <summary>The role <c>operator</c>: one replica of the cluster's operator, with its health and metrics.</summary>
/// <remarks>
/// <c>/livez</c> (also <c>/healthz</c>) says that the process answers, <c>/readyz</c> (also <c>/ready</c>) that it has seen the cluster and could lead, <c>/metrics</c>
/// is open as the cluster's policies let it be.
/// Stopping: the operator ends its term (bounded), gives up the lease, and then the port closes.
/// </remarks>
public sealed class OperatorRoleServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ClusterOperator _operator;
    private readonly PrometheusExporter _exporter;
    private readonly CancellationTokenSource _stop = new();

    private OperatorRoleServer(WebApplication application, ClusterOperator clusterOperator, PrometheusExporter exporter)
    {
        (_application, _operator, _exporter) = (application, clusterOperator, exporter);
        Url = new Uri(application.Urls.First());
        Completion = clusterOperator.RunAsync(_stop.Token);
    }

    /// <summary>Address of health and metrics with the port really bound.</summary>
    public Uri Url { get; }

    /// <summary>Ends when the operator has stopped; faulted where it cannot go on.</summary>
    public Task Completion { get; }

    /// <summary>Reads the connection and begins to work; returns when health answers.</summary>
    /// <exception cref="ServerStartException">An option is wrong, or the port is taken.</exception>
    public static async Task<OperatorRoleServer> StartAsync(OperatorRoleOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!ServerOptions.TryParseListen(options.Listen, out IPEndPoint? endpoint))
        {
            throw new ServerStartException(StartFailure.InvalidOptions, $"listen: '{options.Listen}' is not an address and a port.");
        }

        var cluster = new ClusterOptions
        {
            AgentImage = options.AgentImage, AgentRuntimeClass = options.AgentRuntimeClass, Namespace = options.WatchNamespace,
            Ledger = Peer(options.LedgerPods, "ledger pods"), Gateway = Peer(options.GatewayPods, "gateway pods"),
            ProtectedRanges = [.. options.ProtectedRanges.Select(Range)],
        };
        KubernetesConnection connection = Connect(options);
        WebApplication application = Build(options, endpoint);
        IMeterFactory meters = application.Services.GetRequiredService<IMeterFactory>();
        var exporter = new PrometheusExporter(meters);
        ClusterOperator? clusterOperator = null;
        try
        {
            clusterOperator = new ClusterOperator(new ClusterOperatorOptions
            {
                Api = new KubernetesApiOptions { Connection = connection, FieldManager = "rynxs-operator", TimeProvider = options.TimeProvider },
                Election = new LeaderElectionOptions
                {
                    Namespace = options.LeaseNamespace ?? connection.Namespace ?? "rynxs", Name = options.LeaseName,
                    Identity = $"{options.Identity}_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}",
                    LeaseDuration = options.LeaseDuration, RenewDeadline = options.RenewDeadline, RetryPeriod = options.RetryPeriod, TimeProvider = options.TimeProvider,
                },
                Cluster = cluster with { ProtectedRanges = [.. cluster.ProtectedRanges, .. await ServerAddressesAsync(connection, cancellationToken)] },
                OpenLedger = token => OpenLedgerAsync(options, token),
                Meters = meters,
                Loggers = application.Services.GetRequiredService<ILoggerFactory>(),
                TimeProvider = options.TimeProvider,
            });
            Map(application, clusterOperator, exporter);
            await application.StartAsync(cancellationToken);
            return new OperatorRoleServer(application, clusterOperator, exporter);
        }
        catch (Exception exception) when (exception is IOException or ArgumentException or KubernetesException or CredentialException)
        {
            exporter.Dispose();
            await application.DisposeAsync();
            if (clusterOperator is not null)
                await clusterOperator.DisposeAsync();
            throw exception switch
            {
                IOException => new ServerStartException(StartFailure.AddressUnavailable, $"listen: {options.Listen} cannot be bound: {exception.Message}", exception),
                ArgumentException => new ServerStartException(StartFailure.InvalidOptions, exception.Message, exception),
                _ => new ServerStartException(StartFailure.StateUnavailable, exception.Message, exception),
            };
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Completion.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        await _operator.DisposeAsync();
        await _application.StopAsync(CancellationToken.None); // Bounded by the host's own limit.
        await _application.DisposeAsync();
        _exporter.Dispose();
        _stop.Dispose();
    }

    private static ClusterPeer? Peer(string? text, string what)
    {
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        string[] parts = text.Split('/', 3);
        Dictionary<string, string> labels = [];
        foreach (string pair in parts.Length == 3 ? parts[2].Split(',', StringSplitOptions.RemoveEmptyEntries) : [])
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
                labels[pair[..equals]] = pair[(equals + 1)..];
        }

        // Without a label the peer would be every pod of the namespace.
        return parts.Length == 3 && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and < 65536 && labels.Count > 0
            ? new ClusterPeer(parts[0], labels, port)
            : throw new ServerStartException(StartFailure.InvalidOptions, $"{what}: '{text}' is not NAMESPACE/PORT/LABEL=VALUE,…");
    }

    private static string Range(string text) => IPNetwork.TryParse(text, out IPNetwork network)
        ? $"{network}" : throw new ServerStartException(StartFailure.InvalidOptions, $"protected range: '{text}' is not a block of addresses.");

    private static KubernetesConnection Connect(OperatorRoleOptions options)
    {
        try
        {
            return options.Kubeconfig is null && InClusterConnection.IsAvailable(Environment.GetEnvironmentVariable)
                ? InClusterConnection.Read(Environment.GetEnvironmentVariable, options.TimeProvider)
                : KubeconfigConnection.Read(KubeconfigConnection.Locations(options.Kubeconfig, Environment.GetEnvironmentVariable), options.Context, options.TimeProvider);
        }
        catch (CredentialException exception)
        {
            throw new ServerStartException(StartFailure.InvalidOptions, exception.Message, exception);
        }
    }

    /// <summary>The API server's own addresses, which no agent may reach: where this process reaches it, and those of the Service <c>kubernetes</c>.</summary>
    private static async Task<IReadOnlyList<string>> ServerAddressesAsync(KubernetesConnection connection, CancellationToken cancellationToken)
    {
        using var api = new KubernetesApi(new KubernetesApiOptions { Connection = connection });
        KubeObject? service = await api.TryGetAsync(ApiResources.Services, "default", "kubernetes", cancellationToken);
        KubeObject? endpoints = await api.TryGetAsync(new ApiResource("", "v1", "endpoints", "Endpoints"), "default", "kubernetes", cancellationToken);
        IEnumerable<string?> found =
        [
            connection.Server.Host.Trim('[', ']'),
            .. service?.At("spec", "clusterIPs")?.EnumerateArray().Select(address => address.GetString()) ?? [],
            .. endpoints?.At("subsets")?.EnumerateArray()
                .SelectMany(subset => subset.TryGetProperty("addresses", out var addresses) ? addresses.EnumerateArray().Select(address => address.GetProperty("ip").GetString()) : []) ?? [],
        ];
        return [.. found.Select(text => IPAddress.TryParse(text, out IPAddress? address) ? address : null).OfType<IPAddress>().Distinct()
            .Select(address => $"{address}/{(address.GetAddressBytes().Length * 8).ToString(CultureInfo.InvariantCulture)}")];
    }

    /// <summary>A ledger for one term, over a spool of its own: what an earlier term could not send belongs to that term, and is not sent under another's epoch.</summary>
    private static async Task<ILedger> OpenLedgerAsync(OperatorRoleOptions options, CancellationToken cancellationToken)
    {
        string spools = Path.Combine(options.WorkDirectory, "spools");
        if (Directory.Exists(spools))
        {
            Directory.Delete(spools, recursive: true);
        }

        return await RemoteLedger.OpenAsync(
            new RemoteLedgerOptions
            {
                Address = options.LedgerUrl, Token = () => File.ReadAllText(options.LedgerTokenFile).Trim(), Writer = options.Identity,
                SpoolDirectory = Path.Combine(spools, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))),
                MaxBackoff = TimeSpan.FromSeconds(1), TimeProvider = options.TimeProvider,
            },
            cancellationToken);
    }

    private static void Map(WebApplication application, ClusterOperator clusterOperator, PrometheusExporter exporter)
    {
        foreach (string path in (ReadOnlySpan<string>)["/livez", "/healthz"])
        {
            application.MapGet(path, () => Results.Text("ok"));
        }

        foreach (string path in (ReadOnlySpan<string>)["/readyz", "/ready"])
        {
            application.MapGet(path, () => clusterOperator.IsReady
                ? Results.Text(clusterOperator.IsLeader ? "leading" : "following")
                : Results.Text("the cluster was not seen yet", statusCode: StatusCodes.Status503ServiceUnavailable));
        }

        application.MapGet("/metrics", () => Results.Text(exporter.Write(), PrometheusExporter.ContentType));
    }

    private static WebApplication Build(OperatorRoleOptions options, IPEndPoint endpoint)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.AddProvider(new JsonLoggerProvider(options.LogWriter ?? Console.Error, options.LogLevel, options.TimeProvider));
        builder.Logging.SetMinimumLevel(options.LogLevel);
        builder.Services.AddRouting();
        builder.Services.AddMetrics();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 0;
            kestrel.Limits.MaxConcurrentConnections = 256;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Listen(endpoint);
        });
        WebApplication application = builder.Build();
        application.UseRouting();
        application.UseEndpoints(_ => { });
        return application;
    }
}
