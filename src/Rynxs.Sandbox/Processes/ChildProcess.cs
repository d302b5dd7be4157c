using System.Collections;
using System.Diagnostics;
using System.Text;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Processes;

/// <summary>How one stream of a child is kept.</summary>
internal sealed class CapturedStream(int capBytes)
{
    private readonly MemoryStream _kept = new();

    /// <summary>Bytes that arrived, kept or not.</summary>
    public long Seen { get; private set; }

    public bool Truncated => Seen > _kept.Length;

    public ReadOnlyMemory<byte> Bytes => _kept.GetBuffer().AsMemory(0, (int)_kept.Length);

    public string Text => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>Keeps what fits and returns that part.</summary>
    public ReadOnlySpan<byte> Accept(ReadOnlySpan<byte> chunk)
    {
        Seen += chunk.Length;
        ReadOnlySpan<byte> kept = chunk[..(int)Math.Min(chunk.Length, capBytes - _kept.Length)];
        _kept.Write(kept);
        return kept;
    }
}

/// <summary>
/// A child started with posix_spawn in a session of its own, with default signal dispositions (.NET ignores SIGPIPE, and children
/// would inherit that) and no descriptor but its three. One thread per child pumps its pipes with poll and reaps it, so nothing can
/// deadlock on a full pipe and no pool thread is blocked.
/// </summary>
/// <remarks>
/// Not System.Diagnostics.Process: the idle program of a sandbox needs pipes that outlive the command that created it, and descriptors
/// given as they are. Only pids started here are waited for, so children of Process are never stolen.
/// </remarks>
internal sealed unsafe class ChildProcess
{
    private const short SetSigMask = 8, SetSigDefault = 4, SetSession = 0x80;
    private readonly TaskCompletionSource<int> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ReadOnlyMemory<byte> _input;
    private readonly Action<bool, int, CapturedStream>? _onData;
    private int _stdin;
    private int _stdout;
    private int _stderr;
    private int _pidfd;

    private ChildProcess(int outputBytes, ReadOnlyMemory<byte> input, Action<bool, int, CapturedStream>? onData)
    {
        Output = new CapturedStream(outputBytes);
        Error = new CapturedStream(outputBytes);
        _input = input;
        _onData = onData;
    }

    public int Pid { get; private set; }

    public CapturedStream Output { get; }

    public CapturedStream Error { get; }

    /// <summary>Exit code, or 128 + signal. Completes after both streams are drained of what had been written before the exit.</summary>
    public Task<int> Exited => _exited.Task;

    /// <summary>Starts a program.</summary>
    /// <param name="arguments">The program (looked up in PATH) and its arguments.</param>
    /// <param name="outputBytes">Bytes kept of each stream; the rest is read and dropped.</param>
    /// <param name="input">Given on standard input, then end of file.</param>
    /// <param name="onData">Called on the pump's thread after each chunk: is error, new kept bytes, the stream.</param>
    /// <param name="stdinFd">A descriptor to use as standard input in place of <paramref name="input"/>; -1 for none.</param>
    /// <param name="discardOutput">Standard output goes to the null device.</param>
    /// <param name="environment">Added to our environment.</param>
    /// <exception cref="System.ComponentModel.Win32Exception">The program cannot be started.</exception>
    public static ChildProcess Start(
        IReadOnlyList<string> arguments,
        int outputBytes,
        ReadOnlyMemory<byte> input = default,
        Action<bool, int, CapturedStream>? onData = null,
        int stdinFd = -1,
        bool discardOutput = false,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        var child = new ChildProcess(outputBytes, input, onData);
        child.Spawn(arguments, stdinFd, discardOutput, environment);
        var pump = new Thread(child.Pump, 256 * 1024) { IsBackground = true, Name = "child " + arguments[0] };
        pump.Start();
        return child;
    }

    /// <summary>Kills the child if it still runs.</summary>
    public void Kill()
    {
        lock (_exited)
        {
            if (_pidfd >= 0)
            {
                Libc.KillPidfd(_pidfd);
            }
        }
    }

    /// <summary>Kills the child and what it started in its process group, which is its own (see <see cref="Start"/>).</summary>
    public void KillSession()
    {
        lock (_exited)
        {
            // While the pidfd is open the child is not reaped, so its number still names its group.
            if (_pidfd >= 0)
            {
                _ = Libc.kill(-Pid, Libc.SigKill);
            }
        }
    }

