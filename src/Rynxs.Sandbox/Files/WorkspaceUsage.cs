using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Sandbox.Files;

/// <summary>What a workspace takes of the host's disk.</summary>
/// <param name="Bytes">
/// Of each file and directory the larger of its size and its allocated blocks: a million one-byte files take a block each, and a sparse file
/// can be filled in later without growing. A file with several names counts once.
/// </param>
/// <param name="Entries">Names of every kind: an empty file takes an inode of the host.</param>
/// <param name="Unmeasurable">Why the tree could not be measured to its end; null when it was, or when it exceeded what was asked about.</param>
internal sealed record WorkspaceUsage(long Bytes, long Entries, string? Unmeasurable)
{
    /// <summary>Most names of one workspace. A look at as many takes some tenths of a second.</summary>
    public const int MaxEntries = 200_000;

    private const int MaxDescriptors = 1_000_000;
    private const int BlockBytes = 512;

    /// <summary>Measures by descriptors and bytes. Ends early once more than enough was seen, so the work is bounded.</summary>
    /// <param name="root">The workspace.</param>
    /// <param name="enoughBytes">Stop counting above this many bytes.</param>
    /// <param name="enoughEntries">Stop counting above this many names.</param>
    /// <param name="holders">Host processes that may hold files open which have no name any more; their space is counted, too.</param>
    /// <param name="cancellationToken">Ends the walk with <see cref="OperationCanceledException"/>.</param>
    public static WorkspaceUsage Measure(
        SafeFileHandle root, long enoughBytes, long enoughEntries, IReadOnlyList<int> holders, CancellationToken cancellationToken)
    {
        long bytes = 0;
        long entries = 0;
        HashSet<ulong> counted = []; // only of files with several names, so it is no larger than the entries
        string? obstacle = TreeWalk.Run(
            root,
            (SafeFileHandle _, ReadOnlySpan<byte> _, in OpenAt2.FileStatus status) =>
            {
                entries++;
                if (status.Kind == WorkspaceEntryKind.Directory || status.Links <= 1 || counted.Add(status.Inode))
                {
                    bytes = Add(bytes, status);
                }

                return bytes <= enoughBytes && entries <= enoughEntries;
            },
            cancellationToken);
        if (obstacle is null && bytes <= enoughBytes && entries <= enoughEntries && OpenAt2.Status(root, out OpenAt2.FileStatus workspace) == 0)
        {
            obstacle = CountNameless(workspace, holders, ref bytes, cancellationToken);
        }

        return new WorkspaceUsage(bytes, entries, obstacle);
    }

    /// <summary>A file that was removed while it is open keeps its space: it is found through the descriptors of those who hold it.</summary>
    private static string? CountNameless(in OpenAt2.FileStatus workspace, IReadOnlyList<int> holders, ref long bytes, CancellationToken cancellationToken)
    {
        HashSet<ulong> counted = [];
        byte[] buffer = new byte[32 * 1024];
        int looked = 0;
        foreach (int pid in holders)
        {
            int descriptor = OpenAt2.OpenDirectory(Encoding.ASCII.GetBytes($"/proc/{pid}/fd\0"));
            if (descriptor < 0)
            {
                continue; // ended since
            }

            using var directory = new SafeFileHandle(descriptor, ownsHandle: true);
            for (int length; (length = OpenAt2.ReadEntries(directory, buffer)) > 0;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                for (int at = 0; at < length;)
                {
                    ReadOnlySpan<byte> name = TreeWalk.NextName(buffer.AsSpan(0, length), ref at);
                    if (TreeWalk.IsDots(name))
                    {
                        continue;
                    }

                    if (++looked > MaxDescriptors)
                    {
                        return $"its programs hold more than {MaxDescriptors} files open";
                    }

                    if (OpenAt2.StatusBehind(directory, name, out OpenAt2.FileStatus status) == 0 && status is { Kind: WorkspaceEntryKind.File, Links: 0 }
                        && status.IsOnSameDeviceAs(workspace) && counted.Add(status.Inode))
                    {
                        bytes = Add(bytes, status);
                    }
                }
            }
        }

        return null;
    }

    /// <summary>A guest chooses sizes up to the largest number, so the sum stops there.</summary>
    private static long Add(long bytes, in OpenAt2.FileStatus status)
    {
        long taken = Math.Max(Math.Max(status.Size, status.Blocks * BlockBytes), 0);
        return bytes > long.MaxValue - taken ? long.MaxValue : bytes + taken;
    }
}
