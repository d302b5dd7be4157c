using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>
/// Frees a name without removing what lies there. A writer that was stopped and taken over may go on in the middle of this, and the name may by
/// then be its successor's file: so nothing is ever deleted by a name that two writers share. The file is renamed to a name that nobody else
/// knows (<c>NAME.aside-…</c>), looked at, and put back when it is not the one that was meant. What is left at such a name after a crash is put
/// back, or removed when it is empty, by the next opening.
/// </summary>
internal static class AsideFile
{
    private const string Mark = ".aside-";

    /// <summary>Moves a file aside if it is still the one that was meant.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="meant">The inode that is to lose the name.</param>
    /// <param name="isLost">Whether this process has lost the right to change names here; asked after the move.</param>
    /// <returns>False when the name is another file's, which has it still.</returns>
    /// <exception cref="IOException">The name could not be freed.</exception>
    public static bool Move(string path, long meant, Func<bool> isLost)
    {
        string aside = path + Mark + Guid.NewGuid().ToString("N");
        LinuxFile.Rename(path, aside);
        if (InodeOf(aside) == meant && !isLost())
        {
            return true;
        }

        // If the name is taken again meanwhile, what is aside stays until the next opening.
        LinuxFile.Rename(aside, path);
        return false;
    }

    /// <summary>Puts back what a crash left aside. The caller holds the lock, so whoever moved it is gone or fenced.</summary>
    /// <exception cref="IOException">A file can be neither put back nor removed.</exception>
    public static void RestoreAll(string directory)
    {
        foreach (string aside in Directory.EnumerateFiles(directory, "*" + Mark + "*"))
        {
            string path = aside[..aside.LastIndexOf(Mark, StringComparison.Ordinal)];
            if (new FileInfo(aside).Length == 0)
            {
                File.Delete(aside);
            }
            else if (!File.Exists(path) || new FileInfo(path).Length == 0)
            {
                // An empty file at the name holds nothing: it was begun by the writer that moved the other one.
                File.Move(aside, path, overwrite: true);
            }

            // Else both hold something: the chain's own check decides whether what stands at the name is right, and nothing is thrown away.
        }

        LinuxFile.SyncDirectory(directory);
    }

    public static long InodeOf(string path)
    {
        using SafeFileHandle file = LedgerFile.OpenRead(path);
        return LinuxFile.Identify(file).Inode;
    }
}
