using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Native;

/// <summary>Mounts, files without a name, and device controls.</summary>
internal static unsafe partial class Libc
{
    /// <summary>Flags of <see cref="mount"/>.</summary>
    public const ulong MountReadOnly = 1, MountNoSuid = 2, MountNoDevices = 4, MountRemount = 32, MountBind = 4096;

    private const uint MemoryFileCloseOnExec = 1;
    private const int DuplicateCloseOnExec = 1030;

    /// <summary>First number of descriptors that are handed to children, above every number that a child knows them by.</summary>
    private const int FirstHandedOver = 64;

    /// <summary>A file in memory with this content, to be read from its begin; the caller closes it.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">Out of descriptors or memory.</exception>
    public static int MemoryFile(string name, ReadOnlySpan<byte> content)
    {
        int low = memfd_create(name, MemoryFileCloseOnExec);
        int file = low < 0 ? -1 : fcntl(low, DuplicateCloseOnExec, FirstHandedOver);
        if (low >= 0)
        {
            _ = close(low);
        }

        if (file < 0)
        {
            throw LastError("memfd_create");
        }

        fixed (byte* data = content)
        {
            nint at = 0;
            while (at < content.Length)
            {
                nint written = pwrite(file, data + at, (nuint)(content.Length - at), at);
                if (written <= 0 && LastErrno != EINTR)
                {
                    var failed = LastError("write to a file in memory");
                    _ = close(file);
                    throw failed;
                }

                at += Math.Max(written, 0);
            }
        }

        return file;
    }

    /// <summary>The same open file under a number that no child knows its descriptors by.</summary>
    public static int MoveUp(int descriptor)
    {
        int moved = fcntl(descriptor, DuplicateCloseOnExec, FirstHandedOver);
        _ = close(descriptor);
        return moved >= 0 ? moved : throw LastError("fcntl");
    }

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int mount(string? source, string target, string? type, ulong flags, string? options);

    [LibraryImport(Library, SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, void* argument);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    private static partial nint pwrite(int fd, void* data, nuint count, long offset);
}
