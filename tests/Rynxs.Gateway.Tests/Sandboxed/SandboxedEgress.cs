using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Gateway.Egress;
using Rynxs.Gateway.Tests.Egress;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Egress;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Pool;

[assembly: AssemblyFixture(typeof(Rynxs.Gateway.Tests.Sandboxed.SandboxedEgress))]

namespace Rynxs.Gateway.Tests.Sandboxed;

/// <summary>
/// Real sandboxes with real gateways: HTTP on 80, TLS with a CA of its own on 443 and a raw line protocol on 25, all on 127.0.0.2, behind names that only the
/// gateway's resolver knows. Brought up at the first test that asks.
/// </summary>
public sealed class SandboxedEgress : IAsyncLifetime
{
    private readonly SemaphoreSlim _once = new(1, 1);
    private readonly TemporaryDirectory _directory = new();
    private GVisorRuntime? _runtime;
    private WebApplication? _upstream;
    private Socket? _mail;
    private ImageDescriptor? _image;

    public string CaPem { get; private set; } = "";

    internal TableResolver Resolver { get; } = new() { Default = IPAddress.Parse("127.0.0.2") };

    private int _mailConnections;

    public int MailConnections => Volatile.Read(ref _mailConnections);

    public GVisorRuntime Runtime => _runtime ?? throw new InvalidOperationException("StartAsync first");

    public ValueTask InitializeAsync() => default;

    public async ValueTask DisposeAsync()
    {
        _mail?.Dispose();
        if (_runtime is not null)
        {
            await _runtime.DisposeAsync();
        }

        if (_upstream is not null)
        {
            await _upstream.DisposeAsync();
        }

        _directory.Dispose();
    }

    /// <summary>A sandbox with a gateway of its own. <paramref name="warm"/>: from the pool.</summary>
    internal async Task<SandboxWithGateway> OpenAsync(EgressPolicyModel model, bool warm = false, string? workspace = null, EgressLimits? limits = null)
    {
        await StartAsync();
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(60));
        while (warm && Runtime.Pools.Single().Ready() == 0)
        {
            await Task.Delay(20, patience.Token);
        }

        RecordingLog log = new();
        EgressGateway gateway = await EgressGateway.StartAsync(
            new EgressGatewayOptions { Log = log, Resolver = Resolver, LoggerFactory = NullLoggerFactory.Instance }, CancellationToken.None);
        GatewayEgress egress = new(gateway, model with { OpenedAddresses = [Range("127.0.0.2")] }, limits ?? EgressHost.Limits);
        try
        {
            ISandbox sandbox = await Runtime.CreateAsync(
                new SandboxSpec
                {
                    Owner = new SandboxOwner("tests", "egress"), Image = _image ?? throw new InvalidOperationException(), WorkspaceDirectory = workspace, Egress = egress,
                    WorkspaceBytes = warm ? new SandboxTemplate { Name = "x" }.WorkspaceBytes : 1L << 27, SingleUse = warm,
                },
                TestContext.Current.CancellationToken);
            return new SandboxWithGateway(sandbox, gateway, egress, log, this);
        }
        catch
        {
            await gateway.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks for a sandbox whose gateway never listens.</summary>
    public async Task OpenRefusedAsync()
    {
        await StartAsync();
        await using ISandbox never = await Runtime.CreateAsync(
            new SandboxSpec { Owner = new SandboxOwner("tests", "egress"), Image = _image ?? throw new InvalidOperationException(), Egress = new SilentEgress() }, TestContext.Current.CancellationToken);
    }

    /// <summary>A sandbox without a way out.</summary>
    public async Task<ISandbox> OpenWithoutAsync()
    {
        await StartAsync();
        return await Runtime.CreateAsync(
            new SandboxSpec { Owner = new SandboxOwner("tests", "egress"), Image = _image ?? throw new InvalidOperationException() }, TestContext.Current.CancellationToken);
    }

    public static EgressRule Allow(string host, EgressProtocol protocol, int port, IReadOnlyList<string>? methods = null, IReadOnlyList<Glob>? paths = null) => new()
    {
        Name = $"allow {host}",
        Hosts = [HostPattern.TryParse(host, out HostPattern? pattern) ? pattern : throw new FormatException(host)],
        Ports = [port],
        Protocols = [protocol],
        Effect = RuleEffect.Allow,
        Methods = methods,
        Paths = paths,
    };

    internal static AddressRange Range(string text) => AddressRange.TryParse(text, out AddressRange? range) ? range : throw new FormatException(text);

    private async Task StartAsync()
    {
        SandboxRequirement.Require();
        await _once.WaitAsync();
        try
        {
            if (_runtime is not null)
            {
                return;
            }

            await StartUpstreamAsync();
            var images = new ImageStore(new ImageStoreOptions { Directory = SandboxRequirement.ImagesDirectory });
            _image = await images.EnsureBuiltInAsync(null, CancellationToken.None);
            _runtime = new GVisorRuntime(
                new GVisorOptions
                {
                    StateKey = Guid.NewGuid().ToString("n")[..12],
                    Templates = [new SandboxTemplate { Name = "egress", Egress = true, Size = 1, Floor = 1, Ceiling = 2 }],
                },
                images, NullLogger<GVisorRuntime>.Instance);
            _runtime.StartPools();
            await _runtime.PoolsPreparedAsync(CancellationToken.None);
            _runtime.Pools.Single().Unusable.ShouldBeNull();
        }
        finally
        {
            _once.Release();
        }
    }

    private async Task StartUpstreamAsync()
    {
        var address = IPAddress.Parse("127.0.0.2");
        (X509Certificate2 leaf, string ca) = Certificates();
        CaPem = ca;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(address, 80);
            kestrel.Listen(address, 443, listen => listen.UseHttps(leaf));
        });
        builder.WebHost.UseKestrelHttpsConfiguration();
        _upstream = builder.Build();
        _upstream.Run(async context =>
        {
            if (context.Request.Path == "/to-metadata")
            {
                context.Response.Redirect("http://169.254.169.254/latest/meta-data/");
                return;
            }

            await context.Response.WriteAsync($"{context.Request.Method} {context.Request.Scheme} {context.Request.Host} {context.Request.Path}\n", context.RequestAborted);
        });
        await _upstream.StartAsync();
        _mail = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _mail.Bind(new IPEndPoint(address, 25));
        _mail.Listen(16);
        _ = ServeMailAsync(_mail);
    }

    /// <summary>Greets, and echoes one line. Ends when its socket is disposed.</summary>
    private async Task ServeMailAsync(Socket listener)
    {
        try
        {
            while (true)
            {
                using Socket client = await listener.AcceptAsync();
                Interlocked.Increment(ref _mailConnections);
                try
                {
                    await client.SendAsync(Encoding.ASCII.GetBytes("220 mail.test\r\n"));
                    byte[] line = new byte[256];
                    int read = await client.ReceiveAsync(line);
                    await client.SendAsync(line.AsMemory(0, read));
                }
                catch (SocketException)
                {
                    // This client broke off; the next one is served.
                }
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or SocketException)
        {
            // The fixture ends.
        }
    }

    private static (X509Certificate2 Leaf, string CaPem) Certificates()
    {
        DateTimeOffset from = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero), to = new(2090, 1, 1, 0, 0, 0, TimeSpan.Zero);
        using ECDsa caKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest ca = new("CN=Test CA", caKey, HashAlgorithmName.SHA256);
        ca.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        ca.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(ca.PublicKey, false));
        using X509Certificate2 authority = ca.CreateSelfSigned(from, to);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=allowed.test", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        foreach (string name in (string[])["allowed.test", "*.allowed.test", "denied.test", "packages.test"])
        {
            names.AddDnsName(name);
        }

        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        using X509Certificate2 signed = request.Create(authority, from, to, [1, 2, 3, 4]);
        using X509Certificate2 withKey = signed.CopyWithPrivateKey(key);
        return (X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pkcs12), null), authority.ExportCertificatePem());
    }
}