    private void Spawn(IReadOnlyList<string> arguments, int stdinFd, bool discardOutput, IReadOnlyDictionary<string, string>? environment)
    {
        List<int> theirs = [];
        _stdin = _stdout = _stderr = -1;
        byte* actions = stackalloc byte[256];
        byte* attributes = stackalloc byte[512];
        byte* fullSet = stackalloc byte[128];
        byte* emptySet = stackalloc byte[128];
        new Span<byte>(fullSet, 128).Fill(0xff);
        new Span<byte>(emptySet, 128).Clear();
        using var argv = new NativeStrings(arguments);
        using var envp = new NativeStrings(Environment(environment));
        int nullFd = Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (nullFd < 0)
        {
            throw Libc.LastError("/dev/null");
        }

        theirs.Add(nullFd);
        Require(Libc.posix_spawn_file_actions_init(actions));
        Require(Libc.posix_spawnattr_init(attributes));
        try
        {
            int childIn = stdinFd >= 0 ? stdinFd : nullFd;
            if (stdinFd < 0 && !_input.IsEmpty)
            {
                (childIn, _stdin) = NewPipe();
                theirs.Add(childIn);
            }

            int childOut = nullFd;
            if (!discardOutput)
            {
                (_stdout, childOut) = NewPipe();
                theirs.Add(childOut);
            }

            (_stderr, int childErr) = NewPipe();
            theirs.Add(childErr);
            foreach (int ours in (int[])[_stdin, _stdout, _stderr])
            {
                if (ours >= 0)
                {
                    SetNonBlocking(ours);
                }
            }

            Require(Libc.posix_spawn_file_actions_adddup2(actions, childIn, 0));
            Require(Libc.posix_spawn_file_actions_adddup2(actions, childOut, 1));
            Require(Libc.posix_spawn_file_actions_adddup2(actions, childErr, 2));
            Require(Libc.posix_spawnattr_setsigdefault(attributes, fullSet));
            Require(Libc.posix_spawnattr_setsigmask(attributes, emptySet));
            Require(Libc.posix_spawnattr_setflags(attributes, SetSigMask | SetSigDefault | SetSession));
            int pid;
            int error = Libc.posix_spawnp(&pid, argv.Pointers[0], actions, attributes, argv.Pointers, envp.Pointers);
            if (error != 0)
            {
                throw new System.ComponentModel.Win32Exception(error);
            }

            Pid = pid;
            // The child cannot be reaped by anyone else before this, so the number is still its own.
            _pidfd = Libc.OpenPidfd(pid);
            if (_pidfd < 0)
            {
                // Out of descriptors: a child whose end cannot be awaited must not run.
                System.ComponentModel.Win32Exception failed = Libc.LastError("pidfd_open");
                _ = Libc.kill(pid, Libc.SigKill);
                int status;
                _ = Libc.waitpid(pid, &status, 0);
                throw failed;
            }
        }
        catch
        {
            CloseOurs();
            throw;
        }
        finally
        {
            _ = Libc.posix_spawn_file_actions_destroy(actions);
            _ = Libc.posix_spawnattr_destroy(attributes);
            theirs.ForEach(fd => Libc.close(fd));
        }
    }

    /// <summary>A pipe whose ends are closed on exec; no child inherits one that it was not given.</summary>
    internal static (int Read, int Write) NewPipe()
    {
        int* ends = stackalloc int[2];
        if (Libc.pipe2(ends, Libc.O_CLOEXEC) != 0)
        {
            throw Libc.LastError("pipe2");
        }

        return (ends[0], ends[1]);
    }

    private static void Require(int error)
    {
        if (error != 0)
        {
            throw new System.ComponentModel.Win32Exception(error);
        }
    }

    private static void SetNonBlocking(int fd)
    {
        const int getFlags = 3, setFlags = 4;
        if (Libc.fcntl(fd, setFlags, Libc.fcntl(fd, getFlags, 0) | (uint)Libc.O_NONBLOCK) < 0)
        {
            throw Libc.LastError("fcntl");
        }
    }

    private static List<string> Environment(IReadOnlyDictionary<string, string>? added)
    {
        Dictionary<string, string> all = [];
        foreach (DictionaryEntry entry in System.Environment.GetEnvironmentVariables())
        {
            all[(string)entry.Key] = (string?)entry.Value ?? "";
        }

        foreach ((string name, string value) in added ?? new Dictionary<string, string>())
        {
            all[name] = value;
        }

        return [.. all.Select(pair => $"{pair.Key}={pair.Value}")];
    }

