using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Files;

/// <summary>Watches one directory by its descriptor (inotify), so that nobody can swap another one in its place.</summary>
internal static unsafe partial class WorkspaceWatch
{
    private const string Library = "libc";
    private const uint Modify = 0x2, AttributeChange = 0x4, CloseWrite = 0x8, MovedFrom = 0x40, MovedTo = 0x80, Create = 0x100, Delete = 0x200, DeleteSelf = 0x400, MoveSelf = 0x800;
    private const uint QueueOverflow = 0x4000, Ignored = 0x8000, OnlyDirectories = 0x1000000;
    private const int MaxPending = 4096;

    /// <param name="directory">Owned from now on.</param>
    /// <param name="shown">Its path, for names.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async IAsyncEnumerable<WorkspaceChange> RunAsync(SafeFileHandle directory, string shown, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using SafeFileHandle held = directory;
        int queue = inotify_init1(Libc.O_CLOEXEC);
        if (queue < 0)
        {
            throw FileAccessErrors.From(Libc.LastErrno, shown);
        }

        using var notes = new SafeFileHandle(queue, ownsHandle: true);
        if (inotify_add_watch(queue, $"/proc/self/fd/{directory.DangerousGetHandle()}", Modify | AttributeChange | CloseWrite | MovedFrom | MovedTo | Create | Delete | DeleteSelf | MoveSelf | OnlyDirectories) < 0)
        {
            throw FileAccessErrors.From(Libc.LastErrno, shown);
        }

        int stop = Libc.eventfd(0, Libc.O_CLOEXEC);
        Channel<WorkspaceChange> changes = Channel.CreateBounded<WorkspaceChange>(new BoundedChannelOptions(MaxPending) { SingleReader = true, SingleWriter = true, FullMode = BoundedChannelFullMode.Wait });
        Task reading = Task.Factory.StartNew(() => Read(queue, stop, shown, changes.Writer), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            await foreach (WorkspaceChange change in changes.Reader.ReadAllAsync(cancellationToken))
            {
                yield return change;
            }
        }
        finally
        {
            Signal(stop);
            await reading;
            _ = Libc.close(stop);
        }
    }

    private static void Signal(int stop)
    {
        ulong one = 1;
        _ = Libc.write(stop, &one, sizeof(ulong));
    }

    private static void Read(int queue, int stop, string shown, ChannelWriter<WorkspaceChange> changes)
    {
        byte[] buffer = new byte[64 * 1024];
        Libc.PollFd* entries = stackalloc Libc.PollFd[2];
        bool goesOn = true;
        bool lost = false;
        while (goesOn)
        {
            entries[0] = new Libc.PollFd { Fd = queue, Events = Libc.PollIn };
            entries[1] = new Libc.PollFd { Fd = stop, Events = Libc.PollIn };
            if (Libc.poll(entries, 2, -1) < 0)
            {
                continue; // EINTR
            }

            if (entries[1].Revents != 0)
            {
                break;
            }

            nint count;
            fixed (byte* target = buffer)
            {
                count = Libc.read(queue, target, (nuint)buffer.Length);
            }

            int at = 0;
            while (count > 0 && at < count)
            {
                const int header = 16;
                uint mask = BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(at + 4));
                int length = BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at + 12));
                ReadOnlySpan<byte> name = buffer.AsSpan(at + header, length);
                at += header + length;
                goesOn &= (mask & (Ignored | DeleteSelf | MoveSelf)) == 0;
                WorkspaceChange? change = ToChange(mask, name[..Math.Max(0, name.IndexOf((byte)0))], shown);
                lost |= change is not null && !changes.TryWrite(change);
                lost = lost && !changes.TryWrite(new WorkspaceChange("", WorkspaceChangeKind.Lost));
            }
        }

        changes.TryComplete();
    }

    private static WorkspaceChange? ToChange(uint mask, ReadOnlySpan<byte> name, string shown)
    {
        WorkspaceChangeKind? kind =
            (mask & QueueOverflow) != 0 ? WorkspaceChangeKind.Lost
            : (mask & (Ignored | DeleteSelf | MoveSelf)) != 0 ? WorkspaceChangeKind.Ended
            : (mask & (Create | MovedTo)) != 0 ? WorkspaceChangeKind.Created
            : (mask & (Delete | MovedFrom)) != 0 ? WorkspaceChangeKind.Deleted
            : (mask & (CloseWrite | AttributeChange)) != 0 ? WorkspaceChangeKind.Modified
            : null; // each write by itself would only be noise before the close
        string text = kind is WorkspaceChangeKind.Lost or WorkspaceChangeKind.Ended ? "" : WorkspaceWalk.Display(shown, name);
        return kind is { } known ? new WorkspaceChange(text, known) : null;
    }

    [LibraryImport(Library, SetLastError = true)]
    private static partial int inotify_init1(int flags);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int inotify_add_watch(int queue, string path, uint mask);
}
