using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;
using Rynxs.Policy.Rules;

namespace Rynxs.Gateway.Tests.Inference;

/// <summary>A gateway behind a real HTTP server whose every connection belongs to one agent, as a sandbox's socket does.</summary>
internal sealed class GatewayHost : IAsyncDisposable
{
    private readonly WebApplication _server;
    private readonly Meters _meters = new();
    private readonly TemporaryDirectory? _directory;

    private GatewayHost(WebApplication server, InferenceGateway gateway, MemoryLog log, TemporaryDirectory? directory, Uri url)
    {
        (_server, Gateway, Log, _directory, Url) = (server, gateway, log, directory, url);
        Client = new HttpClient { BaseAddress = url };
    }

    public InferenceGateway Gateway { get; }

    public MemoryLog Log { get; }

    public Uri Url { get; }

    public HttpClient Client { get; }

    public static GatewayCaller Caller { get; } = new() { Principal = "agent:ns/a", Namespace = "ns", Agent = "a", Team = "t", Universe = "u" };

    public static async Task<GatewayHost> StartAsync(
        InferencePolicyConfig? policy, string? spool = null, ReadSecret? secrets = null, TimeProvider? time = null, Func<string, GatewayCaller>? callers = null)
    {
        TemporaryDirectory? directory = spool is null ? new TemporaryDirectory() : null;
        MemoryLog log = new();
        HttpMessageInvoker http = new(new SocketsHttpHandler { AllowAutoRedirect = false });
        Meters meters = new();
        InferenceGateway gateway = InferenceGateway.Open(new InferenceGatewayOptions
        {
            SpoolDirectory = spool ?? directory!.At("spool"), // Made above when there is none.
            Log = log,
            Credentials = new CredentialSources(secrets ?? ((_, _) => ValueTask.FromResult<string?>(null)), null, null, http, time ?? TimeProvider.System),
            Meters = meters,
            TimeProvider = time ?? TimeProvider.System,
            LoggerFactory = NullLoggerFactory.Instance,
        });
        if (policy is not null)
        {
            gateway.Replace(Model(policy));
        }

        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        WebApplication server = builder.Build();
        server.Run(context => gateway.ServeAsync(context, callers?.Invoke(context.Connection.Id) ?? Caller));
        await server.StartAsync();
        string address = server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>().ShouldNotBeNull().Addresses.First();
        return new GatewayHost(server, gateway, log, directory, new Uri(address));
    }

    public static InferenceModel Model(params InferencePolicyConfig[] policies) =>
        new() { ByNamespace = new Dictionary<string, IReadOnlyList<InferencePolicyConfig>> { ["ns"] = policies } };

    public static InferencePolicyConfig Policy(Uri url, UpstreamKind kind = UpstreamKind.OpenAi, params BudgetLimit[] budgets) => Policy([("up", url, kind)], budgets);

    public static InferencePolicyConfig Policy((string Name, Uri Url, UpstreamKind Kind)[] upstreams, params BudgetLimit[] budgets) => new()
    {
        Policy = new InferencePolicyModel
        {
            Name = "ns/p",
            Digest = new string('a', 64),
            Agents = [new Glob("*")],
            Budgets = budgets,
            Models = new[]
            {
                new ModelRule
                {
                    Name = "m",
                    Routes = [.. upstreams.Select(upstream => new ModelRoute(upstream.Name, "real"))],
                    Endpoints = Enum.GetValues<InferenceEndpoint>().ToHashSet(),
                    MaxOutputTokens = 100,
                    Price = new TokenPrice(1_000_000_000, 2_000_000_000),
                },
            }.ToFrozenDictionary(model => model.Name),
        },
        Upstreams = upstreams.ToDictionary(upstream => upstream.Name, upstream => new UpstreamConfig
        {
            Name = upstream.Name,
            Kind = upstream.Kind,
            BaseUrl = upstream.Url,
            AnswerTimeout = TimeSpan.FromSeconds(20),
            IdleTimeout = TimeSpan.FromSeconds(20),
        }),
    };

    public static StringContent Body(string json) => new(json, Encoding.UTF8, "application/json");

    public static string Ask(string text = "hi", bool stream = false, string more = "") =>
        $$"""{"model":"m","messages":[{"role":"user","content":{{JsonValue.Create(text).ToJsonString()}}}]{{(stream ? ",\"stream\":true" : "")}}{{more}}}""";

    public Task<HttpResponseMessage> ChatAsync(string body, HttpCompletionOption option = HttpCompletionOption.ResponseContentRead, CancellationToken cancellationToken = default) =>
        Client.SendAsync(new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = Body(body) }, option, cancellationToken);

    /// <summary>What an account holds, when nothing is set aside in it any more.</summary>
    public async Task<Spend> SpentAsync(BudgetScope scope = BudgetScope.Agent)
    {
        await UntilAsync(() => Gateway.Budgets().All(entry => entry.Reserved == Spend.Zero));
        return Gateway.Budgets().Where(entry => entry.Account.Scope == scope).Select(entry => entry.Spent).FirstOrDefault();
    }

    public static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(30));
        while (!condition())
        {
            await Task.Delay(5, patience.Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server.StopAsync();
        await _server.DisposeAsync();
        await Gateway.DisposeAsync();
        _meters.Dispose();
        _directory?.Dispose();
    }
}

/// <summary>A ledger in memory.</summary>
internal sealed class MemoryLog : IInferenceLog
{
    public ConcurrentQueue<InferenceRecord> Records { get; } = [];

    public HashSet<string> Keys { get; } = [];

    public ValueTask WriteAsync(InferenceRecord record, string idempotencyKey, CancellationToken cancellationToken)
    {
        if (Keys.Add(idempotencyKey))
        {
            Records.Enqueue(record);
        }

        return ValueTask.CompletedTask;
    }

    public async Task<T> UntilAsync<T>()
        where T : InferenceRecord
    {
        await GatewayHost.UntilAsync(() => Records.OfType<T>().Any());
        return Records.OfType<T>().First();
    }
}

/// <summary>Meters that nobody reads.</summary>
internal sealed class Meters : IMeterFactory
{
    private readonly List<Meter> _meters = [];

    public Meter Create(MeterOptions options)
    {
        Meter meter = new(options);
        _meters.Add(meter);
        return meter;
    }

    public void Dispose() => _meters.ForEach(meter => meter.Dispose());
}
