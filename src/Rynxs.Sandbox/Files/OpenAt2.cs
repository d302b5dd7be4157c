using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Files;

/// <summary>
/// The descriptor-relative calls of the file tools. Paths are NUL-terminated bytes, because a Linux name need not be text. Every call returns
/// 0 (or a count) or a negative errno, so that nothing depends on the thread's errno surviving.
/// </summary>
/// <remarks>Needs Linux 5.6 (openat2) and glibc 2.30 or musl 1.2 (getdents64, statx). openat2 has the number 437 on every architecture.</remarks>
internal static unsafe partial class OpenAt2
{
    public const int ReadOnly = 0;
    public const int WriteOnly = 1;
    public const int Create = 0x40;
    public const int Exclusive = 0x80;
    public const int NoControllingTerminal = 0x100;
    public const int NonBlocking = 0x800;
    public const int CloseOnExec = 0x80000;
    public const int PathOnly = 0x200000;

    // These two differ between x86-64 and arm64.
    public static readonly int DirectoryOnly = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000;
    public static readonly int NoFollow = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x8000 : 0x20000;

    /// <summary>Symbolic links are followed while they stay below the directory; mounts and /proc's magic links never are.</summary>
    public const ulong BeneathFollowing = ResolveNoXdev | ResolveNoMagiclinks | ResolveBeneath;

    /// <summary>The same without any symbolic link on the way.</summary>
    public const ulong BeneathWithoutLinks = BeneathFollowing | ResolveNoSymlinks;

    private const string Library = "libc";
    private const long Openat2Number = 437;
    private const ulong ResolveNoXdev = 0x01;
    private const ulong ResolveNoMagiclinks = 0x02;
    private const ulong ResolveNoSymlinks = 0x04;
    private const ulong ResolveBeneath = 0x08;
    private const int AtFdCwd = -100;
    private const int AtSymlinkNoFollow = 0x100;
    private const int AtRemoveDirectory = 0x200;
    private const int AtEmptyPath = 0x1000;
    private const uint StatxBasic = 0x7ff;

    /// <summary>EAGAIN is answered when a rename elsewhere raced the walk; a guest that renames in a loop must not hold us here.</summary>
    private const int MaxAttempts = 128;

    /// <summary>Opens below a directory. The result is a descriptor or a negative errno.</summary>
    public static int Open(SafeHandle directory, ReadOnlySpan<byte> path, int flags, uint mode, ulong resolve)
    {
        var how = new OpenHow { Flags = (ulong)(uint)(flags | CloseOnExec), Mode = mode, Resolve = resolve };
        fixed (byte* name = path)
        {
            for (int attempt = 1; ; attempt++)
            {
                long result = syscall(Openat2Number, directory, name, &how, (nuint)sizeof(OpenHow));
                if (result >= 0)
                {
                    return (int)result;
                }

                int error = Marshal.GetLastPInvokeError();
                if (error is not (Errno.Interrupted or Errno.Again) || attempt == MaxAttempts)
                {
                    return -error;
                }
            }
        }
    }

    /// <summary>Opens the workspace itself: the one path that the owner of the state directory chose.</summary>
    public static int OpenDirectory(ReadOnlySpan<byte> path)
    {
        fixed (byte* name = path)
        {
            int result = open(name, ReadOnly | DirectoryOnly | NoFollow | CloseOnExec, 0);
            return result >= 0 ? result : -Marshal.GetLastPInvokeError();
        }
    }

    /// <summary>
    /// Opens for reading exactly what an O_PATH descriptor refers to, so that what was checked is what is opened. (Opening by name twice
    /// would let a guest put a device or a FIFO there in between.)
    /// </summary>
    public static int Reopen(SafeHandle pathOnly, int flags)
    {
        bool added = false;
        try
        {
            pathOnly.DangerousAddRef(ref added);
            ReadOnlySpan<byte> link = System.Text.Encoding.ASCII.GetBytes($"/proc/self/fd/{pathOnly.DangerousGetHandle()}\0");
            fixed (byte* name = link)
            {
                int result = open(name, flags | CloseOnExec, 0);
                return result >= 0 ? result : -Marshal.GetLastPInvokeError();
            }
        }
        finally
        {
            if (added)
            {
                pathOnly.DangerousRelease();
            }
        }
    }

