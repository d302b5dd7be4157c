using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Native;

/// <summary>
/// The C library calls that .NET has no equivalent for. Numbers and structure offsets are those of 64-bit Linux; the few that differ
/// between x86-64 and arm64 go through the C library.
/// </summary>
internal static unsafe partial class Libc
{
    public const int O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000, O_PATH = 0x200000;
    public const int ENOENT = 2, EINTR = 4, EAGAIN = 11, EACCES = 13, EEXIST = 17, EXDEV = 18, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, EFBIG = 27,
        ENOSPC = 28, EROFS = 30, EPERM = 1, EPIPE = 32, ENAMETOOLONG = 36, ENOTEMPTY = 39, ELOOP = 40, ENXIO = 6, EDQUOT = 122, ECHILD = 10, ESRCH = 3;
    public const int SigKill = 9, SigCont = 18, SigStop = 19;
    public const short PollIn = 1, PollOut = 4, PollErr = 8, PollHup = 16;
    private const string Library = "libc";
    private const int PrSetChildSubreaper = 36;
    private const long SysPidfdOpen = 434, SysPidfdSendSignal = 424;

    /// <summary>O_DIRECTORY and O_NOFOLLOW are swapped around on arm64.</summary>
    public static int O_DIRECTORY => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000;

    public static int O_NOFOLLOW => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x8000 : 0x20000;

    public static int LastErrno => Marshal.GetLastPInvokeError();

    public static Win32Exception LastError(string what) => new(LastErrno, $"{what}: {Marshal.GetLastPInvokeErrorMessage()}");

    /// <summary>The path with every symbolic link resolved; the path itself when it does not exist.</summary>
    public static string RealPath(string path)
    {
        nint resolved = realpath(path, 0);
        if (resolved == 0)
        {
            return path;
        }

        try
        {
            return Marshal.PtrToStringUTF8(resolved) ?? path;
        }
        finally
        {
            free(resolved);
        }
    }

    /// <summary>Orphans of our children become our children, so that a killed sandbox can be reaped here.</summary>
    public static void BecomeChildSubreaper()
    {
        if (prctl(PrSetChildSubreaper, 1, 0, 0, 0) != 0)
        {
            throw LastError("prctl(PR_SET_CHILD_SUBREAPER)");
        }
    }

    /// <summary>A descriptor of the process, or -1 when there is none.</summary>
    public static int OpenPidfd(int pid) => (int)syscall(SysPidfdOpen, pid, 0, 0, 0);

    public static bool KillPidfd(int pidfd) => SignalPidfd(pidfd, SigKill);

    public static bool SignalPidfd(int pidfd, int signal) => syscall(SysPidfdSendSignal, pidfd, signal, 0, 0) == 0;

    /// <summary>True when the process behind a pidfd has ended within the time, in milliseconds.</summary>
    public static bool HasEnded(int pidfd, int milliseconds)
    {
        PollFd entry = new() { Fd = pidfd, Events = PollIn };
        return poll(&entry, 1, milliseconds) == 1;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct PollFd
    {
        public int Fd;
        public short Events;
        public short Revents;
    }

    [LibraryImport(Library, SetLastError = true)]
    public static partial int poll(PollFd* entries, nuint count, int milliseconds);

    [StructLayout(LayoutKind.Sequential)]
    public struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct IoVector
    {
        public void* Base;
        public nuint Length;
    }

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint sendmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint recvmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int socketpair(int domain, int type, int protocol, int* ends);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int shutdown(int socket, int how);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int eventfd(uint initial, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int waitid(int idType, uint id, void* information, int options);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int pipe2(int* ends, int flags);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint read(int fd, void* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    public static partial nint write(int fd, void* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int close(int fd);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fcntl(int fd, int command, long argument);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int kill(int pid, int signal);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int waitpid(int pid, int* status, int options);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int open(string path, int flags, int mode);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int flock(int fd, int operation);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int fsync(int fd);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int umount2(string target, int flags);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int lchown(string path, uint owner, uint group);

    [LibraryImport(Library)]
    public static partial uint geteuid();

    [LibraryImport(Library, EntryPoint = "posix_spawnp")]
    public static partial int posix_spawnp(int* pid, byte* file, void* actions, void* attributes, byte** arguments, byte** environment);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_init(void* actions);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_destroy(void* actions);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_adddup2(void* actions, int from, int to);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_init(void* attributes);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_destroy(void* attributes);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setflags(void* attributes, short flags);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setsigdefault(void* attributes, void* set);

    [LibraryImport(Library)]
    public static partial int posix_spawnattr_setsigmask(void* attributes, void* set);

    [LibraryImport(Library, SetLastError = true)]
    public static partial long syscall(long number, long a, long b, long c, long d);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int prctl(int option, long a, long b, long c, long d);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial nint realpath(string path, nint resolved);

    [LibraryImport(Library)]
    private static partial void free(nint pointer);
}
