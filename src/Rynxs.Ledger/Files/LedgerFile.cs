using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>How the ledger opens files: private to the owner, and without .NET's advisory locks, which would disturb readers.</summary>
internal static class LedgerFile
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode OwnerDirectory = OwnerOnly | UnixFileMode.UserExecute;

    public static SafeFileHandle OpenRead(string path) =>
        File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

    /// <summary>Opens for writing, creating with mode 0600 when absent. The caller makes a creation durable.</summary>
    public static SafeFileHandle OpenOrCreate(string path) => Open(path, FileMode.OpenOrCreate);

    /// <summary>Creates with mode 0600, emptying what a crash may have left at this name.</summary>
    public static SafeFileHandle CreateEmpty(string path) => Open(path, FileMode.Create);

    /// <summary>Creates a directory (mode 0700) and what is missing above it, durably.</summary>
    public static void CreateDirectory(string path)
    {
        string full = Path.GetFullPath(path);
        if (Directory.Exists(full))
        {
            return;
        }

        string? parent = Path.GetDirectoryName(full);
        if (parent is not null)
        {
            CreateDirectory(parent);
        }

        Directory.CreateDirectory(full, OwnerDirectory);
        if (parent is not null)
        {
            LinuxFile.SyncDirectory(parent);
        }
    }

    private static SafeFileHandle Open(string path, FileMode mode)
    {
        bool fresh = mode == FileMode.Create || !File.Exists(path);
        SafeFileHandle handle = File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (fresh)
        {
            File.SetUnixFileMode(handle, OwnerOnly);
        }

        return handle;
    }
}
