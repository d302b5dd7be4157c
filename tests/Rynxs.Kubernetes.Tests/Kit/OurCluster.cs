using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes.Credentials;
using Rynxs.ResourceServer.Faults;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Identity;

namespace Rynxs.Kubernetes.Tests.Kit;

/// <summary>Our resource server with every kind, over TLS and HTTP/2 with an authority of its own, with faults to inject.</summary>
public sealed class OurCluster : ITestCluster, IAsyncLifetime
{
    public const string Token = "the-admin-token";

    private readonly TemporaryDirectory _directory = new();
    private WebApplication? _application;
    private ResourceStore? _store;

    public FaultInjector Injector { get; } = new();

    public FaultInjector? Faults => Injector;

    public string? Missing => null;

    public KubernetesConnection Connection { get; private set; } = new() { Server = new Uri("https://127.0.0.1") };

    /// <summary>Tokens that are accepted; changed by tests of rotation.</summary>
    public HashSet<string> Tokens { get; } = [Token];

    /// <summary>Requests so far, by protocol.</summary>
    public Dictionary<string, int> Protocols { get; } = [];

    public async ValueTask InitializeAsync()
    {
        (X509Certificate2 authority, X509Certificate2 server) = TestCertificates.Make("127.0.0.1");
        _store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = _directory.At("objects.db"), AllKinds = true, RequireNamespaces = true }, CancellationToken.None);
        await _store.EnsureNamespacesAsync(CancellationToken.None);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http1AndHttp2;
            listen.UseHttps(server);
        }));
        _application = builder.Build();
        _application.Use(async (context, next) =>
        {
            lock (Protocols)
                Protocols[context.Request.Protocol] = Protocols.GetValueOrDefault(context.Request.Protocol) + 1;
            string header = context.Request.Headers.Authorization.ToString();
            if (!header.StartsWith("Bearer ", StringComparison.Ordinal) || !Tokens.Contains(header["Bearer ".Length..]))
            {
                context.Response.StatusCode = 401;
                await context.Response.WriteAsync("""{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","message":"Unauthorized","code":401}""");
                return;
            }

            await next(context);
        });
        _application.MapResourceApi(
            _store, _ => new Principal("admin", new HashSet<Role> { Role.Admin }, null), new ResourceApiOptions { MapHealth = true, DangerousFaults = Injector });
        await _application.StartAsync(CancellationToken.None);
        Connection = new KubernetesConnection
        {
            Server = new Uri(_application.Urls.First()), Authority = [authority], Credential = new FixedCredential(Token),
        };
    }

    public async ValueTask DisposeAsync()
    {
        if (_application is not null)
            await _application.DisposeAsync();
        if (_store is not null)
            await _store.DisposeAsync();
        _directory.Dispose();
    }
}

/// <summary>An authority and what it vouches for.</summary>
internal static class TestCertificates
{
    public static (X509Certificate2 Authority, X509Certificate2 Server) Make(string name)
    {
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authorityRequest = new CertificateRequest("CN=test authority", authorityKey, HashAlgorithmName.SHA256);
        authorityRequest.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        DateTimeOffset from = TimeProvider.System.GetUtcNow().AddHours(-1), to = from.AddDays(2);
        using X509Certificate2 withKey = authorityRequest.CreateSelfSigned(from, to);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        if (IPAddress.TryParse(name, out IPAddress? address))
            names.AddIpAddress(address);
        else
            names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false));
        using X509Certificate2 signed = request.Create(withKey, from, to.AddHours(-1), RandomNumberGenerator.GetBytes(8));
        return (X509CertificateLoader.LoadCertificate(withKey.RawData), signed.CopyWithPrivateKey(key));
    }
}
