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

    /// <summary>Opens or creates (mode 0600) a file that is to be locked; .NET would take a lock of its own kind at opening.</summary>
    /// <exception cref="IOException">The file cannot be opened or created.</exception>
    public static SafeFileHandle OpenForLock(string path)
    {
        SafeFileHandle file = Open(path, CloseOnExec | ReadWrite | Create, 0x180);
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

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags, int mode);
}
