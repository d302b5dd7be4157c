using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Native;

/// <summary>One end of a unix socket that keeps packets apart. Blocking; descriptors go along by SCM_RIGHTS.</summary>
internal sealed unsafe class PacketSocket : SafeHandle
{
    /// <summary>Most descriptors of one packet.</summary>
    public const int MaxDescriptors = 8;

    private const int Unix = 1, Seqpacket = 5, CloseOnExec = 0x80000, SolSocket = 1, ScmRights = 1, NoSignal = 0x4000, CmsgCloseOnExec = 0x40000000;
    private const int Truncated = 0x20, ControlTruncated = 0x8;

    /// <param name="descriptor">Owned from now on.</param>
    public PacketSocket(int descriptor)
        : base(-1, ownsHandle: true) => SetHandle(descriptor);

    public override bool IsInvalid => handle < 0;

    /// <summary>The number, for a child to inherit.</summary>
    public int Number => (int)handle;

    /// <summary>Two connected ends, closed on exec.</summary>
    public static (PacketSocket Ours, PacketSocket Theirs) NewPair()
    {
        int* ends = stackalloc int[2];
        return Libc.socketpair(Unix, Seqpacket | CloseOnExec, 0, ends) == 0
            ? (new PacketSocket(ends[0]), new PacketSocket(ends[1]))
            : throw Libc.LastError("socketpair");
    }

    /// <summary>Two connected ends of a byte stream, closed on exec: ours for asynchronous use, the other as a descriptor that the caller closes.</summary>
    public static (System.Net.Sockets.Socket Ours, int Theirs) StreamPair()
    {
        const int stream = 1;
        int* ends = stackalloc int[2];
        return Libc.socketpair(Unix, stream | CloseOnExec, 0, ends) == 0
            ? (new System.Net.Sockets.Socket(new System.Net.Sockets.SafeSocketHandle(ends[0], ownsHandle: true)), ends[1])
            : throw Libc.LastError("socketpair");
    }

    /// <summary>Sends a packet whole.</summary>
    /// <exception cref="IOException">The other end is gone.</exception>
    public void Send(ReadOnlySpan<byte> packet, ReadOnlySpan<int> descriptors)
    {
        bool added = false;
        try
        {
            DangerousAddRef(ref added);
            SendWithDescriptors((int)handle, packet, descriptors);
        }
        catch (ObjectDisposedException closed)
        {
            throw new IOException("this end is closed", closed);
        }
        finally
        {
            if (added)
            {
                DangerousRelease();
            }
        }
    }

    /// <summary>Sends bytes and descriptors at once on any unix socket.</summary>
    /// <exception cref="IOException">The other end is gone, or does not take them whole.</exception>
    public static void SendWithDescriptors(int socket, ReadOnlySpan<byte> packet, ReadOnlySpan<int> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors);
        byte* control = stackalloc byte[16 + (MaxDescriptors * 4)];
        fixed (byte* data = packet)
        {
            var vector = new Libc.IoVector { Base = data, Length = (nuint)packet.Length };
            var message = new Libc.MessageHeader { Vectors = &vector, VectorCount = 1 };
            if (!descriptors.IsEmpty)
            {
                *(ulong*)control = (ulong)(16 + (descriptors.Length * 4));
                *(int*)(control + 8) = SolSocket;
                *(int*)(control + 12) = ScmRights;
                descriptors.CopyTo(new Span<int>(control + 16, descriptors.Length));
                message.Control = control;
                message.ControlLength = (nuint)(16 + (descriptors.Length * 4) + (descriptors.Length % 2 * 4));
            }

            nint sent;
            do
            {
                sent = Libc.sendmsg(socket, &message, NoSignal);
            }
            while (sent < 0 && Libc.LastErrno == Libc.EINTR);
            if (sent != packet.Length)
            {
                throw new IOException($"the other end does not take packets: {Libc.LastError("sendmsg").Message}");
            }
        }
    }

    /// <summary>Waits for a packet; -1 at the end of the stream.</summary>
    /// <param name="buffer">Takes the packet; one that is larger is an error.</param>
    /// <param name="descriptors">Receives the descriptors that came along; the caller closes them.</param>
    public int Receive(Span<byte> buffer, List<int> descriptors)
    {
        const int controlBytes = 16 + (MaxDescriptors * 4);
        byte* control = stackalloc byte[controlBytes];
        fixed (byte* data = buffer)
        {
            var vector = new Libc.IoVector { Base = data, Length = (nuint)buffer.Length };
            var message = new Libc.MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = controlBytes };
            nint count = -1;
            bool added = false;
            try
            {
                DangerousAddRef(ref added);
                do
                {
                    count = Libc.recvmsg((int)handle, &message, CmsgCloseOnExec);
                }
                while (count < 0 && Libc.LastErrno == Libc.EINTR);
            }
            catch (ObjectDisposedException)
            {
                return -1;
            }
            finally
            {
                if (added)
                {
                    DangerousRelease();
                }
            }

            if (count <= 0)
            {
                return -1;
            }

            if (message.ControlLength >= 16 && *(int*)(control + 8) == SolSocket && *(int*)(control + 12) == ScmRights)
            {
                int carried = ((int)*(ulong*)control - 16) / 4;
                descriptors.AddRange(new Span<int>(control + 16, Math.Min(carried, MaxDescriptors)).ToArray());
            }

            return (message.Flags & (Truncated | ControlTruncated)) == 0 ? (int)count : throw new InvalidDataException("a packet was cut");
        }
    }

    /// <summary>Ends both directions: a thread that waits in <see cref="Receive"/> returns.</summary>
    public void Shutdown()
    {
        bool added = false;
        try
        {
            DangerousAddRef(ref added);
            _ = Libc.shutdown((int)handle, 2);
        }
        catch (ObjectDisposedException)
        {
            // Closed means shut down.
        }
        finally
        {
            if (added)
            {
                DangerousRelease();
            }
        }
    }

    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;
}
