using System.Text;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Processes;

/// <summary>How one stream of a child is kept.</summary>
internal sealed class CapturedStream(int capBytes)
{
    private readonly MemoryStream _kept = new();

    private bool _awaitsMark;

    /// <summary>Timestamp (monotonic) of the stream's first byte, where that byte is a mark of ours (<see cref="ExpectMark"/>).</summary>
    public long? MarkedAt { get; private set; }

    /// <summary>Bytes that arrived, kept or not.</summary>
    public long Seen { get; private set; }

    public bool Truncated => Seen > _kept.Length;

    public ReadOnlyMemory<byte> Bytes => _kept.GetBuffer().AsMemory(0, (int)_kept.Length);

    public string Text => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>The first byte says that the program is about to begin; it is not the program's and is not kept.</summary>
    public void ExpectMark() => _awaitsMark = true;

    /// <summary>Keeps what fits and returns that part.</summary>
    public ReadOnlySpan<byte> Accept(ReadOnlySpan<byte> chunk)
    {
        if (_awaitsMark && chunk.Length > 0)
        {
            _awaitsMark = false;
            MarkedAt = System.Diagnostics.Stopwatch.GetTimestamp();
            chunk = chunk[1..];
        }

        Seen += chunk.Length;
        ReadOnlySpan<byte> kept = chunk[..(int)Math.Min(chunk.Length, capBytes - _kept.Length)];
        _kept.Write(kept);
        return kept;
    }
}

/// <summary>
/// Moves bytes between a program's pipes and memory with poll, on the thread that calls it, until a descriptor says that the program has ended.
/// Nothing can deadlock on a full pipe, and no pool thread is blocked.
/// </summary>
/// <remarks>The three pipes are closed at the end; the end's descriptor stays the caller's.</remarks>
internal sealed unsafe class PipePump(
    int stdin, int stdout, int stderr, int end, ReadOnlyMemory<byte> input, CapturedStream output, CapturedStream error, Action<bool, int, CapturedStream>? onData)
{
    private int _stdin = stdin;
    private int _stdout = stdout;
    private int _stderr = stderr;

    public void Run()
    {
        foreach (int ours in (int[])[_stdin, _stdout, _stderr])
        {
            if (ours >= 0)
            {
                SetNonBlocking(ours);
            }
        }

        byte[] buffer = new byte[64 * 1024];
        int inputSent = 0;
        Libc.PollFd* entries = stackalloc Libc.PollFd[4];
        bool ended = false;
        while (!ended)
        {
            entries[0] = new Libc.PollFd { Fd = _stdout, Events = Libc.PollIn };
            entries[1] = new Libc.PollFd { Fd = _stderr, Events = Libc.PollIn };
            entries[2] = new Libc.PollFd { Fd = _stdin, Events = Libc.PollOut };
            entries[3] = new Libc.PollFd { Fd = end, Events = Libc.PollIn };
            if (Libc.poll(entries, 4, -1) < 0)
            {
                continue; // EINTR
            }

            ended = entries[3].Revents != 0;
            ReadOnce(ref _stdout, entries[0].Revents, output, false, buffer);
            ReadOnce(ref _stderr, entries[1].Revents, error, true, buffer);
            if (entries[2].Revents != 0)
            {
                SendInput(ref inputSent);
            }
        }

        // What had been written before the exit is still in the pipes. A process that outlived the child may hold them open, so
        // read until they are empty, not until end of file, and no more than a pipe can hold.
        Drain(ref _stdout, output, false, buffer);
        Drain(ref _stderr, error, true, buffer);
        foreach (int ours in (int[])[_stdin, _stdout, _stderr])
        {
            if (ours >= 0)
            {
                _ = Libc.close(ours);
            }
        }
    }

    internal static void SetNonBlocking(int fd)
    {
        const int getFlags = 3, setFlags = 4;
        if (Libc.fcntl(fd, setFlags, Libc.fcntl(fd, getFlags, 0) | (uint)Libc.O_NONBLOCK) < 0)
        {
            throw Libc.LastError("fcntl");
        }
    }

    private void Drain(ref int fd, CapturedStream stream, bool isError, byte[] buffer)
    {
        const int pipeCapacity = 1024 * 1024;
        long limit = stream.Seen + pipeCapacity;
        while (fd >= 0 && stream.Seen < limit)
        {
            long before = stream.Seen;
            bool mark = stream.MarkedAt is null;
            ReadOnce(ref fd, Libc.PollIn, stream, isError, buffer);
            if (stream.Seen == before && mark == stream.MarkedAt is null)
            {
                return;
            }
        }
    }

    private void ReadOnce(ref int fd, short events, CapturedStream stream, bool isError, byte[] buffer)
    {
        if (fd < 0 || events == 0)
        {
            return;
        }

        nint count;
        fixed (byte* target = buffer)
        {
            count = Libc.read(fd, target, (nuint)buffer.Length);
        }

        if (count > 0)
        {
            int kept = stream.Accept(buffer.AsSpan(0, (int)count)).Length;
            onData?.Invoke(isError, kept, stream);
        }
        else if (count == 0 || Libc.LastErrno is not (Libc.EAGAIN or Libc.EINTR))
        {
            _ = Libc.close(fd);
            fd = -1;
        }
    }

    private void SendInput(ref int sent)
    {
        nint count = -1;
        if (sent < input.Length)
        {
            fixed (byte* source = input.Span[sent..])
            {
                count = Libc.write(_stdin, source, (nuint)(input.Length - sent));
            }

            if (count < 0 && Libc.LastErrno is (Libc.EAGAIN or Libc.EINTR))
            {
                return;
            }

            sent += (int)Math.Max(count, 0);
        }

        if (count < 0 || sent == input.Length)
        {
            _ = Libc.close(_stdin);
            _stdin = -1;
        }
    }
}
