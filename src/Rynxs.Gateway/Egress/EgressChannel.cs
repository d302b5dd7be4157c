using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Rynxs.Gateway.Egress.Forwarding;
using Rynxs.Gateway.Egress.Listening;
using Rynxs.Gateway.Egress.Upstream;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress;

/// <summary>
/// The way out of one sandbox: a Unix socket of its own. Whoever can connect to it is that sandbox; there is no header, name or token that says
/// otherwise. It speaks SOCKS 5, HTTP CONNECT and HTTP requests in absolute form.
/// </summary>
/// <remarks>Dispose stops listening, cuts every flow, waits for the accept loop, and removes the socket.</remarks>
public sealed class EgressChannel : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly string _socketPath;
    private readonly ChannelConnections _connections;
    private readonly SocketConnectionContextFactory _contexts;
    private readonly Action<EgressChannel> _closed;
    private readonly Task _accepting;
    private int _open;
    private int _disposed;

    internal EgressChannel(
        ChannelId id, Socket listener, string socketPath, FlowTable flows, UpstreamConnector connector, ChannelConnections connections,
        SocketConnectionContextFactory contexts, Action<EgressChannel> closed)
    {
        (Id, _listener, _socketPath, Flows, _connections, _contexts, _closed) = (id, listener, socketPath, flows, connections, contexts, closed);
        Upstream = new HttpMessageInvoker(Handler(flows, connector));
        _accepting = AcceptAsync();
    }

    /// <summary>Whose it is.</summary>
    public ChannelId Id { get; }

    /// <summary>Flows that are open now.</summary>
    public int OpenFlows => Flows.Count;

    /// <summary>The model that decisions are made by now: what a policy's status reports is read back from here.</summary>
    public EgressPolicyModel Enforced => Flows.Model;

    /// <summary>Bytes of the flows that have ended, from and to the sandbox.</summary>
    public (long Out, long In) Bytes => Flows.Bytes;

    internal FlowTable Flows { get; }

    internal HttpMessageInvoker Upstream { get; }

    /// <summary>Replaces the policy. Flows that it does not allow are cut before this returns; others go on untouched.</summary>
    public void ReplacePolicy(EgressPolicyModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Flows.Replace(model);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _closed(this);
        _listener.Dispose();
        await Flows.DisposeAsync().ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
        Upstream.Dispose();
        File.Delete(_socketPath);
    }

    private static SocketsHttpHandler Handler(FlowTable flows, UpstreamConnector connector) => new()
    {
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        AutomaticDecompression = System.Net.DecompressionMethods.None,
        ActivityHeadersPropagator = null,
        MaxConnectionsPerServer = flows.Limits.MaxFlows,
        MaxResponseHeadersLength = 64,
        MaxResponseDrainSize = 0,
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(15),

        // Names are looked up and judged again after this time, also for hosts that are in constant use.
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        ConnectTimeout = Timeout.InfiniteTimeSpan,
        ConnectCallback = async (context, cancellationToken) =>
        {
            // The host was checked before the request was made, and is in its normal form.
            if (!HostName.TryParse(context.DnsEndPoint.Host, out HostName? host))
            {
                throw new UpstreamRefusedException();
            }

            UpstreamConnection upstream = await connector.ConnectAsync(
                host, context.DnsEndPoint.Port, flows.Model.OpenedAddresses, flows.Limits.ConnectTimeout, cancellationToken).ConfigureAwait(false);
            return upstream switch
            {
                UpstreamConnection.Connected connected => new NetworkStream(connected.Socket, ownsSocket: true),
                UpstreamConnection.Unreachable unreachable => throw new UpstreamUnreachableException(unreachable.TimedOut),
                _ => throw new UpstreamRefusedException(),
            };
        },
    };

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync(Flows.Closing).ConfigureAwait(false);
            }
            catch (Exception e) when (e is ObjectDisposedException or OperationCanceledException)
            {
                return;
            }
            catch (SocketException) when (Volatile.Read(ref _disposed) != 0)
            {
                return;
            }
            catch (SocketException)
            {
                // A client that left while it was accepted, or no file descriptor left: the listener itself still stands.
                await Task.Delay(TimeSpan.FromMilliseconds(10), CancellationToken.None).ConfigureAwait(false);
                continue;
            }

            if (Interlocked.Increment(ref _open) > Flows.Limits.MaxConnections)
            {
                Interlocked.Decrement(ref _open);
                socket.Dispose();
                continue;
            }

            ConnectionContext connection = _contexts.Create(socket);
            connection.Features.Set(this);
            connection.ConnectionClosed.Register(() => Interlocked.Decrement(ref _open));
            try
            {
                await _connections.AddAsync(connection, Flows.Closing).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or System.Threading.Channels.ChannelClosedException)
            {
                await connection.DisposeAsync().ConfigureAwait(false);
                return;
            }
        }
    }
}
