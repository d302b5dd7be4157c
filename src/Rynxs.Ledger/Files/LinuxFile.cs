using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>The few calls whose exact meaning durability rests on, and which .NET does not offer.</summary>
/// <remarks>.NET's own flush is fsync and ignores some errors; ours must be fdatasync and report every error.</remarks>
internal static partial class LinuxFile
{
    private const int LockExclusive = 2;
    private const int LockNonBlocking = 4;
    private const int LockRelease = 8;
    private const int Interrupted = 4;
    private const int WouldBlock = 11;
    private const int CloseOnExec = 0x80000;
    private const int ReadWrite = 2;
    private const int Create = 0x40;
    private const int Exclusive = 0x80;
    private const int CurrentDirectory = -100;
    private const uint NoReplace = 1;

    /// <summary>Makes the file's data (and its length) durable.</summary>
    /// <exception cref="IOException">The device did not confirm it. What is on disk is then unknown; trying again proves nothing.</exception>
    public static void SyncData(SafeFileHandle file)
    {
        int result;
        do
        {
            result = FDataSync(file);
        }
        while (result != 0 && Marshal.GetLastPInvokeError() == Interrupted);

        if (result != 0)
        {
            throw Failure("fdatasync");
        }
    }

    /// <summary>Makes creations, renames and removals in a directory durable.</summary>
    /// <exception cref="IOException">The device did not confirm it.</exception>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = Open(path, DirectoryFlags, 0);
        if (directory.IsInvalid)
        {
            throw Failure("open directory");
        }

        if (FSync(directory) != 0)
        {
            throw Failure("fsync directory");
        }
    }

    /// <summary>Gives a file another name, in one step, and never replaces one.</summary>
    /// <exception cref="IOException">There is a file of that name, or the old one is gone.</exception>
    public static void Rename(string from, string to)
    {
        if (RenameAt2(CurrentDirectory, from, CurrentDirectory, to, NoReplace) != 0)
        {
            throw Failure($"rename {from} to {to}");
        }
    }

    /// <summary>Opens or creates (mode 0600) a file that is to be locked; .NET would take a lock of its own kind at opening.</summary>
    /// <exception cref="IOException">The file cannot be opened or created.</exception>
    public static SafeFileHandle OpenForLock(string path, bool mustBeNew = false)
    {
        SafeFileHandle file = Open(path, CloseOnExec | ReadWrite | Create | (mustBeNew ? Exclusive : 0), 0x180);
        return file.IsInvalid ? throw Failure($"open {path}") : file;
    }

    /// <summary>Takes the exclusive lock of an open file without waiting; false when another open file holds it.</summary>
    public static bool TryLock(SafeFileHandle file)
    {
        if (FLock(file, LockExclusive | LockNonBlocking) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() == WouldBlock ? false : throw Failure("flock");
    }

    /// <summary>Releases the lock for every copy of the open file. An error leaves it to the closing of the file.</summary>
    public static void Unlock(SafeFileHandle file) => _ = FLock(file, LockRelease);

    /// <summary>What the kernel says of an open file.</summary>
    /// <exception cref="IOException">It says nothing.</exception>
    public static FileIdentity Identify(SafeFileHandle file)
    {
        Span<byte> stat = stackalloc byte[StatxBytes];
        Statx(file, stat);
        return new FileIdentity(
            BinaryPrimitives.ReadInt64LittleEndian(stat[32..]), BinaryPrimitives.ReadInt64LittleEndian(stat[40..]), Time(stat[112..]), Time(stat[96..]));
    }

    /// <summary>Whether an open file still has a name. One that was renamed over, or removed, has none.</summary>
    /// <exception cref="IOException">The kernel does not say.</exception>
    public static bool HasName(SafeFileHandle file)
    {
        Span<byte> stat = stackalloc byte[StatxBytes];
        Statx(file, stat);
        return BinaryPrimitives.ReadUInt32LittleEndian(stat[16..]) > 0;
    }

    // struct statx is the same on every architecture (linux/stat.h); both that we run on are little-endian.
    private const int StatxBytes = 256;
    private const int EmptyPath = 0x1000;
    private const uint BasicStats = 0x7ff;

    private static void Statx(SafeFileHandle file, Span<byte> stat)
    {
        if (StatX(file, "", EmptyPath, BasicStats, ref MemoryMarshal.GetReference(stat)) != 0)
        {
            throw Failure("statx");
        }
    }

    private static long Time(ReadOnlySpan<byte> timestamp) =>
        (BinaryPrimitives.ReadInt64LittleEndian(timestamp) * 1_000_000_000) + BinaryPrimitives.ReadUInt32LittleEndian(timestamp[8..]);

    /// <summary>O_RDONLY | O_DIRECTORY | O_CLOEXEC; O_DIRECTORY differs between the architectures that we run on.</summary>
    private static int DirectoryFlags => CloseOnExec | (RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000);

    private static IOException Failure(string call) =>
        new($"{call}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}", Marshal.GetLastPInvokeError());

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FDataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int FLock(SafeFileHandle file, int operation);

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RenameAt2(int fromDirectory, string from, int toDirectory, string to, uint flags);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(SafeFileHandle directory, string path, int flags, uint mask, ref byte stat);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags, int mode);
}
