using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Authentication;

namespace Rynxs.Ledger.Export;

/// <summary>
/// Syslog over TCP or TLS. Syslog has no answers, so a batch counts as received when the peer's kernel has acknowledged every byte of it
/// (SIOCOUTQ is 0) and the connection still stands. A receiver that dies with bytes in its own buffers loses them all the same: the gap shows
/// there by the sequence, and docs/operations/siem.md says how to send again.
/// </summary>
internal sealed partial class SyslogTarget(ExportDestination destination, ExportTargetOptions options) : IExportTarget
{
    /// <summary>Bytes in the send queue that the peer has not acknowledged (linux/sockios.h).</summary>
    private const nuint Siocoutq = 0x5411;

    private static readonly TimeSpan AcknowledgementPoll = TimeSpan.FromMilliseconds(2);

    private readonly CefSyslogFormat _format = new(options.HostName, options.Version);
    private Socket? _socket;
    private Stream? _stream;

    public async Task SendAsync(IReadOnlyList<ExportedEvent> batch, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(options.Timeout);
        try
        {
            Stream stream = await ConnectAsync(timeout.Token).ConfigureAwait(false);
            using var frames = new MemoryStream();
            foreach (ExportedEvent exported in batch)
            {
                frames.Write(_format.Frame(exported));
            }

            await stream.WriteAsync(frames.GetBuffer().AsMemory(0, (int)frames.Length), timeout.Token).ConfigureAwait(false);
            await stream.FlushAsync(timeout.Token).ConfigureAwait(false);
            await WaitForAcknowledgementAsync(timeout.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or SocketException or AuthenticationException or OperationCanceledException or ObjectDisposedException)
        {
            await DisconnectAsync().ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            string why = exception is OperationCanceledException ? $"no acknowledgement within {options.Timeout.TotalSeconds:0} s" : exception.Message;
            throw new ExportException($"{destination.Transport.Host}:{destination.Transport.Port}: {why}", exception);
        }
    }

    public async ValueTask DisposeAsync() => await DisconnectAsync().ConfigureAwait(false);

    private async Task<Stream> ConnectAsync(CancellationToken cancellationToken)
    {
        if (_stream is not null && !PeerHasClosed())
        {
            return _stream;
        }

        await DisconnectAsync().ConfigureAwait(false);
        _socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await _socket.ConnectAsync(destination.Transport.IdnHost, destination.Transport.Port, cancellationToken).ConfigureAwait(false);
        Stream stream = new NetworkStream(_socket, ownsSocket: false);
        if (destination.Transport.Scheme == "tls")
        {
            var tls = new SslStream(stream, leaveInnerStreamOpen: false);
            _stream = tls;
            await tls.AuthenticateAsClientAsync(TrustedRoots.For(destination.Transport.IdnHost, options.CaFile), cancellationToken).ConfigureAwait(false);
        }

        return _stream = _stream ?? stream;
    }

    /// <summary>Readable with nothing to read: the peer has closed, and what is written now would be lost without an error.</summary>
    private bool PeerHasClosed() => _socket is null || (_socket.Poll(0, SelectMode.SelectRead) && _socket.Available == 0);

    private async Task WaitForAcknowledgementAsync(CancellationToken cancellationToken)
    {
        Socket socket = _socket ?? throw new UnreachableException();
        while (true)
        {
            if (IoControl(socket.SafeHandle, Siocoutq, out int unsent) != 0)
            {
                throw new IOException($"The send queue cannot be read (errno {Marshal.GetLastPInvokeError()}).");
            }

            if (PeerHasClosed())
            {
                throw new IOException("The receiver closed the connection.");
            }

            if (unsent == 0)
            {
                return;
            }

            await Task.Delay(AcknowledgementPoll, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task DisconnectAsync()
    {
        if (_stream is not null)
        {
            try
            {
                await _stream.DisposeAsync().ConfigureAwait(false);
            }
            catch (IOException)
            {
                // Closing what is broken already.
            }
        }

        _socket?.Dispose();
        (_stream, _socket) = (null, null);
    }

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int IoControl(SafeHandle socket, nuint request, out int value);
}
