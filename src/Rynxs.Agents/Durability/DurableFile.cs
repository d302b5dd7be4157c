using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Agents.Durability;

/// <summary>Writes that are on disk when they return. Linux only, like the rest of the product.</summary>
internal static partial class DurableFile
{
    private const int WriteOnly = 1, Create = 0x40, Append = 0x400, NoFollow = 0x20000, CloseOnExec = 0x80000, DirectoryOnly = 0x10000, NonBlocking = 0x800;

    /// <summary>Replaces a file: the old content or the new one is there after a crash, never a mixture.</summary>
    /// <exception cref="IOException">The file system refused.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        string temporary = path + ".new";
        using (SafeFileHandle file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            RandomAccess.Write(file, content, 0);
            RandomAccess.FlushToDisk(file);
        }

        File.Move(temporary, path, overwrite: true);
        SyncDirectory(Path.GetDirectoryName(path) ?? "/");
    }

    /// <summary>
    /// Appends in one write with O_APPEND, then fsync: lines that others append at the same time (a shell's <c>&gt;&gt;</c>) do not interleave.
    /// FileMode.Append of .NET will not do: it writes at an offset that it remembers.
    /// </summary>
    /// <exception cref="IOException">The file system refused, or wrote only a part.</exception>
    public static void AppendLine(string path, ReadOnlySpan<byte> line)
    {
        bool isNew = !File.Exists(path);
        using SafeFileHandle file = Open(path, WriteOnly | Create | Append | NoFollow | NonBlocking | CloseOnExec, 0x180 /* 0600 */);
        nint written = Write(file, line, line.Length);
        if (written != line.Length)
        {
            throw new IOException($"{path}: {(written < 0 ? LastError() : $"only {written} of {line.Length} bytes were written")}.");
        }

        if (Fsync(file) != 0)
        {
            throw new IOException($"{path}: {LastError()}.");
        }

        if (isNew)
        {
            SyncDirectory(Path.GetDirectoryName(path) ?? "/");
        }
    }

    /// <summary>Cuts a file and makes that durable.</summary>
    public static void Truncate(string path, long length)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.SetLength(file, length);
        RandomAccess.FlushToDisk(file);
    }

    /// <summary>
    /// Opens a file that others may have replaced by anything: a symbolic link in its place is refused, and a pipe does not make the caller wait
    /// for a writer (it shows when the length is asked for).
    /// </summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="NotAFileException">It is a symbolic link or a directory.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafeFileHandle OpenForReading(string path)
    {
        int descriptor = NativeOpen(path, NoFollow | NonBlocking | CloseOnExec, 0);
        if (descriptor >= 0)
        {
            return new SafeFileHandle(descriptor, ownsHandle: true);
        }

        throw OpenFailure(path);
    }

    private static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = Open(path, DirectoryOnly | CloseOnExec, 0);
        if (Fsync(directory) != 0)
        {
            throw new IOException($"{path}: {LastError()}.");
        }
    }

    private static SafeFileHandle Open(string path, int flags, int mode)
    {
        int descriptor = NativeOpen(path, flags, mode);
        return descriptor >= 0
            ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw OpenFailure(path);
    }

    private static IOException OpenFailure(string path)
    {
        const int noEntry = 2, noReader = 6, isDirectory = 21, loop = 40;
        return Marshal.GetLastPInvokeError() switch
        {
            noEntry => new FileNotFoundException($"{path} does not exist.", path),
            noReader => new NotAFileException(path, "a pipe or a device"),
            isDirectory => new NotAFileException(path, "a directory"),
            loop => new NotAFileException(path, "a symbolic link"),
            _ => new IOException($"{path}: {LastError()}."),
        };
    }

    private static string LastError() => new Win32Exception(Marshal.GetLastPInvokeError()).Message;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle file, ReadOnlySpan<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(SafeFileHandle file);
}
