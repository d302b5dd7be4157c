using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Hosting;
using Rynxs.Ledger;
using Rynxs.Ledger.Remote;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Server.Hosting;
using Rynxs.Server.Identity;
using Rynxs.Server.Logging;
using Rynxs.Server.Problems;
using Rynxs.Server.Tls;

namespace Rynxs.Server.LedgerRole;

/// <summary>
/// The role <c>ledger</c>: the one process of a cluster that holds the keys of the store. Others append and read through it with their tokens.
/// </summary>
/// <remarks>Stopping: no new requests, then a bounded wait for those that run, then the chains are closed, which commits what was queued.</remarks>
public sealed class LedgerRoleServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ILedger _ledger;
    private readonly RoleParts _parts;

    private LedgerRoleServer(WebApplication application, ILedger ledger, RoleParts parts, Uri url) => (_application, _ledger, _parts, Url) = (application, ledger, parts, url);

    /// <summary>Address with the port really bound.</summary>
    public Uri Url { get; }

    /// <summary>Completes when the server stops, for whatever reason.</summary>
    public Task Completion => _application.WaitForShutdownAsync();

    /// <summary>Opens the store and answers requests when this returns.</summary>
    /// <exception cref="ServerStartException">An option is wrong, or the port is taken.</exception>
    /// <exception cref="LedgerUnavailableException">The store cannot be opened.</exception>
    public static async Task<LedgerRoleServer> StartAsync(LedgerRoleOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        LedgerLocation location;
        try
        {
            location = LedgerLocation.Parse(options.Store, Environment.GetEnvironmentVariable);
        }
        catch (ArgumentException exception)
        {
            throw new ServerStartException(StartFailure.InvalidOptions, exception.Message);
        }

        if (!ServerOptions.TryParseListen(options.Listen, out IPEndPoint? endpoint))
        {
            throw new ServerStartException(StartFailure.InvalidOptions, $"listen: '{options.Listen}' is not an address and a port.");
        }

        if (options.MaxAppendBytes < RemoteLimits.MaxBodyBytes || options.MaxAppends < 1)
        {
            throw new ServerStartException(StartFailure.InvalidOptions, $"At least one append of {RemoteLimits.MaxBodyBytes} bytes must be let in.");
        }

        ILedger ledger = await location.OpenLedgerAsync(cancellationToken);
        WebApplication? application = null;
        RoleParts? parts = null;
        try
        {
            CertificateAuthority? authority = options.Tls ? CertificateAuthority.Open(Directory.CreateDirectory(options.StateDirectory).FullName, options.TimeProvider) : null;
            application = Build(options, endpoint, authority);
            parts = RoleParts.Create(application.Services, ledger, authority);
            application.UseRouting();
            application.UseMiddleware<ProblemMapping>();
            application.UseMiddleware<LedgerRoleGuard>(new TokenStore(options.StateDirectory, options.TimeProvider));
            application.UseEndpoints(_ => { });
            new LedgerRoleEndpoints(parts, options, application.Lifetime.ApplicationStopping).Map(application);
            await application.StartAsync(cancellationToken);
            return new LedgerRoleServer(application, ledger, parts, new Uri(application.Urls.First()));
        }
        catch (InvalidDataException exception)
        {
            await ledger.DisposeAsync();
            throw new ServerStartException(StartFailure.StateCorrupt, exception.Message, exception);
        }
        catch (IOException exception)
        {
            parts?.Dispose();
            await ledger.DisposeAsync();
            throw new ServerStartException(StartFailure.AddressUnavailable, $"listen: {options.Listen} cannot be bound: {exception.Message}");
        }
        catch
        {
            if (application is not null)
            {
                await application.DisposeAsync();
            }

            parts?.Dispose();
            await ledger.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync(CancellationToken.None); // Bounded by the host's own limit.
        await _application.DisposeAsync();
        await _ledger.DisposeAsync();
        _parts.Dispose();
    }

    private static WebApplication Build(LedgerRoleOptions options, IPEndPoint endpoint, CertificateAuthority? authority)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.AddProvider(new JsonLoggerProvider(options.LogWriter ?? Console.Error, options.LogLevel, options.TimeProvider));
        builder.Logging.SetMinimumLevel(options.LogLevel);
        builder.Services.AddRouting();
        builder.Services.AddMetrics();
        if (authority is not null)
        {
            builder.Services.AddSingleton(services => new ServerCertificate(
                authority, [.. options.TlsNames, endpoint.Address.ToString()], options.TimeProvider, services.GetRequiredService<ILogger<ServerCertificate>>()));
        }

        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.Drain);
        IWebHostBuilder web = builder.WebHost.UseKestrelCore();
        (authority is null ? web : web.UseKestrelHttpsConfiguration()).ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = RemoteLimits.MaxBodyBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = 32 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 64;
            kestrel.Limits.MaxRequestLineSize = 8 * 1024;
            kestrel.Limits.MaxConcurrentConnections = 2048;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 1024, gracePeriod: TimeSpan.FromSeconds(5));
            if (authority is null)
            {
                kestrel.Listen(endpoint, listen => listen.Protocols = HttpProtocols.Http1);
            }
            else
            {
                kestrel.ListenTls(endpoint, kestrel.ApplicationServices.GetRequiredService<ServerCertificate>());
            }
        });
        return builder.Build();
    }
}