    private void Pump()
    {
        byte[] buffer = new byte[64 * 1024];
        int inputSent = 0;
        Libc.PollFd* entries = stackalloc Libc.PollFd[4];
        bool ended = false;
        while (!ended)
        {
            entries[0] = new Libc.PollFd { Fd = _stdout, Events = Libc.PollIn };
            entries[1] = new Libc.PollFd { Fd = _stderr, Events = Libc.PollIn };
            entries[2] = new Libc.PollFd { Fd = _stdin, Events = Libc.PollOut };
            entries[3] = new Libc.PollFd { Fd = _pidfd, Events = Libc.PollIn };
            if (Libc.poll(entries, 4, -1) < 0)
            {
                continue; // EINTR
            }

            ended = entries[3].Revents != 0;
            ReadOnce(ref _stdout, entries[0].Revents, Output, false, buffer);
            ReadOnce(ref _stderr, entries[1].Revents, Error, true, buffer);
            if (entries[2].Revents != 0)
            {
                SendInput(ref inputSent);
            }
        }

        // What had been written before the exit is still in the pipes. A process that outlived the child may hold them open, so
        // read until they are empty, not until end of file, and no more than a pipe can hold.
        Drain(ref _stdout, Output, false, buffer);
        Drain(ref _stderr, Error, true, buffer);
        int status;
        lock (_exited)
        {
            while (Libc.waitpid(Pid, &status, 0) < 0 && Libc.LastErrno == Libc.EINTR)
            {
            }

            Libc.close(_pidfd);
            _pidfd = -1;
        }

        CloseOurs();
        int signal = status & 0x7f;
        _exited.SetResult(signal != 0 ? 128 + signal : (status >> 8) & 0xff);
    }

    private void Drain(ref int fd, CapturedStream stream, bool isError, byte[] buffer)
    {
        const int pipeCapacity = 1024 * 1024;
        long limit = stream.Seen + pipeCapacity;
        while (fd >= 0 && stream.Seen < limit)
        {
            long before = stream.Seen;
            ReadOnce(ref fd, Libc.PollIn, stream, isError, buffer);
            if (stream.Seen == before)
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
            _onData?.Invoke(isError, kept, stream);
        }
        else if (count == 0 || Libc.LastErrno is not (Libc.EAGAIN or Libc.EINTR))
        {
            Libc.close(fd);
            fd = -1;
        }
    }

    private void SendInput(ref int sent)
    {
        nint count = -1;
        if (sent < _input.Length)
        {
            fixed (byte* source = _input.Span[sent..])
            {
                count = Libc.write(_stdin, source, (nuint)(_input.Length - sent));
            }

            if (count < 0 && Libc.LastErrno is (Libc.EAGAIN or Libc.EINTR))
            {
                return;
            }

            sent += (int)Math.Max(count, 0);
        }

        if (count < 0 || sent == _input.Length)
        {
            Libc.close(_stdin);
            _stdin = -1;
        }
    }

    private void CloseOurs()
    {
        foreach (int fd in (int[])[_stdin, _stdout, _stderr])
        {
            if (fd >= 0)
            {
                Libc.close(fd);
            }
        }

        _stdin = _stdout = _stderr = -1;
    }

    /// <summary>A null-terminated array of C strings.</summary>
    private readonly ref struct NativeStrings
    {
        private readonly nint _block;

        public NativeStrings(IReadOnlyList<string> strings)
        {
            byte[][] encoded = [.. strings.Select(Encoding.UTF8.GetBytes)];
            int table = (strings.Count + 1) * sizeof(nint);
            _block = (nint)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)(table + encoded.Sum(bytes => bytes.Length + 1)));
            Pointers = (byte**)_block;
            byte* next = (byte*)_block + table;
            for (int i = 0; i < encoded.Length; i++)
            {
                Debug.Assert(!encoded[i].Contains((byte)0), "callers refuse NUL");
                encoded[i].CopyTo(new Span<byte>(next, encoded[i].Length));
                Pointers[i] = next;
                next += encoded[i].Length + 1;
            }
        }

        public byte** Pointers { get; }

        public void Dispose() => System.Runtime.InteropServices.NativeMemory.Free((void*)_block);
    }
}
