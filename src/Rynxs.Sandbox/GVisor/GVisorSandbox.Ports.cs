using System.Net.Sockets;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.GVisor;

/// <summary>What it uses, and streams to its ports.</summary>
internal sealed partial class GVisorSandbox
{
    /// <summary>
    /// Inside, because a sandbox without a network has no interface that a host could reach, and the runtime's own forwarding works with its network stack only. One byte
    /// says that somebody listens there.
    /// </summary>
    private const string Forwarder = """
        import os,socket,sys,threading
        try: s=socket.create_connection(('127.0.0.1',int(sys.argv[1])),5)
        except OSError: os._exit(3)
        s.settimeout(None); os.write(1,b'\1')
        def up():
            while True:
                b=os.read(0,65536)
                if not b: break
                s.sendall(b)
            try: s.shutdown(socket.SHUT_WR)
            except OSError: pass
        threading.Thread(target=up,daemon=True).start()
        while True:
            b=s.recv(65536)
            if not b: break
            while b: b=b[os.write(1,b):]
        os._exit(0)
        """;

    private static readonly TimeSpan ConnectDeadline = TimeSpan.FromSeconds(15);

    public SandboxMeasure Measure() => new(Cgroup.Cpu, Cgroup.MemoryNow, Cgroup.MemoryPeak, Cgroup.Tasks);

    public async Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(port, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, 65535);
        if (!IsDirect || IsGone || _paused)
        {
            throw new SandboxStartException(IsGone ? $"sandbox {Id} has ended" : _paused ? "the sandbox is paused" : "ports need the runtime's control socket, which is not in use here");
        }

        (Socket ours, int theirs) = PacketSocket.StreamPair();
        try
        {
            await Control.ExecuteAsync(
                ["/usr/bin/python3", "-I", "-S", "-c", Forwarder, port.ToString(System.Globalization.CultureInfo.InvariantCulture)], OciBundle.BaseEnvironment, "/", [theirs, theirs, theirs], cancellationToken);
        }
        catch (ControlException refused)
        {
            ours.Dispose();
            throw new SandboxStartException($"no process can be started in the sandbox: {refused.Message}", refused);
        }
        finally
        {
            _ = Libc.close(theirs);
        }

        var stream = new NetworkStream(ours, ownsSocket: true);
        try
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(ConnectDeadline);
            byte[] hello = new byte[1];
            if (await stream.ReadAsync(hello, patience.Token) == 1 && hello[0] == 1)
            {
                return stream;
            }
        }
        catch (Exception failed) when (failed is IOException || (failed is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // Said below.
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }

        await stream.DisposeAsync();
        throw new SandboxStartException($"nothing listens on port {port} of the sandbox's 127.0.0.1");
    }
}
