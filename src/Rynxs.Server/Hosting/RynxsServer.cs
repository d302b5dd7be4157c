using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Keys;
using Rynxs.ResourceServer.Storage;
using Rynxs.Server.Identity;
using Rynxs.Server.Metrics;
using Rynxs.Server.State;
using Rynxs.Server.Tls;

namespace Rynxs.Server.Hosting;

/// <summary>
/// A running server: one process, one state directory. It starts in the order state, ledger, objects, sandboxes, agents, loops, HTTP, and
/// stops in reverse.
/// </summary>
/// <remarks>
/// Stopping: new requests and new work are refused first. Running work gets <see cref="ServerOptions.DrainSeconds"/> to end and is then
/// cancelled; what was cut off is marked by its missing outcome record. Last, sandboxes are destroyed, the ledger and the store are
/// closed, and the lock is released.
/// </remarks>
public sealed class RynxsServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ServerParts _parts;
    private readonly StateDirectory _state;
    private readonly PrometheusExporter _exporter;
    private readonly IdentityParts _identity;
    private readonly CertificateAuthority _authority;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _watch;
    private readonly TimeSpan _drain;
    private Exception? _cause;
    private int _stopping;

    private RynxsServer(WebApplication application, ServerParts parts, StateDirectory state, PrometheusExporter exporter, Opened opened, ServerOptions options)
    {
        _application = application;
        _parts = parts;
        _state = state;
        _exporter = exporter;
        _identity = opened.Identity;
        _authority = opened.Authority;
        _drain = TimeSpan.FromSeconds(options.DrainSeconds);
        Url = opened.Url;
        TlsUrl = opened.TlsUrl;
        AdminToken = opened.AdminToken;
        StateDirectory = state.Path;
        _watch = WatchAsync();
    }

    /// <summary>Version of this server.</summary>
    public static string Version { get; } = typeof(RynxsServer).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    /// <summary>Base URL with the port really bound.</summary>
    public Uri Url { get; }

    /// <summary>Base URL over TLS, as in <c>STATE/kubeconfig</c>; null when it does not speak TLS.</summary>
    public Uri? TlsUrl { get; }

    /// <summary>The administrator's token, as in <c>STATE/token</c>.</summary>
    public string AdminToken { get; }

    /// <summary>Real path of the state directory.</summary>
    public string StateDirectory { get; }

    /// <summary>Method and pattern of every endpoint of our own that has an operation or could need one; tests compare documents with it.</summary>
    internal IReadOnlyList<string> Routes =>
    [
        .. ((IEndpointRouteBuilder)_application).DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
            .Where(route => !HttpPipeline.IsRefusal(route))
            .SelectMany(route => (route.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? []).Select(method => $"{method} {route.RoutePattern.RawText}")),
    ];

    /// <summary>
    /// Completes when the server has stopped. Faults when a part of it died: the server then stopped itself, it never runs half-alive.
    /// </summary>
    public Task Completion => _completion.Task;

    /// <summary>Starts a server and returns when it answers requests.</summary>
    /// <exception cref="ServerStartException">It cannot start; nothing is left running.</exception>
    public static async Task<RynxsServer> StartAsync(ServerOptions options, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> problems = options.Validate();
        if (problems.Count > 0 || !ServerOptions.TryParseListen(options.Listen, out IPEndPoint? endpoint))
        {
            throw new ServerStartException(StartFailure.InvalidOptions, string.Join(Environment.NewLine, problems));
        }

        StateDirectory state = State.StateDirectory.Open(options.StateDirectory);
        try
        {
            return await StartAsync(options, endpoint, state, cancellationToken);
        }
        catch (Exception exception)
        {
            state.Dispose();
            if (Map(exception, options) is { } known)
            {
                throw known;
            }

            throw;
        }
    }

    /// <summary>Stops as described above; safe to call twice.</summary>
    /// <param name="cancellationToken">Ends the wait for running requests early; what follows is always done.</param>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _stopping, 1) == 0)
        {
            try
            {
                await StopPartsAsync(cancellationToken);
                if (_cause is null)
                {
                    _completion.TrySetResult();
                }
                else
                {
                    _completion.TrySetException(_cause);
                }
            }
            catch (Exception exception)
            {
                _completion.TrySetException(exception);
                throw;
            }

            return;
        }

        await Task.WhenAny(Completion);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

    private static async Task<RynxsServer> StartAsync(ServerOptions options, IPEndPoint endpoint, StateDirectory state, CancellationToken cancellationToken)
    {
        var tokens = new TokenStore(state.Path, options.TimeProvider);
        string adminToken = tokens.EnsureAdminToken(state.TokenPath);
        CertificateAuthority authority = CertificateAuthority.Open(state.Path, options.TimeProvider);
        IPEndPoint? tlsEndpoint = ServerOptions.TryParseListen(options.ListenTls, out IPEndPoint? asked) ? TlsListener.Settle(asked, state.Path) : null;
        if (tlsEndpoint is not null && !tlsEndpoint.Address.Equals(IPAddress.Any) && !tlsEndpoint.Address.Equals(IPAddress.IPv6Any))
        {
            options = options with { TlsNames = [.. options.TlsNames, tlsEndpoint.Address.ToString()] };
        }

        WebApplication application = HttpPipeline.Build(options, endpoint, tlsEndpoint, authority);
        ServerParts? parts = null;
        PrometheusExporter? exporter = null;
        IdentityParts? identity = null;
        try
        {
            var meters = application.Services.GetRequiredService<IMeterFactory>();
            exporter = new PrometheusExporter(meters);
            var loggers = application.Services.GetRequiredService<ILoggerFactory>();
            parts = await ServerParts.OpenAsync(options, state, new ServerMetrics(meters), meters, loggers, cancellationToken);
            identity = new IdentityParts(options, state.Path, authority, tokens, parts.FindServiceAccountAsync, parts.Store.IsNamespaced, loggers);
            parts.Background.Start("live-requests", identity.Live.RunAsync);
            HttpPipeline.Map(application, options, endpoint, state, identity, parts, exporter);
            await application.StartAsync(cancellationToken);
            ICollection<string> addresses = application.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses;
            var opened = new Opened(identity, authority, new Uri(addresses.First(IsPlain)), addresses.FirstOrDefault(address => !IsPlain(address)) is { } tls ? Reachable(tls) : null, adminToken);
            PublishTls(state, opened);
            state.PublishServerInfo(new ServerInfo(Environment.ProcessId, opened.Url.OriginalString, Version, opened.TlsUrl?.OriginalString));
            return new RynxsServer(application, parts, state, exporter, opened, options);
        }
        catch
        {
            exporter?.Dispose();
            if (parts is not null)
            {
                await parts.DisposeAsync();
            }

            identity?.Dispose();
            await application.DisposeAsync();
            authority.Dispose();
            throw;
        }

        static bool IsPlain(string address) => address.StartsWith("http://", StringComparison.Ordinal);
    }

    /// <summary>The kubeconfig of the administrator, or none: one that names a port where nobody speaks TLS would only mislead.</summary>
    private static void PublishTls(StateDirectory state, Opened opened)
    {
        if (opened.TlsUrl is not { } url)
        {
            File.Delete(state.KubeconfigPath);
            return;
        }

        TlsListener.Remember(state.Path, url.Port);
        KubeconfigFile.Write(state.KubeconfigPath, url, opened.Authority.CertificatePem, new KubeconfigCredential.Token(opened.AdminToken), "rynxs");
    }

    /// <summary>A listener on every address is told as the loopback one, which the certificate names.</summary>
    private static Uri Reachable(string address)
    {
        var url = new Uri(address);
        return IPAddress.TryParse(url.Host.Trim('[', ']'), out IPAddress? ip) && (ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any))
            ? new Uri($"https://127.0.0.1:{url.Port}")
            : url;
    }

    private static ServerStartException? Map(Exception exception, ServerOptions options) => exception switch
    {
        ServerStartException known => known,
        LedgerLockedException locked => new(StartFailure.StateLocked, locked.Message, locked),
        LedgerCorruptException corrupt => new(
            StartFailure.StateCorrupt,
            $"The ledger does not verify: {corrupt.Message} ({corrupt.File}, seq {corrupt.Seq}). Run 'rynxs ledger verify' and keep a copy of the state directory.", corrupt),
        ChainRolledBackException rolledBack => new(StartFailure.StateCorrupt, $"Audit evidence was altered: {rolledBack.Message} Keep a copy of the state directory.", rolledBack),
        KeyDirectoryException keys => new(StartFailure.StateUnavailable, keys.Message, keys),
        LedgerUnavailableException unavailable => new(StartFailure.StateUnavailable, $"The ledger cannot be opened: {unavailable.Message}", unavailable),
        ResourceStoreOpenException store => new(
            store.Error switch
            {
                ResourceStoreOpenError.Locked => StartFailure.StateLocked,
                ResourceStoreOpenError.Corrupt or ResourceStoreOpenError.NewerSchema => StartFailure.StateCorrupt,
                _ => StartFailure.StateUnavailable,
            },
            store.Message, store),
        InvalidDataException data => new(StartFailure.StateCorrupt, data.Message, data),
        Microsoft.AspNetCore.Connections.AddressInUseException or System.Net.Sockets.SocketException => new(
            StartFailure.AddressUnavailable, $"'{options.Listen}' or '{options.ListenTls}' cannot be listened on: {exception.Message}", exception),
        IOException io when io.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException => new(
            StartFailure.AddressUnavailable, $"'{options.Listen}' or '{options.ListenTls}' is in use by another program; choose another --listen or --listen-tls. ({io.Message})", io),
        IOException or UnauthorizedAccessException => new(
            StartFailure.StateUnavailable, $"The state directory '{options.StateDirectory}' cannot be used: {exception.Message}", exception),
        _ => null,
    };

    private async Task WatchAsync()
    {
        Task<Exception> died = _parts.Background.Died;
        if (await Task.WhenAny(died, Completion) == died)
        {
            _cause = await died;
            await StopAsync(CancellationToken.None);
        }
    }

    private async Task StopPartsAsync(CancellationToken cancellationToken)
    {
        using var drain = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        drain.CancelAfter(_drain);
        try
        {
            await _application.StopAsync(drain.Token);
        }
        catch (OperationCanceledException) when (drain.IsCancellationRequested)
        {
            // Requests that did not end in time were cut off; what follows is always done.
        }

        try
        {
            await _parts.DisposeAsync();
        }
        finally
        {
            await _application.DisposeAsync();
            _identity.Dispose();
            _authority.Dispose();
            _exporter.Dispose();
            _state.WithdrawServerInfo();
            _state.Dispose();
        }
    }

    private sealed record Opened(IdentityParts Identity, CertificateAuthority Authority, Uri Url, Uri? TlsUrl, string AdminToken);
}