    /// <summary>What a descriptor refers to.</summary>
    public static int Status(SafeHandle handle, out FileStatus status) => Status(handle, "\0"u8, AtEmptyPath, out status);

    /// <summary>What a name in a directory is; a symbolic link is not followed.</summary>
    public static int StatusAt(SafeHandle directory, ReadOnlySpan<byte> name, out FileStatus status) => Status(directory, name, AtSymlinkNoFollow, out status);

    /// <summary>What a name leads to; used below /proc only, whose links lead to open files.</summary>
    public static int StatusBehind(SafeHandle directory, ReadOnlySpan<byte> name, out FileStatus status) => Status(directory, name, 0, out status);

    public static int MakeDirectory(SafeHandle directory, ReadOnlySpan<byte> name, uint mode)
    {
        fixed (byte* pointer = name)
        {
            return Result(mkdirat(directory, pointer, mode));
        }
    }

    public static int Unlink(SafeHandle directory, ReadOnlySpan<byte> name, bool asDirectory)
    {
        fixed (byte* pointer = name)
        {
            return Result(unlinkat(directory, pointer, asDirectory ? AtRemoveDirectory : 0));
        }
    }

    public static int Rename(SafeHandle directory, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        fixed (byte* source = from, target = to)
        {
            return Result(renameat(directory, source, directory, target));
        }
    }

    public static int ChangeOwner(SafeHandle handle, uint user, uint group) => Result(fchown(handle, user, group));

    public static int ChangeMode(SafeHandle handle, uint mode) => Result(fchmod(handle, mode));

    public static int Synchronise(SafeHandle handle)
    {
        int result;
        do
        {
            result = Result(fsync(handle));
        }
        while (result == -Errno.Interrupted);
        return result;
    }

    /// <summary>Writes everything; the result is 0 or a negative errno.</summary>
    public static int WriteAll(SafeHandle handle, ReadOnlySpan<byte> content)
    {
        while (!content.IsEmpty)
        {
            nint written;
            fixed (byte* data = content)
            {
                written = write(handle, data, (nuint)content.Length);
            }

            if (written < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error == Errno.Interrupted)
                {
                    continue;
                }

                return -error;
            }

            content = content[(int)written..];
        }

