using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Spawning;

/// <summary>posix_spawn in a session of its own, with default signal dispositions (.NET ignores SIGPIPE, and children would inherit that).</summary>
internal static unsafe class PosixSpawn
{
    private const short SetSigMask = 8, SetSigDefault = 4, SetSession = 0x80;

    /// <summary>Highest descriptor of a process with the usual limit.</summary>
    private const int HighDescriptor = 1023;

    /// <summary>Starts a program.</summary>
    /// <param name="arguments">The program, looked up in PATH, and its arguments.</param>
    /// <param name="environment">NAME=value.</param>
    /// <param name="input">Standard input.</param>
    /// <param name="output">Standard output.</param>
    /// <param name="error">Standard error.</param>
    /// <param name="wideTable">
    /// Leaves the null device open as descriptor 1023, so that the child's table of descriptors has its full size before it has threads: a threaded process
    /// that grows its table (runsc moves one to 256) waits for all CPUs, up to 15 ms.
    /// </param>
    /// <param name="more">Further descriptors of ours and the numbers that the child knows them by; none of ours may be a number of the child's.</param>
    /// <returns>The process id; nobody but the caller may reap it.</returns>
    /// <exception cref="Win32Exception">It cannot be started.</exception>
    public static int Start(
        IReadOnlyList<string> arguments, IReadOnlyList<string> environment, int input, int output, int error, bool wideTable, params ReadOnlySpan<(int Ours, int Theirs)> more)
    {
        byte* actions = stackalloc byte[256];
        byte* attributes = stackalloc byte[512];
        byte* fullSet = stackalloc byte[128];
        byte* emptySet = stackalloc byte[128];
        new Span<byte>(fullSet, 128).Fill(0xff);
        new Span<byte>(emptySet, 128).Clear();
        using var argv = new NativeStrings(arguments);
        using var envp = new NativeStrings(environment);
        int nullFd = wideTable ? Libc.open("/dev/null", Libc.O_RDONLY | Libc.O_CLOEXEC, 0) : -1;
        Require(Libc.posix_spawn_file_actions_init(actions));
        Require(Libc.posix_spawnattr_init(attributes));
        try
        {
            Require(Libc.posix_spawn_file_actions_adddup2(actions, input, 0));
            Require(Libc.posix_spawn_file_actions_adddup2(actions, output, 1));
            Require(Libc.posix_spawn_file_actions_adddup2(actions, error, 2));
            foreach ((int ours, int theirs) in more)
            {
                Require(Libc.posix_spawn_file_actions_adddup2(actions, ours, theirs));
            }

            if (nullFd >= 0)
            {
                Require(Libc.posix_spawn_file_actions_adddup2(actions, nullFd, HighDescriptor));
            }

            Require(Libc.posix_spawnattr_setsigdefault(attributes, fullSet));
            Require(Libc.posix_spawnattr_setsigmask(attributes, emptySet));
            Require(Libc.posix_spawnattr_setflags(attributes, SetSigMask | SetSigDefault | SetSession));
            int pid;
            Require(Libc.posix_spawnp(&pid, argv.Pointers[0], actions, attributes, argv.Pointers, envp.Pointers));
            return pid;
        }
        finally
        {
            _ = Libc.posix_spawn_file_actions_destroy(actions);
            _ = Libc.posix_spawnattr_destroy(attributes);
            if (nullFd >= 0)
            {
                _ = Libc.close(nullFd);
            }
        }
    }

    /// <summary>A pidfd for a child that nobody else reaps. A child whose end cannot be awaited must not run: it is killed.</summary>
    /// <exception cref="Win32Exception">Out of descriptors.</exception>
    public static int Hold(int pid)
    {
        int pidfd = Libc.OpenPidfd(pid);
        if (pidfd < 0)
        {
            Win32Exception failed = Libc.LastError("pidfd_open");
            _ = Libc.kill(pid, Libc.SigKill);
            _ = Reap(pid);
            throw failed;
        }

        return pidfd;
    }

    /// <summary>Waits for a child and returns its wait status.</summary>
    public static int Reap(int pid)
    {
        int status = 0;
        while (Libc.waitpid(pid, &status, 0) < 0 && Libc.LastErrno == Libc.EINTR)
        {
        }

        return status;
    }

    private static void Require(int error)
    {
        if (error != 0)
        {
            throw new Win32Exception(error);
        }
    }

    /// <summary>A null-terminated array of C strings.</summary>
    private readonly ref struct NativeStrings
    {
        private readonly nint _block;

        public NativeStrings(IReadOnlyList<string> strings)
        {
            byte[][] encoded = [.. strings.Select(Encoding.UTF8.GetBytes)];
            int table = (strings.Count + 1) * sizeof(nint);
            _block = (nint)NativeMemory.AllocZeroed((nuint)(table + encoded.Sum(bytes => bytes.Length + 1)));
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

        public void Dispose() => NativeMemory.Free((void*)_block);
    }
}
