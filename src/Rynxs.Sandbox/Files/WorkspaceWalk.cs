using System.Text;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Sandbox.Files;

/// <summary>
/// Breadth-first walk below one descriptor, without following links or mounts. The guest may change the tree meanwhile, so every directory is
/// opened anew below the start, and every dimension has a bound.
/// </summary>
internal sealed class WorkspaceWalk(SafeFileHandle start, string displayRoot, bool recursive, TimeProvider timeProvider)
{
    public static readonly TimeSpan MaxElapsed = TimeSpan.FromSeconds(5);
    private const int MaxDepth = 32;
    private const int MaxNames = 100_000;

    private readonly long _began = timeProvider.GetTimestamp();
    private int _names;

    /// <summary>Whether a bound cut the walk short.</summary>
    public bool Truncated { get; private set; }

    /// <summary>One name.</summary>
    /// <param name="RelativePath">Below the start, NUL-terminated.</param>
    /// <param name="DisplayPath">Below the workspace, as text.</param>
    /// <param name="IsText">Whether the name is UTF-8, so that <paramref name="DisplayPath"/> names it.</param>
    /// <param name="Status">What it was when looked at.</param>
    public sealed record Item(byte[] RelativePath, string DisplayPath, bool IsText, OpenAt2.FileStatus Status);

    public IEnumerable<Item> Items(CancellationToken cancellationToken)
    {
        var pending = new Queue<(byte[] Path, string Display, int Depth)>();
        pending.Enqueue(([(byte)'.', 0], displayRoot, 1));
        while (pending.TryDequeue(out (byte[] Path, string Display, int Depth) directory))
        {
            int descriptor = OpenAt2.Open(start, directory.Path, OpenAt2.ReadOnly | OpenAt2.DirectoryOnly, 0, OpenAt2.BeneathWithoutLinks);
            if (descriptor < 0)
            {
                if (directory.Depth == 1)
                {
                    throw FileAccessErrors.From(-descriptor, directory.Display);
                }

                // Removed, swapped, unreadable or a mount since it was listed.
                Truncated = true;
                continue;
            }

            using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
            foreach (byte[] name in ReadNames(handle, directory.Display, cancellationToken))
            {
                if (OutOfTime(cancellationToken))
                {
                    yield break;
                }

                if (OpenAt2.StatusAt(handle, name, out OpenAt2.FileStatus status) < 0)
                {
                    continue; // removed since
                }

                byte[] path = directory.Depth == 1 ? name : [.. directory.Path.AsSpan(0, directory.Path.Length - 1), (byte)'/', .. name];
                (string text, bool isText) = Display(name);
                string display = directory.Display.Length == 0 ? text : $"{directory.Display}/{text}";
                yield return new Item(path, display, isText, status);
                if (recursive && isText && status.Kind == WorkspaceEntryKind.Directory)
                {
                    if (directory.Depth == MaxDepth)
                    {
                        Truncated = true;
                    }
                    else
                    {
                        pending.Enqueue((path, display, directory.Depth + 1));
                    }
                }
            }

            if (OutOfTime(cancellationToken))
            {
                yield break;
            }
        }
    }

    private bool OutOfTime(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (timeProvider.GetElapsedTime(_began) <= MaxElapsed)
        {
            return false;
        }

        Truncated = true;
        return true;
    }

    /// <summary>NUL-terminated names in order of their bytes.</summary>
    private List<byte[]> ReadNames(SafeFileHandle directory, string display, CancellationToken cancellationToken)
    {
        var names = new List<byte[]>();
        byte[] buffer = new byte[32 * 1024];
        while (!OutOfTime(cancellationToken))
        {
            int length = OpenAt2.ReadEntries(directory, buffer);
            if (length < 0)
            {
                throw FileAccessErrors.From(-length, display);
            }

            if (length == 0)
            {
                break;
            }

            for (int at = 0; at < length;)
            {
                ReadOnlySpan<byte> name = TreeWalk.NextName(buffer.AsSpan(0, length), ref at);
                if (TreeWalk.IsDots(name))
                {
                    continue;
                }

                if (++_names > MaxNames)
                {
                    Truncated = true;
                    names.Sort(static (a, b) => a.AsSpan().SequenceCompareTo(b));
                    return names;
                }

                names.Add(name.ToArray());
            }
        }

        names.Sort(static (a, b) => a.AsSpan().SequenceCompareTo(b));
        return names;
    }

    /// <summary>A name in a directory as it is shown.</summary>
    public static string Display(string directory, ReadOnlySpan<byte> name)
    {
        string text = Display((byte[])[.. name, 0]).Text;
        return directory.Length == 0 ? text : text.Length == 0 ? directory : $"{directory}/{text}";
    }

    private static (string Text, bool IsText) Display(byte[] name)
    {
        ReadOnlySpan<byte> bytes = name.AsSpan(0, name.Length - 1);
        if (Utf8.IsValid(bytes))
        {
            return (Encoding.UTF8.GetString(bytes), true);
        }

        var text = new StringBuilder();
        while (!bytes.IsEmpty)
        {
            if (Rune.DecodeFromUtf8(bytes, out Rune rune, out int used) == System.Buffers.OperationStatus.Done)
            {
                text.Append(rune.ToString());
            }
            else
            {
                foreach (byte value in bytes[..used])
                {
                    text.Append("\\x").Append(value.ToString("x2", System.Globalization.CultureInfo.InvariantCulture));
                }
            }

            bytes = bytes[used..];
        }

        return (text.ToString(), false);
    }
}
