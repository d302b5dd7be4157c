using System.Buffers.Binary;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Sandbox.Files;

/// <summary>
/// Depth-first walk below one descriptor by the bytes of names, so that a name which is not text hides nothing. Every step is one name
/// below the directory it was read from; links and mounts are never followed. Holds one descriptor and one buffer per level.
/// </summary>
internal static class TreeWalk
{
    /// <summary>Deeper trees are not walked: the walk says so.</summary>
    public const int MaxDepth = 128;

    private const int BufferBytes = 16 * 1024;

    /// <summary>Called for each name; false ends the walk.</summary>
    public delegate bool Visitor(SafeFileHandle directory, ReadOnlySpan<byte> name, in OpenAt2.FileStatus status);

    /// <summary>Walks; null when everything was visited (or the visitor ended it), else why a part of the tree could not be.</summary>
    public static string? Run(SafeFileHandle root, Visitor visit, CancellationToken cancellationToken)
    {
        var levels = new Stack<Level>();
        try
        {
            if (Enter(root, ".\0"u8, levels) is var opened && opened < 0)
            {
                return $"the directory cannot be opened (error {-opened})";
            }

            while (levels.TryPeek(out Level? level))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (level.At == level.Length)
                {
                    level.Length = OpenAt2.ReadEntries(level.Handle, level.Buffer);
                    level.At = 0;
                    if (level.Length is not (> 0 or 0 or -Errno.NotFound))
                    {
                        return $"a directory cannot be read (error {-level.Length})";
                    }

                    if (level.Length <= 0)
                    {
                        levels.Pop().Handle.Dispose();
                    }

                    continue;
                }

                ReadOnlySpan<byte> name = NextName(level.Buffer.AsSpan(0, level.Length), ref level.At);
                if (IsDots(name))
                {
                    continue;
                }

                int looked = OpenAt2.StatusAt(level.Handle, name, out OpenAt2.FileStatus status);
                if (looked == -Errno.NotFound)
                {
                    continue; // removed since
                }

                if (looked < 0)
                {
                    return $"a name cannot be looked up (error {-looked})";
                }

                if (!visit(level.Handle, name, in status))
                {
                    return null;
                }

                if (status.Kind == WorkspaceEntryKind.Directory)
                {
                    if (levels.Count == MaxDepth)
                    {
                        return $"it is more than {MaxDepth} directories deep";
                    }

                    int entered = Enter(level.Handle, name, levels);
                    if (entered is not (>= 0 or -Errno.NotFound or -Errno.NotDirectory or -Errno.Loop)) // those: removed or swapped since
                    {
                        return $"a directory cannot be opened (error {-entered})";
                    }
                }
            }

            return null;
        }
        finally
        {
            foreach (Level level in levels)
            {
                level.Handle.Dispose();
            }
        }
    }

    /// <summary>The NUL-terminated name of the next <c>linux_dirent64</c> record.</summary>
    public static ReadOnlySpan<byte> NextName(ReadOnlySpan<byte> records, ref int at)
    {
        const int header = 19;
        int size = BinaryPrimitives.ReadUInt16LittleEndian(records[(at + 16)..]);
        if (size <= header || at + size > records.Length)
        {
            throw new UnreachableException("getdents64 returned a record of impossible size");
        }

        ReadOnlySpan<byte> name = records.Slice(at + header, size - header);
        at += size;
        return name[..(name.IndexOf((byte)0) + 1)];
    }

    public static bool IsDots(ReadOnlySpan<byte> name) => name.SequenceEqual(".\0"u8) || name.SequenceEqual("..\0"u8);

    private static int Enter(SafeFileHandle parent, ReadOnlySpan<byte> name, Stack<Level> levels)
    {
        int descriptor = OpenAt2.Open(parent, name, OpenAt2.ReadOnly | OpenAt2.DirectoryOnly | OpenAt2.NoFollow, 0, OpenAt2.BeneathWithoutLinks);
        if (descriptor >= 0)
        {
            levels.Push(new Level(new SafeFileHandle(descriptor, ownsHandle: true)));
        }

        return descriptor;
    }

    private sealed class Level(SafeFileHandle handle)
    {
        public int At;
        public int Length;

        public SafeFileHandle Handle { get; } = handle;

        public byte[] Buffer { get; } = new byte[BufferBytes];
    }
}
