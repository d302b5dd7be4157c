using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Processes;

/// <summary>
/// Moves bytes between a program and a caller while both live, with poll, on the thread that calls it, until a descriptor says that the program has ended.
/// </summary>
/// <remarks>With a terminal, input and output are one descriptor. All but the two event descriptors are closed at the end.</remarks>
internal sealed unsafe class InteractivePump(int input, int output, int error, int end, int wake, ProgramInteraction interaction, CapturedStream keptOutput, CapturedStream keptError, Action beforeClose)
{
    private const int DrainBytes = 1024 * 1024;
    private readonly bool _isTerminal = input == output;
    private int _input = input;
    private int _output = output;
    private int _error = error;

    public void Run()
    {
        foreach (int ours in (int[])[_input, _output, _error])
        {
            if (ours >= 0)
            {
                PipePump.SetNonBlocking(ours);
            }
        }

        byte[] buffer = new byte[32 * 1024];
        Libc.PollFd* entries = stackalloc Libc.PollFd[5];
        bool ended = false;
        while (!ended)
        {
            (ReadOnlyMemory<byte> next, bool isLast) = interaction.Peek();
            bool wantsInput = _input >= 0 && (next.Length > 0 || isLast);
            entries[0] = new Libc.PollFd { Fd = _output, Events = Libc.PollIn };
            entries[1] = new Libc.PollFd { Fd = _error, Events = Libc.PollIn };
            entries[2] = new Libc.PollFd { Fd = wantsInput ? _input : -1, Events = Libc.PollOut };
            entries[3] = new Libc.PollFd { Fd = end, Events = Libc.PollIn };
            entries[4] = new Libc.PollFd { Fd = wake, Events = Libc.PollIn };
            if (Libc.poll(entries, 5, -1) < 0)
            {
                continue; // EINTR
            }

            ended = entries[3].Revents != 0;
            if (entries[4].Revents != 0)
            {
                ulong count;
                _ = Libc.read(wake, &count, sizeof(ulong));
            }

            _ = Read(ref _output, entries[0].Revents, false, buffer);
            _ = Read(ref _error, entries[1].Revents, true, buffer);
            if (wantsInput && entries[2].Revents != 0)
            {
                Write(next, isLast);
            }
        }

        Drain(ref _output, false, buffer);
        Drain(ref _error, true, buffer);
        beforeClose();
        Close(ref _error);
        Close(ref _output);
        if (!_isTerminal)
        {
            Close(ref _input);
        }
    }

    private void Write(ReadOnlyMemory<byte> next, bool isLast)
    {
        if (next.Length == 0 && isLast)
        {
            if (_isTerminal)
            {
                byte endOfTransmission = 4;
                _ = Libc.write(_input, &endOfTransmission, 1);
                _input = -1; // the descriptor is the output's
            }
            else
            {
                Close(ref _input);
            }

            return;
        }

        nint count;
        fixed (byte* source = next.Span)
        {
            count = Libc.write(_input, source, (nuint)next.Length);
        }

        if (count > 0)
        {
            interaction.Take((int)count);
        }
        else if (Libc.LastErrno is not (Libc.EAGAIN or Libc.EINTR))
        {
            interaction.Take(next.Length); // nobody reads it any more
            if (!_isTerminal)
            {
                Close(ref _input);
            }
        }
    }

    private void Drain(ref int fd, bool isError, byte[] buffer)
    {
        for (long seen = 0; seen < DrainBytes;)
        {
            int count = Read(ref fd, Libc.PollIn, isError, buffer);
            if (count <= 0)
            {
                return;
            }

            seen += count;
        }
    }

    private int Read(ref int fd, short events, bool isError, byte[] buffer)
    {
        if (fd < 0 || events == 0)
        {
            return 0;
        }

        nint count;
        fixed (byte* target = buffer)
        {
            count = Libc.read(fd, target, (nuint)buffer.Length);
        }

        if (count > 0)
        {
            (isError ? keptError : keptOutput).Accept(buffer.AsSpan(0, (int)count));
            interaction.OnOutput(new OutputChunk(isError, buffer.AsSpan(0, (int)count).ToArray()));
            return (int)count;
        }

        // A terminal whose last user has gone reads EIO; its descriptor stays open for a program that opens it again.
        if (!_isTerminal && (count == 0 || Libc.LastErrno is not (Libc.EAGAIN or Libc.EINTR)))
        {
            Close(ref fd);
        }

        return 0;
    }

    private static void Close(ref int fd)
    {
        if (fd >= 0)
        {
            _ = Libc.close(fd);
            fd = -1;
        }
    }
}
