using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Leases;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Tests.Kit;
using Rynxs.Ledger.Files;
using Rynxs.Operator.Cluster;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Operator.Tests.Cluster;

/// <summary>An operator for one namespace, with a ledger on disk, whose requests are counted.</summary>
internal sealed class RunningOperator : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<string> _requests = [];
    private ClusterOperator? _operator;
    private Task _running = Task.CompletedTask;

    private RunningOperator(string space) => Space = space;

    public string Space { get; }

    /// <summary>Requests so far, but for those about the lease: <c>METHOD path</c>.</summary>
    public IReadOnlyList<string> Requests => [.. _requests.Where(request => !request.Contains("/leases", StringComparison.Ordinal))];

    public IReadOnlyList<string> Writes => [.. Requests.Where(request => !request.StartsWith("GET ", StringComparison.Ordinal))];

    public static async Task<RunningOperator> StartAsync(
        ITestCluster cluster, string space, Func<ClusterOptions, ClusterOptions>? configure = null, KubernetesConnection? connection = null)
    {
        var running = new RunningOperator(space);
        ClusterOptions options = new() { AgentImage = "rynxs:test", Namespace = space, Workers = 4 };
        running._operator = new ClusterOperator(new ClusterOperatorOptions
        {
            Api = new KubernetesApiOptions { Connection = connection ?? cluster.Connection, FieldManager = "rynxs-operator", Wrap = inner => new Counting(inner, running._requests) },
            Election = new LeaderElectionOptions { Namespace = space, Name = "leader", Identity = "test", LeaseDuration = TimeSpan.FromSeconds(30), RenewDeadline = TimeSpan.FromSeconds(20) },
            Cluster = configure?.Invoke(options) ?? options,
            OpenLedger = async _ => await FileLedger.OpenAsync(new FileLedgerOptions { Directory = running._directory.At("ledger") }, CancellationToken.None),
            Meters = running._services.GetRequiredService<IMeterFactory>(),
            Loggers = NullLoggerFactory.Instance,
        });
        running._running = running._operator.RunAsync(running._stop.Token);
        await Eventually.TrueAsync(() => running._running.IsCompleted || running._operator.IsLeader, "leadership");
        return running;
    }

    /// <summary>Waits until nothing was asked of the server for a while.</summary>
    public async Task QuietAsync()
    {
        int before = -1;
        while (before != _requests.Count(request => !request.Contains("/leases", StringComparison.Ordinal)))
        {
            before = Requests.Count;
            await Task.Delay(600, Ct);
            if (_running.IsFaulted)
                await _running;
        }
    }

    /// <summary>The types of the control chain's records, read from its files beside the writer.</summary>
    public IReadOnlyList<string> Events()
    {
        List<string> types = [];
        foreach (string file in Directory.EnumerateFiles(_directory.At("ledger", "control")).Order(StringComparer.Ordinal))
        {
            foreach (string line in File.ReadLines(file).Where(line => line.StartsWith('{') && line.Contains("\"event\"", StringComparison.Ordinal)))
            {
                types.Add(System.Text.Json.JsonElement.Parse(line).GetProperty("event").GetProperty("type").GetString() ?? "");
            }
        }

        return types;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        foreach (string request in _requests)
        {
            Permitted.ShouldAllow(request);
        }

        if (_operator is not null)
            await _operator.DisposeAsync();
        await _services.DisposeAsync();
        _directory.Dispose();
        _stop.Dispose();
    }

    private sealed class Counting(HttpMessageHandler inner, ConcurrentQueue<string> requests) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            requests.Enqueue($"{request.Method} {request.RequestUri!.PathAndQuery}");
            return base.SendAsync(request, cancellationToken);
        }
    }
}
