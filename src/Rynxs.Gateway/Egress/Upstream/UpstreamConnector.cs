using System.Net;
using System.Net.Sockets;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Upstream;

/// <summary>
/// Connects to a name that was allowed. The name is resolved here and nowhere else, each address is judged, and the connection goes to the very
/// address that was judged: there is no second look-up that could answer differently (DNS rebinding).
/// </summary>
internal sealed class UpstreamConnector(INameResolver resolver, TimeProvider timeProvider)
{
    /// <summary>A resolver that answers with thousands of addresses must not make us try them all.</summary>
    private const int MaxAddressesTried = 8;

    /// <summary>Connects within <paramref name="timeout"/>, name resolution included.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/>; never the timeout, which is a result.</exception>
    public async Task<UpstreamConnection> ConnectAsync(
        HostName host, int port, IReadOnlyList<AddressRange> opened, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(timeout, timeProvider);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            IReadOnlyList<IPAddress> addresses = await resolver.ResolveAsync(host, either.Token).ConfigureAwait(false);
            IPAddress[] permitted = [.. addresses.Where(address => AddressGuard.Permits(address, opened)).Take(MaxAddressesTried)];
            if (permitted.Length == 0 && addresses.Count > 0)
            {
                return new UpstreamConnection.Refused();
            }

            foreach (IPAddress address in permitted)
            {
                if (await TryConnectAsync(address, port, either.Token).ConfigureAwait(false) is { } socket)
                {
                    return new UpstreamConnection.Connected(socket);
                }
            }

            return new UpstreamConnection.Unreachable(TimedOut: false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new UpstreamConnection.Unreachable(TimedOut: true);
        }
    }

    private static async Task<Socket?> TryConnectAsync(IPAddress address, int port, CancellationToken cancellationToken)
    {
        Socket socket = new(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(new IPEndPoint(address, port), cancellationToken).ConfigureAwait(false);
            return socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
            return null;
        }
        catch (OperationCanceledException)
        {
            socket.Dispose();
            throw;
        }
    }
}

/// <summary>What came of connecting.</summary>
internal abstract record UpstreamConnection
{
    private UpstreamConnection()
    {
    }

    /// <summary>The receiver owns the socket.</summary>
    public sealed record Connected(Socket Socket) : UpstreamConnection;

    /// <summary>All addresses of the name are ones that nothing may connect to.</summary>
    public sealed record Refused : UpstreamConnection;

    /// <summary>No address, or none that answered in time.</summary>
    public sealed record Unreachable(bool TimedOut) : UpstreamConnection;
}
