using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Gateway.Egress;
using Rynxs.Gateway.Egress.Upstream;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;
using HostName = Rynxs.Policy.Egress.HostName;

namespace Rynxs.Gateway.Tests.Egress;

/// <summary>A gateway with one channel, real servers on loopback behind names that only its resolver knows, and clients that see the socket alone.</summary>
internal sealed class EgressHost : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly WebApplication _upstream;
    private readonly EgressGateway _gateway;

    private EgressHost(WebApplication upstream, EgressGateway gateway, RecordingLog log, TableResolver resolver)
    {
        (_upstream, _gateway, Log, Resolver) = (upstream, gateway, log, resolver);
        string[] addresses = [.. upstream.Urls];
        HttpPort = new Uri(addresses.First(url => url.StartsWith("http:", StringComparison.Ordinal))).Port;
        TlsPort = new Uri(addresses.First(url => url.StartsWith("https:", StringComparison.Ordinal))).Port;
        SocketPath = Path.Combine(_directory.Path, "out.sock");
        Channel = gateway.Open(new ChannelId("sb-1"), SocketPath, Allowing("allowed.test"), Limits);
    }

    public static EgressLimits Limits { get; } = new() { MaxFlowsPerSecond = 1_000 };

    public string SocketPath { get; }

    public EgressChannel Channel { get; }

    public EgressGateway Gateway => _gateway;

    public RecordingLog Log { get; }

    public TableResolver Resolver { get; }

    public int HttpPort { get; }

    public int TlsPort { get; }

    public static async Task<EgressHost> StartAsync(RequestDelegate? answer = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(SelfSigned()));
        });
        builder.WebHost.UseKestrelHttpsConfiguration();
        WebApplication upstream = builder.Build();
        upstream.Run(answer ?? (async context =>
            await context.Response.WriteAsync($"{context.Request.Method} {context.Request.Host.Host} {context.Request.Path}{context.Request.QueryString}", context.RequestAborted)));
        await upstream.StartAsync();
        RecordingLog log = new();
        TableResolver resolver = new();
        EgressGateway gateway = await EgressGateway.StartAsync(
            new EgressGatewayOptions { Log = log, Resolver = resolver, LoggerFactory = NullLoggerFactory.Instance }, CancellationToken.None);
        return new EgressHost(upstream, gateway, log, resolver);
    }

    /// <summary>A policy that lets one host out on any port of these tests; loopback is opened, since that is where the servers are.</summary>
    public static EgressPolicyModel Allowing(string host, params EgressProtocol[] protocols) => new()
    {
        Layers =
        [
            new EgressLayer("", [new EgressRule
            {
                Name = "test",
                Hosts = [HostPattern.TryParse(host, out HostPattern? pattern) ? pattern : throw new FormatException(host)],
                Ports = null,
                Protocols = protocols.Length > 0 ? protocols : [EgressProtocol.Http, EgressProtocol.Tls],
                Effect = RuleEffect.Allow,
            }]),
        ],
        OpenedAddresses = [AddressRange.TryParse("127.0.0.1", out AddressRange? loopback) ? loopback : throw new FormatException()],
    };

    /// <summary>The framework's HTTP client, with the channel as its proxy.</summary>
    public HttpClient Client() => new(new SocketsHttpHandler
    {
        Proxy = new WebProxy("http://gateway.invalid:3128"),
        ConnectCallback = async (_, cancellationToken) => new NetworkStream(await DialAsync(cancellationToken), ownsSocket: true),
        SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, _, _, _) => true },
    });

    public async Task<Socket> DialAsync(CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), cancellationToken);
        return socket;
    }

    /// <summary>Sends bytes and returns everything that is answered until the other side closes or <paramref name="enough"/> holds.</summary>
    public async Task<string> TalkAsync(byte[] request, Func<string, bool> enough)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        using Socket socket = await DialAsync(limit.Token);
        await socket.SendAsync(request, limit.Token);
        byte[] buffer = new byte[4096];
        string answer = "";
        while (!enough(answer))
        {
            int read = await socket.ReceiveAsync(buffer, limit.Token);
            if (read == 0)
            {
                break;
            }

            answer += System.Text.Encoding.Latin1.GetString(buffer, 0, read);
        }

        return answer;
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _upstream.DisposeAsync();
        _directory.Dispose();
    }

    private static X509Certificate2 SelfSigned()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=allowed.test", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(new DateTimeOffset(2020, 1, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2090, 1, 1, 0, 0, 0, TimeSpan.Zero));
    }
}

/// <summary>Keeps events, or fails, as told.</summary>
internal sealed class RecordingLog : IEgressLog
{
    private readonly ConcurrentQueue<EgressEvent> _events = [];
    private readonly SemaphoreSlim _written = new(0);

    public volatile bool Fails;

    public IReadOnlyList<EgressEvent> Events => [.. _events];

    public ValueTask WriteAsync(EgressEvent egressEvent, CancellationToken cancellationToken)
    {
        if (Fails)
        {
            throw new IOException("no space left");
        }

        _events.Enqueue(egressEvent);
        _written.Release();
        return default;
    }

    /// <summary>Waits for an event of a kind.</summary>
    public async Task<T> WaitForAsync<T>(Func<T, bool>? condition = null)
        where T : EgressEvent
    {
        while (true)
        {
            if (_events.OfType<T>().FirstOrDefault(condition ?? (_ => true)) is { } found)
            {
                return found;
            }

            (await _written.WaitAsync(TimeSpan.FromSeconds(20))).ShouldBeTrue($"no {typeof(T).Name} within 20 s; have: {string.Join("; ", _events)}");
        }
    }
}

/// <summary>Names of the tests. Every name is 127.0.0.1 unless the test says otherwise; each look-up is remembered.</summary>
internal sealed class TableResolver : INameResolver
{
    public ConcurrentDictionary<string, IReadOnlyList<IPAddress>> Table { get; } = [];

    /// <summary>Of every name that the table does not have.</summary>
    public IPAddress Default { get; init; } = IPAddress.Loopback;

    public ConcurrentQueue<string> Asked { get; } = [];

    public ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(HostName host, CancellationToken cancellationToken)
    {
        Asked.Enqueue(host.Text);
        return new(Table.GetValueOrDefault(host.Text, [Default]));
    }
}