        return 0;
    }

    /// <summary>Reads until the buffer is full or the file ends; the result is the count or a negative errno.</summary>
    public static int ReadAt(SafeHandle handle, Span<byte> buffer, long offset)
    {
        int total = 0;
        while (total < buffer.Length)
        {
            nint count;
            fixed (byte* data = buffer[total..])
            {
                count = pread(handle, data, (nuint)(buffer.Length - total), offset + total);
            }

            if (count < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error == Errno.Interrupted)
                {
                    continue;
                }

                return -error;
            }

            if (count == 0)
            {
                break;
            }

            total += (int)count;
        }

        return total;
    }

    /// <summary>Next directory entries as <c>linux_dirent64</c> records; 0 at the end, or a negative errno.</summary>
    public static int ReadEntries(SafeHandle directory, Span<byte> buffer)
    {
        fixed (byte* data = buffer)
        {
            nint result = getdents64(directory, data, (nuint)buffer.Length);
            return result >= 0 ? (int)result : -Marshal.GetLastPInvokeError();
        }
    }

    public static uint EffectiveUser() => geteuid();

    private static int Status(SafeHandle directory, ReadOnlySpan<byte> name, int flags, out FileStatus status)
    {
        fixed (byte* pointer = name)
        fixed (FileStatus* target = &status)
        {
            *target = default;
            return Result(statx(directory, pointer, flags, StatxBasic, target));
        }
    }

    private static int Result(int returned) => returned >= 0 ? 0 : -Marshal.GetLastPInvokeError();

    [LibraryImport(Library, SetLastError = true)]
    private static partial long syscall(long number, SafeHandle directory, byte* path, OpenHow* how, nuint size);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int open(byte* path, int flags, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int statx(SafeHandle directory, byte* path, int flags, uint mask, FileStatus* status);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int mkdirat(SafeHandle directory, byte* path, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int unlinkat(SafeHandle directory, byte* path, int flags);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int renameat(SafeHandle oldDirectory, byte* oldPath, SafeHandle newDirectory, byte* newPath);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int fchown(SafeHandle handle, uint user, uint group);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int fchmod(SafeHandle handle, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int fsync(SafeHandle handle);

    [LibraryImport(Library, SetLastError = true)]
    private static partial nint write(SafeHandle handle, byte* data, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    private static partial nint pread(SafeHandle handle, byte* data, nuint count, long offset);

    [LibraryImport(Library, SetLastError = true)]
    private static partial nint getdents64(SafeHandle directory, byte* data, nuint count);

    [LibraryImport(Library)]
    private static partial uint geteuid();

    [StructLayout(LayoutKind.Sequential)]
    private struct OpenHow
    {
        public ulong Flags;
        public ulong Mode;
        public ulong Resolve;
    }

    /// <summary><c>struct statx</c>: 256 bytes with the same offsets on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct FileStatus
    {
        [FieldOffset(16)]
        public uint Links;
        [FieldOffset(28)]
        public ushort RawMode;
        [FieldOffset(32)]
        public ulong Inode;
        [FieldOffset(40)]
        public long Size;

        /// <summary>Allocated, in units of 512 bytes.</summary>
        [FieldOffset(48)]
        public long Blocks;
        [FieldOffset(112)]
        public long ModifiedSeconds;
        [FieldOffset(120)]
        public uint ModifiedNanoseconds;
        [FieldOffset(136)]
        public uint DeviceMajor;
        [FieldOffset(140)]
        public uint DeviceMinor;

        public readonly WorkspaceEntryKind Kind => (RawMode & 0xf000) switch
        {
            0x8000 => WorkspaceEntryKind.File,
            0x4000 => WorkspaceEntryKind.Directory,
            0xa000 => WorkspaceEntryKind.Symlink,
            _ => WorkspaceEntryKind.Other,
        };

        public readonly int Permissions => RawMode & 0xfff;

        public readonly bool IsOnSameDeviceAs(in FileStatus other) => (DeviceMajor, DeviceMinor) == (other.DeviceMajor, other.DeviceMinor);

        /// <summary>The guest sets this time as it likes: one that .NET cannot express becomes the nearest that it can.</summary>
        public readonly DateTimeOffset Modified
        {
            get
            {
                const long earliest = -62135596800;
                const long latest = 253402300799;
                return DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(ModifiedSeconds, earliest, latest)).AddTicks(Math.Min(ModifiedNanoseconds, 999_999_999) / 100);
            }
        }
    }
}

/// <summary>The error numbers that have a meaning for the file tools (the same on x86-64 and arm64).</summary>
internal static class Errno
{
    public const int NotPermitted = 1;
    public const int NotFound = 2;
    public const int Interrupted = 4;
    public const int NoDeviceOrAddress = 6;
    public const int Again = 11;
    public const int Access = 13;
    public const int Exists = 17;
    public const int CrossDevice = 18;
    public const int NotDirectory = 20;
    public const int IsDirectory = 21;
    public const int Invalid = 22;
    public const int TooLargeFile = 27;
    public const int NoSpace = 28;
    public const int ReadOnlyFileSystem = 30;
    public const int NameTooLong = 36;
    public const int NotImplemented = 38;
    public const int NotEmpty = 39;
    public const int Loop = 40;
    public const int Quota = 122;
}
