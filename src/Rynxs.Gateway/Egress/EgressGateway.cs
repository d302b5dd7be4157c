using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Egress.Forwarding;
using Rynxs.Gateway.Egress.Listening;
using Rynxs.Gateway.Egress.Tunnels;
using Rynxs.Gateway.Egress.Upstream;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress;

/// <summary>Settings of the way out.</summary>
public sealed record EgressGatewayOptions
{
    /// <summary>Where openings, ends and denials are recorded. A flow whose opening cannot be recorded is refused.</summary>
    public required IEgressLog Log { get; init; }

    /// <summary>Looks names up; the host's resolver by default.</summary>
    public INameResolver Resolver { get; init; } = new SystemNameResolver();

    /// <summary>What the gateway itself serves over a channel, such as models; null for nothing but the way out.</summary>
    public IChannelService? Service { get; init; }

    /// <summary>Finds whose a channel is, for <see cref="Service"/>. A channel of nobody it knows is not served: the request meets the way out, which does not know the name either.</summary>
    public FindCaller FindCaller { get; init; } = (_, _) => ValueTask.FromResult<GatewayCaller?>(null);

    /// <summary>Clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Operational log; what sandboxes send is never written to it.</summary>
    public required ILoggerFactory LoggerFactory { get; init; }
}

/// <summary>The one way out of sandboxes: a forward proxy that decides, records and then connects. It lives outside every sandbox.</summary>
/// <remarks>Dispose closes all channels, then the server.</remarks>
public sealed class EgressGateway : IAsyncDisposable
{
    /// <summary>Longest path of a Unix socket: 107 bytes (sun_path without its terminator).</summary>
    public const int MaxSocketPathBytes = 107;

    private readonly EgressGatewayOptions _options;
    private readonly WebApplication _server;
    private readonly ChannelConnections _connections;
    private readonly UpstreamConnector _connector;
    private readonly SocketConnectionContextFactory _contexts;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<ChannelId, EgressChannel> _channels = [];
    private readonly Lock _opening = new();
    private int _disposed;

    private EgressGateway(
        EgressGatewayOptions options, WebApplication server, ChannelConnections connections, UpstreamConnector connector, ILogger logger)
    {
        (_options, _server, _connections, _connector, _logger) = (options, server, connections, connector, logger);
        _contexts = new SocketConnectionContextFactory(new SocketConnectionFactoryOptions(), logger);
    }

    /// <summary>Starts the proxy; without channels it serves nobody.</summary>
    public static async Task<EgressGateway> StartAsync(EgressGatewayOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ChannelConnections connections = new();
        UpstreamConnector connector = new(options.Resolver, options.TimeProvider);
        TunnelHandler tunnels = new(connector, options.TimeProvider);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(options.LoggerFactory);
        builder.Services.AddSingleton<IConnectionListenerFactory>(connections);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MaxRequestLineSize = 8 * 1024;
            kestrel.Limits.MaxRequestHeadersTotalSize = 32 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 100;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
            kestrel.Listen(connections.EndPoint, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                listen.Use(next => connection =>
                    tunnels.HandleAsync(connection, connection.Features.GetRequiredFeature<EgressChannel>().Flows, () => next(connection)));
            });
        });
        WebApplication server = builder.Build();
        server.Run(context => ServeAsync(context, options));
        await server.StartAsync(cancellationToken).ConfigureAwait(false);
        return new EgressGateway(options, server, connections, connector, options.LoggerFactory.CreateLogger("Rynxs.Gateway.Egress"));
    }

    /// <summary>Opens the way out of one sandbox. The socket is created with mode 0600; a socket that was left there is replaced.</summary>
    /// <param name="id">Whose it is; one channel each.</param>
    /// <param name="socketPath">Absolute, at most <see cref="MaxSocketPathBytes"/> bytes, in a directory that only the owner may write.</param>
    /// <param name="model">What may be reached.</param>
    /// <param name="limits">How much.</param>
    /// <exception cref="ArgumentException">The path is too long or not absolute, a limit is out of its range, or the id has a channel.</exception>
    /// <exception cref="IOException">The socket cannot be created.</exception>
    public EgressChannel Open(ChannelId id, string socketPath, EgressPolicyModel model, EgressLimits limits)
    {
        ArgumentNullException.ThrowIfNull(socketPath);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(limits);
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        limits.ThrowIfInvalid();
        if (!Path.IsPathFullyQualified(socketPath) || Encoding.UTF8.GetByteCount(socketPath) > MaxSocketPathBytes)
        {
            throw new ArgumentException($"The path of a socket is absolute and at most {MaxSocketPathBytes} bytes long.", nameof(socketPath));
        }

        lock (_opening)
        {
            // Looked at first: a second opening must not take the socket away from the first.
            if (_channels.ContainsKey(id))
            {
                throw new ArgumentException($"Channel {id} is open already.", nameof(id));
            }

            FlowTable flows = new(id, model, limits, _options.Log, _options.TimeProvider, _logger);
            EgressChannel channel = new(
                id, Listen(socketPath), socketPath, flows, _connector, _connections, _contexts, closed => _channels.TryRemove(closed.Id, out _));
            _channels[id] = channel;
            return channel;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        foreach (EgressChannel channel in _channels.Values)
        {
            await channel.DisposeAsync().ConfigureAwait(false);
        }

        using CancellationTokenSource drain = new(TimeSpan.FromSeconds(5), _options.TimeProvider);
        await _server.StopAsync(drain.Token).ConfigureAwait(false);
        await _server.DisposeAsync().ConfigureAwait(false);
        _contexts.Dispose();
    }

    private static async Task ServeAsync(HttpContext context, EgressGatewayOptions options)
    {
        ChannelId channel = context.Features.GetRequiredFeature<EgressChannel>().Id;
        if (options.Service is { } service
            && service.Serves(context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget)
            && await options.FindCaller(channel, context.RequestAborted).ConfigureAwait(false) is { } caller)
        {
            await service.ServeAsync(context, caller).ConfigureAwait(false);
            return;
        }

        await HttpForwarder.HandleAsync(context).ConfigureAwait(false);
    }

    private static Socket Listen(string socketPath)
    {
        const int Backlog = 128;
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            File.Delete(socketPath);
            listener.Bind(new UnixDomainSocketEndPoint(socketPath));
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            listener.Listen(Backlog);
            return listener;
        }
        catch (SocketException e)
        {
            listener.Dispose();
            throw new IOException($"The egress socket cannot be created: {e.SocketErrorCode}.", e);
        }
    }
}
