using System.Net;
using System.Net.Sockets;
using System.Text;
using Rynxs.ResourceServer.Tests.Kit;

namespace Rynxs.ResourceServer.Tests.Hostile;

/// <summary>A connection that says what no HTTP client would say.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly Socket _socket;

    private RawClient(Socket socket) => _socket = socket;

    public static async Task<RawClient> ConnectAsync(ApiServer server, int receiveBuffer = 0)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBuffer > 0)
            socket.ReceiveBufferSize = receiveBuffer;
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, server.Port), ApiServer.Ct);
        return new RawClient(socket);
    }

    public Task SendAsync(string text) => SendAsync(Encoding.ASCII.GetBytes(text));

    public async Task SendAsync(ReadOnlyMemory<byte> bytes) => await _socket.SendAsync(bytes, ApiServer.Ct);

    /// <summary>What the server says until it ends the connection; fails when it does not within the time.</summary>
    public async Task<string> ReadToEndAsync(TimeSpan within)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(ApiServer.Ct);
        patience.CancelAfter(within);
        StringBuilder said = new();
        byte[] buffer = new byte[16 * 1024];
        try
        {
            int read;
            while ((read = await _socket.ReceiveAsync(buffer, patience.Token)) > 0)
                said.Append(Encoding.UTF8.GetString(buffer, 0, read));
        }
        catch (SocketException)
        {
            // Reset is ended as well.
        }

        return said.ToString();
    }

    /// <summary>The status line of the next answer.</summary>
    public async Task<string> StatusLineAsync()
    {
        byte[] buffer = new byte[64 * 1024];
        int read = await _socket.ReceiveAsync(buffer, ApiServer.Ct);
        return Encoding.ASCII.GetString(buffer, 0, read).Split('\r')[0];
    }

    public void Dispose() => _socket.Dispose();
}
