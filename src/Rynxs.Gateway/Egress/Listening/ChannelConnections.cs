using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace Rynxs.Gateway.Egress.Listening;

/// <summary>
/// One listener for the HTTP server, fed by the sockets of all channels, which come and go while it runs. A connection carries its channel from the
/// moment it is accepted; nothing that is sent over it can change whose it is.
/// </summary>
internal sealed class ChannelConnections : IConnectionListenerFactory, IConnectionListenerFactorySelector, IConnectionListener
{
    private readonly Channel<ConnectionContext> _accepted =
        Channel.CreateBounded<ConnectionContext>(new BoundedChannelOptions(256) { FullMode = BoundedChannelFullMode.Wait, SingleReader = true });

    public EndPoint EndPoint { get; } = new ChannelsEndPoint();

    public ValueTask AddAsync(ConnectionContext connection, CancellationToken cancellationToken) =>
        _accepted.Writer.WriteAsync(connection, cancellationToken);

    public bool CanBind(EndPoint endpoint) => endpoint is ChannelsEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(this);

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
        await _accepted.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false) && _accepted.Reader.TryRead(out ConnectionContext? connection)
            ? connection
            : null;

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _accepted.Writer.TryComplete();
        return default;
    }

    public async ValueTask DisposeAsync()
    {
        _accepted.Writer.TryComplete();
        while (_accepted.Reader.TryRead(out ConnectionContext? connection))
        {
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Stands for all channels together.</summary>
    private sealed class ChannelsEndPoint : EndPoint
    {
        public override AddressFamily AddressFamily => AddressFamily.Unix;

        public override string ToString() => "egress channels";
    }
}
