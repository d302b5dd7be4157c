using System.Text;
using Microsoft.Win32.SafeHandles;
using static Rynxs.Sandbox.Files.OpenAt2;

namespace Rynxs.Sandbox.Files;

/// <summary>
/// File tools of one workspace directory, on the host side. Every name is resolved by the kernel below one directory descriptor
/// (openat2 with RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS and RESOLVE_NO_XDEV), so a program in the sandbox that swaps directories
/// and symbolic links at the same time cannot lead a tool out of the workspace.
/// </summary>
/// <remarks>
/// Reading follows symbolic links that are relative and stay within; writing and deleting follow none. Thread-safe.
/// Every method throws <see cref="FileAccessException"/> for what the caller can act on.
/// </remarks>
public sealed class WorkspaceFiles : IDisposable
{
    /// <summary>Most bytes that one write takes: 8 MiB.</summary>
    public const int MaxWriteBytes = 8 * 1024 * 1024;

    /// <summary>Default and largest window of a read: 1 MiB.</summary>
    public const int MaxReadBytes = 1024 * 1024;

    /// <summary>Most entries that one listing returns.</summary>
    public const int MaxListEntries = 10_000;

    /// <summary>Most matches that one search returns.</summary>
    public const int MaxSearchMatches = 1000;

    /// <summary>The user and group that programs in a sandbox run as.</summary>
    private const uint SandboxUser = 1000;
    private const uint FileMode = 0x1a4; // 0644
    private const uint DirectoryMode = 0x1ed; // 0755
    private const int ExecuteBits = 0x49; // 0111

    private readonly SafeFileHandle _root;
    private readonly long _quotaBytes;
    private readonly TimeProvider _timeProvider;

    /// <summary>One write at a time: two that each fit must not together exceed the limit.</summary>
    private readonly Lock _writing = new();

    private WorkspaceFiles(SafeFileHandle root, long quotaBytes, TimeProvider timeProvider)
    {
        _root = root;
        _quotaBytes = quotaBytes;
        _timeProvider = timeProvider;
    }

    /// <summary>
    /// Opens an existing directory. A symbolic link in its place is refused. What writes of a process that was killed left half done is removed:
    /// <c>.rynxs-*.tmp</c> files older than this process.
    /// </summary>
    /// <param name="directory">Host path, chosen by the owner of the state directory, never by a guest.</param>
    /// <param name="quotaBytes">Limit of everything in it, as programs are held to it; default none. A limit also holds the names to 200 000.</param>
    /// <param name="timeProvider">Clock of the time limits of listings and searches; default the system's.</param>
    /// <exception cref="FileAccessException">Not there, or not a directory.</exception>
    public static WorkspaceFiles Open(string directory, long quotaBytes = long.MaxValue, TimeProvider? timeProvider = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentOutOfRangeException.ThrowIfNegative(quotaBytes);
        int descriptor = OpenDirectory(Encoding.UTF8.GetBytes(directory + '\0'));
        if (descriptor < 0)
        {
            throw Failure(-descriptor, "the workspace directory");
        }

        var root = new SafeFileHandle(descriptor, ownsHandle: true);
        InterruptedWrites.Sweep(root);
        return new WorkspaceFiles(root, quotaBytes, timeProvider ?? TimeProvider.System);
    }

