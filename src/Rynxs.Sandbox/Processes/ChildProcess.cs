using System.Collections;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Sandbox.Processes;

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
    private readonly TaskCompletionSource<int> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ReadOnlyMemory<byte> _input;
    private readonly Action<bool, int, CapturedStream>? _onData;
    private int _stdin = -1;
    private int _stdout = -1;
    private int _stderr = -1;
    private int _pidfd = -1;
    private Func<int> _reap = () => 0;

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
    /// <param name="environment">Added to our environment; not with a spawner.</param>
    /// <param name="spawner">Who starts it; null for this thread.</param>
    /// <param name="cgroup">Where it is born; only with a spawner.</param>
    /// <exception cref="System.ComponentModel.Win32Exception">The program cannot be started.</exception>
    public static ChildProcess Start(
        IReadOnlyList<string> arguments,
        int outputBytes,
        ReadOnlyMemory<byte> input = default,
        Action<bool, int, CapturedStream>? onData = null,
        int stdinFd = -1,
        bool discardOutput = false,
        IReadOnlyDictionary<string, string>? environment = null,
        ISpawner? spawner = null,
        string? cgroup = null)
    {
        var child = new ChildProcess(outputBytes, input, onData);
        child.Spawn(arguments, stdinFd, discardOutput, environment, spawner, cgroup);
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

    private void Spawn(IReadOnlyList<string> arguments, int stdinFd, bool discardOutput, IReadOnlyDictionary<string, string>? environment, ISpawner? spawner, string? cgroup)
    {
        List<int> theirs = [];
        int nullFd = Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (nullFd < 0)
        {
            throw Libc.LastError("/dev/null");
        }

        theirs.Add(nullFd);
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
            SpawnedProcess started;
            if (spawner is null)
            {
                int pid = PosixSpawn.Start(arguments, Environment(environment), childIn, childOut, childErr, wideTable: false);
                started = new SpawnedProcess(pid, PosixSpawn.Hold(pid), () => PosixSpawn.Reap(pid));
            }
            else
            {
                started = spawner.Spawn(new SpawnRequest(arguments, childIn, childOut, childErr, cgroup));
            }

            (Pid, _pidfd, _reap) = started;
        }
        catch
        {
            foreach (int ours in (int[])[_stdin, _stdout, _stderr])
            {
                if (ours >= 0)
                {
                    _ = Libc.close(ours);
                }
            }

            throw;
        }
        finally
        {
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
        new PipePump(_stdin, _stdout, _stderr, _pidfd, _input, Output, Error, _onData).Run();
        int status;
        lock (_exited)
        {
            status = _reap();
            _ = Libc.close(_pidfd);
            _pidfd = -1;
        }

        int signal = status & 0x7f;
        _exited.SetResult(signal != 0 ? 128 + signal : (status >> 8) & 0xff);
    }
}
