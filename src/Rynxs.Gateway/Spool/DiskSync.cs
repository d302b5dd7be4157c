using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Gateway.Spool;

/// <summary>Syncs that tell every error: the framework's own flush ignores some, and cannot open a directory.</summary>
internal static partial class DiskSync
{
    private const int ReadOnly = 0;
    private const int CloseOnExec = 0x80000;
    private const int Interrupted = 4;

    /// <summary>fdatasync: the content and the length of a file.</summary>
    /// <exception cref="IOException">It may not be on the disk.</exception>
    public static void Data(SafeFileHandle file)
    {
        while (FileDataSync(file) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                throw new IOException($"The file cannot be synced: {new Win32Exception(error).Message}.");
            }
        }
    }

    /// <summary>fsync of a directory: a rename is durable only after it.</summary>
    /// <exception cref="IOException">It cannot be opened or synced.</exception>
    public static void Directory(string path)
    {
        int descriptor = Open(path, ReadOnly | CloseOnExec);
        if (descriptor < 0)
        {
            throw new IOException($"The directory cannot be opened: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
        }

        using SafeFileHandle directory = new(descriptor, ownsHandle: true);
        if (FileSync(directory) != 0)
        {
            throw new IOException($"The directory cannot be synced: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FileDataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FileSync(SafeFileHandle file);
}
