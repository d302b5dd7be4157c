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

    /// <summary>Creates with mode 0600.</summary>
    /// <exception cref="IOException">There is something at this name.</exception>
    public static SafeFileHandle CreateNew(string path) => Open(path, FileMode.CreateNew);

    /// <summary>Replaces a file by other content, durably: who has the old one open keeps it.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        string draft = path + ".draft";
        using (SafeFileHandle file = CreateEmpty(draft))
        {
            RandomAccess.Write(file, content, 0);
            LinuxFile.SyncData(file);
        }

        File.Move(draft, path, overwrite: true);
        LinuxFile.SyncDirectory(Path.GetDirectoryName(path) ?? "/");
    }

    /// <summary>Gives a file's content a new inode, durably: whoever still has the old one open writes where nobody looks.</summary>
    public static void Detach(string path)
    {
        string draft = path + ".draft";
        using (SafeFileHandle from = OpenRead(path))
        using (SafeFileHandle to = CreateEmpty(draft))
        {
            byte[] chunk = new byte[1024 * 1024];
            long at = 0;
            while (RandomAccess.Read(from, chunk, at) is int read and > 0)
            {
                RandomAccess.Write(to, chunk.AsSpan(0, read), at);
                at += read;
            }

            LinuxFile.SyncData(to);
        }

        File.Move(draft, path, overwrite: true);
        LinuxFile.SyncDirectory(Path.GetDirectoryName(path) ?? "/");
    }

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
        bool fresh = mode is FileMode.Create or FileMode.CreateNew || !File.Exists(path);
        SafeFileHandle handle = File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        if (fresh)
        {
            File.SetUnixFileMode(handle, OwnerOnly);
        }

        return handle;
    }
}
