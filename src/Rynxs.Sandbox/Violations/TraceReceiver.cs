using System.Net.Sockets;

namespace Rynxs.Sandbox.Violations;

/// <summary>How a trace session ended.</summary>
internal abstract record TraceEnd
{
    private TraceEnd()
    {
    }

    /// <summary>The sandbox closed it. Before the sandbox's own end this means that it runs unseen: an incident.</summary>
    public sealed record EndOfStream : TraceEnd;

    /// <summary>The receiver was disposed.</summary>
    public sealed record Stopped : TraceEnd;

    /// <summary>The handshake, the transport or the consumer failed: also an incident.</summary>
    public sealed record Failed(Exception Cause) : TraceEnd;
}

/// <summary>
/// Receives the trace session of one sandbox on a SOCK_SEQPACKET socket. Events are handed to a callback on the receiver's own thread, at once, because a
/// receiver that lags makes the guest wait and then loses events; the callback must be quick.
/// </summary>
/// <remarks>Stopping: shut the connection down, wait for the thread, remove the socket file.</remarks>
internal sealed class TraceReceiver : IAsyncDisposable
{
    /// <summary>More than a socket's default send buffer (208 KiB) lets through, so no packet is ever cut.</summary>
    private const int BufferBytes = 256 * 1024;
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(5);

    private readonly Socket _listener;
    private readonly Action<TraceEvent> _onEvent;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Socket? _connection;
    private uint _droppedBySender;
    private long _malformed;
    private long _received;

    private TraceReceiver(string socketPath, Socket listener, Action<TraceEvent> onEvent)
    {
        SocketPath = socketPath;
        _listener = listener;
        _onEvent = onEvent;
        Completion = RunAsync();
    }

    public string SocketPath { get; }

    /// <summary>Done after the handshake; cancelled when the receiver ends without one.</summary>
    public Task Connected => _connected.Task;

    /// <summary>Never faults: the value says what happened.</summary>
    public Task<TraceEnd> Completion { get; }

    /// <summary>Packets received.</summary>
    public long Received => Interlocked.Read(ref _received);

    /// <summary>Events lost: dropped by the sandbox (its own running count) or malformed.</summary>
    public long Dropped => Volatile.Read(ref _droppedBySender) + Interlocked.Read(ref _malformed);

    /// <summary>Listens for one connection. A socket file left there is replaced.</summary>
    /// <param name="socketPath">At most 107 bytes, in a directory that only its owner may enter; it is created with mode 700 when missing.</param>
    /// <param name="onEvent">Called for every event on one thread.</param>
    /// <exception cref="InvalidOperationException">The directory is open to others.</exception>
    public static TraceReceiver Listen(string socketPath, Action<TraceEvent> onEvent)
    {
        ArgumentException.ThrowIfNullOrEmpty(socketPath);
        ArgumentNullException.ThrowIfNull(onEvent);
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        string directory = Path.GetDirectoryName(Path.GetFullPath(socketPath)) ?? "/";
        if (!OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException();
        }

        Directory.CreateDirectory(directory, ownerOnly);
        if ((File.GetUnixFileMode(directory) & ~ownerOnly) != 0)
        {
            throw new InvalidOperationException($"the directory of the trace socket is open to others: {directory}");
        }

        File.Delete(socketPath);
        var listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(socketPath));
            File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(1);
            return new TraceReceiver(socketPath, listener, onEvent);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    /// <summary>Cuts the connection, as a crash of the sink would.</summary>
    internal void CutForTest() => _connection?.Shutdown(SocketShutdown.Both);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Completion;
        _stop.Dispose();
    }

    private async Task<TraceEnd> RunAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            using Socket connection = await AcceptAsync();
            _connection = connection;
            return await Task.Factory.StartNew(
                () => Receive(connection), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            return new TraceEnd.Stopped();
        }
        catch (Exception e)
        {
            // The top of this task: whatever went wrong, the owner learns that nobody watches any more.
            return _stop.IsCancellationRequested ? new TraceEnd.Stopped() : new TraceEnd.Failed(e);
        }
        finally
        {
            _listener.Dispose();
            File.Delete(SocketPath);
            _connected.TrySetCanceled();
        }
    }

    /// <summary>One connection, one handshake; nobody else is let in afterwards.</summary>
    private async Task<Socket> AcceptAsync()
    {
        Socket connection = await _listener.AcceptAsync(_stop.Token);
        try
        {
            _listener.Close();
            using var timeout = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
            timeout.CancelAfter(HandshakeTimeout);
            byte[] hello = new byte[1024];
            int length = await connection.ReceiveAsync(hello, SocketFlags.None, timeout.Token);
            uint? version = TraceDecoder.DecodeHandshake(hello.AsSpan(0, length));
            if (version is null or 0)
            {
                throw new InvalidDataException("the trace session began with something other than a handshake of version 1 or later");
            }

            byte[] answer = [0x08, 0x01];
            await connection.SendAsync(answer, SocketFlags.None, timeout.Token);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private TraceEnd Receive(Socket connection)
    {
        connection.Blocking = true;
        using CancellationTokenRegistration stopping = _stop.Token.Register(() => connection.Shutdown(SocketShutdown.Both));
        _connected.TrySetResult();
        byte[] buffer = GC.AllocateUninitializedArray<byte>(BufferBytes, pinned: true);
        while (true)
        {
            int length;
            try
            {
                length = connection.Receive(buffer);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
            {
                length = 0; // the sandbox was killed with our answer unread
            }

            if (length == 0)
            {
                return _stop.IsCancellationRequested ? new TraceEnd.Stopped() : new TraceEnd.EndOfStream();
            }

            Interlocked.Increment(ref _received);
            if (TraceDecoder.TryDecode(buffer.AsSpan(0, length), out TraceEvent? received, out uint dropped) && received is not null)
            {
                Volatile.Write(ref _droppedBySender, Math.Max(_droppedBySender, dropped));
                _onEvent(received);
            }
            else
            {
                Interlocked.Increment(ref _malformed);
            }
        }
    }
}
