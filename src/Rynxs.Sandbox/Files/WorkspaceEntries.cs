namespace Rynxs.Sandbox.Files;

/// <summary>What a name in a workspace is.</summary>
public enum WorkspaceEntryKind
{
    File,
    Directory,
    Symlink,

    /// <summary>FIFO, socket or device: listed, never opened.</summary>
    Other,
}

/// <summary>One name.</summary>
/// <param name="Path">Relative to the workspace, <c>/</c>-separated; bytes that are not UTF-8 appear as <c>\xHH</c>.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Bytes">Size of a file; 0 otherwise.</param>
/// <param name="Modified">Time of the last change of its content.</param>
/// <param name="Mode">Permission bits, such as octal 644.</param>
public sealed record WorkspaceEntry(string Path, WorkspaceEntryKind Kind, long Bytes, DateTimeOffset Modified, int Mode);

/// <summary>A window of a file.</summary>
/// <param name="Data">The bytes.</param>
/// <param name="Offset">Where the window begins.</param>
/// <param name="TotalBytes">Size of the whole file when it was opened.</param>
public sealed record FileWindow(ReadOnlyMemory<byte> Data, long Offset, long TotalBytes)
{
    /// <summary>True when the file goes on behind the window.</summary>
    public bool Truncated => Offset + Data.Length < TotalBytes;
}

/// <summary>What a listing found, in ordinal order of the paths.</summary>
/// <param name="Entries">At most the limit that was given.</param>
/// <param name="Truncated">True when a bound (count, depth, time) cut it short.</param>
public sealed record WorkspaceListing(IReadOnlyList<WorkspaceEntry> Entries, bool Truncated);

/// <summary>A change in a watched directory.</summary>
/// <param name="Path">Relative to the workspace; bytes that are not UTF-8 appear as <c>\xHH</c>. Empty for <see cref="WorkspaceChangeKind.Lost"/>.</param>
/// <param name="Kind">What happened.</param>
public sealed record WorkspaceChange(string Path, WorkspaceChangeKind Kind);

/// <summary>Kinds of change.</summary>
public enum WorkspaceChangeKind
{
    Created,

    /// <summary>Its content or its mode.</summary>
    Modified,
    Deleted,

    /// <summary>More changes than the kernel's queue holds: look at the directory again.</summary>
    Lost,

    /// <summary>The directory itself is gone; nothing more comes.</summary>
    Ended,
}

/// <summary>One matching line.</summary>
/// <param name="Path">Relative path of the file.</param>
/// <param name="Line">1-based number.</param>
/// <param name="Text">The line, cut at 400 characters; undecodable bytes replaced.</param>
public sealed record SearchMatch(string Path, int Line, string Text);

/// <summary>What a search found.</summary>
/// <param name="Matches">At most the limit that was given.</param>
/// <param name="FilesSearched">Files that were read.</param>
/// <param name="Truncated">True when a bound (matches, files, bytes, time) cut it short.</param>
public sealed record SearchResult(IReadOnlyList<SearchMatch> Matches, int FilesSearched, bool Truncated);