/// <summary>Opens channels of a gateway for sandboxes, as the server does.</summary>
internal sealed class GatewayEgress(EgressGateway gateway, EgressPolicyModel model, EgressLimits limits) : ISandboxEgress
{
    public string Mode => "restricted";

    public EgressChannel? Channel { get; private set; }

    public string SocketPath { get; private set; } = "";

    public Task<IAsyncDisposable> OpenAsync(SandboxId sandbox, SandboxOwner owner, string socketPath, CancellationToken cancellationToken)
    {
        SocketPath = socketPath;
        Channel = gateway.Open(new ChannelId(sandbox.Value), socketPath, model, limits);
        return Task.FromResult<IAsyncDisposable>(Channel);
    }
}

/// <summary>A gateway that never listens: what the probe must find.</summary>
internal sealed class SilentEgress : ISandboxEgress
{
    public string Mode => "restricted";

    public Task<IAsyncDisposable> OpenAsync(SandboxId sandbox, SandboxOwner owner, string socketPath, CancellationToken cancellationToken) =>
        Task.FromResult<IAsyncDisposable>(new Nobody());

    private sealed class Nobody : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => default;
    }
}

/// <summary>One sandbox and its gateway.</summary>
internal sealed class SandboxWithGateway(ISandbox sandbox, EgressGateway gateway, GatewayEgress egress, RecordingLog log, SandboxedEgress fixture) : IAsyncDisposable
{
    public ISandbox Sandbox => sandbox;

    public EgressChannel Channel => egress.Channel ?? throw new InvalidOperationException();

    public string SocketPath => egress.SocketPath;

    public RecordingLog Log => log;

    public SandboxedEgress Fixture => fixture;

    /// <summary>Runs a script in bash; its output, both streams.</summary>
    public async Task<string> ShellAsync(string script, int seconds = 30, TaskCompletionSource? ready = null)
    {
        StringBuilder seen = new();
        ExecutionResult result = await sandbox.ExecuteAsync(
            new ExecutionRequest
            {
                ExecutionId = "test", Arguments = ["/bin/bash", "-c", "exec 2>&1; cat > /tmp/ca.pem; export CURL_CA_BUNDLE=/tmp/ca.pem SSL_CERT_FILE=/tmp/ca.pem GIT_SSL_CAINFO=/tmp/ca.pem\n" + script],
                StandardInput = Encoding.ASCII.GetBytes(fixture.CaPem), Timeout = TimeSpan.FromSeconds(seconds),
                OnOutput = ready is null ? null : chunk =>
                {
                    if (seen.Append(Encoding.Latin1.GetString(chunk.Data.Span)).ToString().Contains("READY", StringComparison.Ordinal))
                    {
                        ready.TrySetResult();
                    }
                },
            },
            TestContext.Current.CancellationToken);
        return Encoding.UTF8.GetString(result.StandardOutput.Span);
    }

    public Task<string> PythonAsync(string code, int seconds = 30, TaskCompletionSource? ready = null) =>
        ShellAsync($"python3 - <<'END_OF_CODE'\n{code}\nEND_OF_CODE", seconds, ready);

    public async ValueTask DisposeAsync()
    {
        await sandbox.DisposeAsync();
        await gateway.DisposeAsync();
    }
}