    /// <summary>A window of a regular file. An offset behind the end gives an empty window.</summary>
    /// <param name="path">Relative path.</param>
    /// <param name="offset">First byte, 0 or more.</param>
    /// <param name="maxBytes">1 to <see cref="MaxReadBytes"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">Offset or size out of range.</exception>
    public FileWindow Read(string path, long offset = 0, int maxBytes = MaxReadBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxBytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxBytes, MaxReadBytes);
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: false);
        using SafeFileHandle file = OpenRegularFile(_root, parsed.ToBytes(), BeneathFollowing, path, out FileStatus status);
        long wanted = Math.Clamp(status.Size - offset, 0, maxBytes);
        byte[] data = new byte[wanted];
        int count = ReadAt(file, data, offset);
        if (count < 0)
        {
            throw Failure(-count, path);
        }

        return new FileWindow(data.AsMemory(0, count), offset, status.Size);
    }

    /// <summary>
    /// Replaces or creates a file atomically, owned by the sandbox's user, mode 644 (execute bits of a replaced file stay). Missing directories
    /// are created. Readers see the old content or the new, never a part; the content is on disk when this returns.
    /// </summary>
    /// <param name="path">Relative path. A symbolic link, a name with more than one hard link and anything but a regular file are refused.</param>
    /// <param name="content">At most <see cref="MaxWriteBytes"/>.</param>
    /// <exception cref="FileAccessException"><c>quota_exceeded</c> when the workspace would be beyond its limit; making a file smaller is never refused for that.</exception>
    public WorkspaceEntry Write(string path, ReadOnlySpan<byte> content)
    {
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: false);
        if (content.Length > MaxWriteBytes)
        {
            throw new FileAccessException("too_large", $"'{path}': {content.Length} bytes are more than {MaxWriteBytes}");
        }

        lock (_writing)
        {
            RefuseBeyondQuota(parsed, content.Length, path);
            return WriteWithin(parsed, content, path);
        }
    }

    private WorkspaceEntry WriteWithin(WorkspacePath parsed, ReadOnlySpan<byte> content, string path)
    {
        using SafeFileHandle parent = OpenOrCreateParent(parsed, path);
        uint mode = FileMode;
        int found = StatusAt(parent, parsed.Name, out FileStatus existing);
        if (found == 0)
        {
            RefuseUnlessReplaceable(existing, path);
            mode |= (uint)(existing.Permissions & ExecuteBits);
        }
        else if (found != -Errno.NotFound)
        {
            throw Failure(-found, path);
        }

        byte[] temporary = InterruptedWrites.NewName();
        int descriptor = OpenAt2.Open(parent, temporary, WriteOnly | Create | Exclusive | NoFollow, 0x180, BeneathWithoutLinks);
        if (descriptor < 0)
        {
            throw Failure(-descriptor, path);
        }

        bool renamed = false;
        try
        {
            using var file = new SafeFileHandle(descriptor, ownsHandle: true);
            Check(WriteAll(file, content), path);
            GiveToSandboxUser(file, path);
            Check(ChangeMode(file, mode), path);
            Check(Synchronise(file), path);

            // rename replaces the name itself: whatever a guest put there in the meantime is never written through.
            Check(Rename(parent, temporary, parsed.Name), path);
            renamed = true;
            SynchroniseDirectory(parent, path);
            Check(Status(file, out FileStatus written), path);
            return Entry(parsed.Text, written);
        }
        finally
        {
            if (!renamed)
            {
                _ = Unlink(parent, temporary, asDirectory: false);
            }
        }
    }

    /// <summary>
    /// Entries below a directory (default: the workspace itself). Symbolic links are listed, not followed. Bounds: <paramref name="maxEntries"/>,
    /// 32 levels, 100 000 names looked at, 5 s.
    /// </summary>
    /// <param name="path">Relative path of a directory.</param>
    /// <param name="recursive">Also below its directories, the upper levels first when a bound cuts it short.</param>
    /// <param name="maxEntries">1 to <see cref="MaxListEntries"/>.</param>
    /// <param name="cancellationToken">Ends the walk with <see cref="OperationCanceledException"/>.</param>
    public WorkspaceListing List(string path = "", bool recursive = false, int maxEntries = 1000, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxEntries, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxEntries, MaxListEntries);
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: true);
        using SafeFileHandle start = OpenStart(parsed, path);
        var walk = new WorkspaceWalk(start, parsed.Text, recursive, _timeProvider);
        var entries = new List<WorkspaceEntry>();
        bool truncated = false;
        foreach (WorkspaceWalk.Item item in walk.Items(cancellationToken))
        {
            if (entries.Count == maxEntries)
            {
                truncated = true;
                break;
            }

            entries.Add(Entry(item.DisplayPath, item.Status));
        }

        entries.Sort(static (a, b) => string.CompareOrdinal(a.Path, b.Path));
        return new WorkspaceListing(entries, truncated || walk.Truncated);
    }

    /// <summary>
    /// Lines that contain a text, or match a regular expression that runs in linear time. Files with a NUL byte in their first 8 KiB are skipped.
    /// Bounds: <paramref name="maxMatches"/>, 4 MiB of each file, 64 MiB and 10 000 files in all, 5 s.
    /// </summary>
    /// <param name="pattern">1 to 1000 characters; text is compared by its bytes, case-sensitive.</param>
    /// <param name="path">Relative path of a directory or one file.</param>
    /// <param name="regex">Whether the pattern is a .NET regular expression (no look-around, no back-references).</param>
    /// <param name="maxMatches">1 to <see cref="MaxSearchMatches"/>.</param>
    /// <param name="cancellationToken">Ends the search with <see cref="OperationCanceledException"/>.</param>
    public SearchResult Search(string pattern, string path = "", bool regex = false, int maxMatches = 200, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxMatches, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxMatches, MaxSearchMatches);
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: true);
        var search = new WorkspaceSearch(LineMatcher.Create(pattern, regex), maxMatches, _timeProvider);
        using SafeFileHandle start = OpenPath(parsed.ToBytes(), keepFinalLink: false, path, out FileStatus status);
        if (status.Kind == WorkspaceEntryKind.File)
        {
            using SafeFileHandle file = OpenRegularFile(_root, parsed.ToBytes(), BeneathFollowing, path, out _);
            search.SearchFile(file, parsed.Text, cancellationToken);
            return search.ToResult(truncatedWalk: false);
        }

        using SafeFileHandle directory = OpenStart(parsed, path);
        var walk = new WorkspaceWalk(directory, parsed.Text, recursive: true, _timeProvider);
        foreach (WorkspaceWalk.Item item in walk.Items(cancellationToken))
        {
            if (item.Status.Kind != WorkspaceEntryKind.File || !item.IsText)
            {
                continue;
            }

            if (!search.WantsMore)
            {
                break;
            }

            try
            {
                using SafeFileHandle file = OpenRegularFile(directory, item.RelativePath, BeneathWithoutLinks, item.DisplayPath, out _);
                search.SearchFile(file, item.DisplayPath, cancellationToken);
            }
            catch (FileAccessException)
            {
                // Gone, replaced or unreadable since it was listed: the others still count, and the count of files read says so.
            }
        }

        return search.ToResult(walk.Truncated);
    }

    /// <summary>Makes a directory and those above it that are missing; one that is there stays.</summary>
    public WorkspaceEntry MakeDirectory(string path)
    {
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: false);
        lock (_writing)
        {
            RefuseBeyondQuota(parsed, 0, path);
            using SafeFileHandle parent = OpenOrCreateParent(parsed, path);
            using SafeFileHandle made = OpenOrCreateDirectory(parent, parsed.Name, path);
            Check(Status(made, out FileStatus status), path);
            return Entry(parsed.Text, status);
        }
    }

    /// <summary>Bytes in it, as its limit counts them; null where they cannot be counted.</summary>
    public long? Usage(CancellationToken cancellationToken)
    {
        WorkspaceUsage usage = WorkspaceUsage.Measure(_root, long.MaxValue, WorkspaceUsage.MaxEntries, [], cancellationToken);
        return usage.Unmeasurable is null ? usage.Bytes : null;
    }

    /// <summary>Changes of names and contents in one directory (not below its directories), as they come, until cancelled.</summary>
    /// <param name="path">Relative path of a directory.</param>
    /// <param name="cancellationToken">Ends it with <see cref="OperationCanceledException"/>.</param>
    public IAsyncEnumerable<WorkspaceChange> WatchAsync(string path, CancellationToken cancellationToken)
    {
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: true);
        return WorkspaceWatch.RunAsync(OpenStart(parsed, path), parsed.Text, cancellationToken);
    }

    /// <summary>What a name is; a symbolic link is described, not followed. The empty path is the workspace itself.</summary>
    public WorkspaceEntry Stat(string path)
    {
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: true);
        using SafeFileHandle _ = OpenPath(parsed.ToBytes(), keepFinalLink: true, path, out FileStatus status);
        return Entry(parsed.Text, status);
    }

    /// <summary>Removes a file, a symbolic link (not its target) or an empty directory.</summary>
    public void Delete(string path)
    {
        WorkspacePath parsed = WorkspacePath.Parse(path, allowRoot: false);
        int descriptor = OpenAt2.Open(_root, parsed.ParentToBytes(), ReadOnly | DirectoryOnly, 0, BeneathWithoutLinks);
        if (descriptor < 0)
        {
            throw Failure(-descriptor, path);
        }

        using var parent = new SafeFileHandle(descriptor, ownsHandle: true);
        Check(StatusAt(parent, parsed.Name, out FileStatus status), path);
        Check(Unlink(parent, parsed.Name, status.Kind == WorkspaceEntryKind.Directory), path);
        SynchroniseDirectory(parent, path);
    }

    /// <inheritdoc/>
    public void Dispose() => _root.Dispose();

    /// <summary>Opens a regular file for reading; a FIFO, socket or device is refused without ever being opened.</summary>
    private static SafeFileHandle OpenRegularFile(SafeFileHandle directory, byte[] path, ulong resolve, string shown, out FileStatus status)
    {
        int descriptor = OpenAt2.Open(directory, path, PathOnly, 0, resolve);
        if (descriptor < 0)
        {
            throw Failure(-descriptor, shown);
        }

        using var name = new SafeFileHandle(descriptor, ownsHandle: true);
        Check(Status(name, out status), shown);
        if (status.Kind != WorkspaceEntryKind.File)
        {
            throw new FileAccessException("not_a_file", $"'{shown}' is not a regular file");
        }

        int file = Reopen(name, ReadOnly | NonBlocking | NoControllingTerminal);
        return file >= 0 ? new SafeFileHandle(file, ownsHandle: true) : throw Failure(-file, shown);
    }

    private SafeFileHandle OpenPath(byte[] path, bool keepFinalLink, string shown, out FileStatus status)
    {
        int descriptor = OpenAt2.Open(_root, path, PathOnly | (keepFinalLink ? NoFollow : 0), 0, BeneathFollowing);
        if (descriptor < 0)
        {
            throw Failure(-descriptor, shown);
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        int result = Status(handle, out status);
        if (result < 0)
        {
            handle.Dispose();
            throw Failure(-result, shown);
        }

        return handle;
    }

    private SafeFileHandle OpenStart(WorkspacePath path, string shown)
    {
        int descriptor = OpenAt2.Open(_root, path.ToBytes(), ReadOnly | DirectoryOnly, 0, BeneathFollowing);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw Failure(-descriptor, shown);
    }

    private SafeFileHandle OpenOrCreateParent(WorkspacePath path, string shown)
    {
        int descriptor = OpenAt2.Open(_root, path.ParentToBytes(), ReadOnly | DirectoryOnly, 0, BeneathWithoutLinks);
        if (descriptor >= 0)
        {
            return new SafeFileHandle(descriptor, ownsHandle: true);
        }

        if (descriptor != -Errno.NotFound)
        {
            throw Failure(-descriptor, shown);
        }

        SafeFileHandle current = OpenStart(WorkspacePath.Parse("", allowRoot: true), shown);
        try
        {
            for (int i = 0; i < path.Components.Count - 1; i++)
            {
                SafeFileHandle next = OpenOrCreateDirectory(current, path.Components[i], shown);
                current.Dispose();
                current = next;
            }
        }
        catch (FileAccessException)
        {
            current.Dispose();
            throw;
        }

        return current;
    }

    private static SafeFileHandle OpenOrCreateDirectory(SafeFileHandle parent, byte[] name, string shown)
    {
        int made = OpenAt2.MakeDirectory(parent, name, DirectoryMode);
        if (made is not (0 or -Errno.Exists))
        {
            throw Failure(-made, shown);
        }

        int descriptor = OpenAt2.Open(parent, name, ReadOnly | DirectoryOnly | NoFollow, 0, BeneathWithoutLinks);
        if (descriptor < 0)
        {
            throw Failure(-descriptor, shown);
        }

        var directory = new SafeFileHandle(descriptor, ownsHandle: true);
        try
        {
            if (made == 0)
            {
                GiveToSandboxUser(directory, shown);
                Check(ChangeMode(directory, DirectoryMode), shown);
                SynchroniseDirectory(parent, shown);
            }

            return directory;
        }
        catch (FileAccessException)
        {
            directory.Dispose();
            throw;
        }
    }

    private void RefuseBeyondQuota(WorkspacePath parsed, int length, string path)
    {
        if (_quotaBytes == long.MaxValue)
        {
            return;
        }

        long replaced = 0;
        long newNames = parsed.Components.Count;
        int descriptor = OpenAt2.Open(_root, parsed.ToBytes(), PathOnly | NoFollow, 0, BeneathWithoutLinks);
        if (descriptor >= 0)
        {
            using var existing = new SafeFileHandle(descriptor, ownsHandle: true);
            if (Status(existing, out FileStatus status) == 0 && status is { Kind: WorkspaceEntryKind.File, Links: 1 })
            {
                replaced = status.Size;
            }

            newNames = 0;
        }

        if (length <= replaced && newNames == 0)
        {
            return;
        }

        WorkspaceUsage usage = WorkspaceUsage.Measure(_root, _quotaBytes + replaced, WorkspaceUsage.MaxEntries, [], CancellationToken.None);
        if (usage.Unmeasurable is { } obstacle)
        {
            throw new FileAccessException("quota_exceeded", $"'{path}': the workspace's size cannot be measured: {obstacle}");
        }

        if (usage.Entries + newNames > WorkspaceUsage.MaxEntries)
        {
            throw new FileAccessException("quota_exceeded", $"'{path}': the workspace holds {WorkspaceUsage.MaxEntries} names, which is its limit");
        }

        if (usage.Bytes - replaced > _quotaBytes - length)
        {
            throw new FileAccessException("quota_exceeded", $"'{path}': {length} bytes do not fit; the workspace's limit is {_quotaBytes} bytes");
        }
    }

    private static void RefuseUnlessReplaceable(in FileStatus existing, string path)
    {
        switch (existing.Kind)
        {
            case WorkspaceEntryKind.Symlink:
                throw new FileAccessException("symlink", $"'{path}' is a symbolic link; writing through one is refused");
            case WorkspaceEntryKind.Directory or WorkspaceEntryKind.Other:
                throw new FileAccessException("not_a_file", $"'{path}' is not a regular file");
            case WorkspaceEntryKind.File when existing.Links > 1:
                throw new FileAccessException("permission", $"'{path}' has {existing.Links} hard links; writing would part them");
            case WorkspaceEntryKind.File:
                break;
        }
    }

    /// <summary>Without root nothing can be given away; the sandbox then runs as a mapping of our own user and owns what we create.</summary>
    private static void GiveToSandboxUser(SafeFileHandle handle, string path)
    {
        if (EffectiveUser() == 0)
        {
            Check(ChangeOwner(handle, SandboxUser, SandboxUser), path);
        }
    }

    private static void SynchroniseDirectory(SafeFileHandle directory, string path)
    {
        int result = Synchronise(directory);
        if (result is not (0 or -Errno.Invalid)) // EINVAL: a file system whose directories need no fsync
        {
            throw Failure(-result, path);
        }
    }

    private static WorkspaceEntry Entry(string path, in FileStatus status) =>
        new(path, status.Kind, status.Kind == WorkspaceEntryKind.File ? status.Size : 0, status.Modified, status.Permissions);

    private static void Check(int result, string path)
    {
        if (result < 0)
        {
            throw Failure(-result, path);
        }
    }

    private static FileAccessException Failure(int error, string path) => FileAccessErrors.From(error, path);
}
