namespace Rynxs.ResourceServer.Storage;

/// <summary>Settings of a <see cref="ResourceStore"/>.</summary>
public sealed record ResourceStoreOptions
{
    /// <summary>Path of the database file. Its directory must exist; the file and a lock file beside it are created, mode 0600.</summary>
    public required string Path { get; init; }

    /// <summary>Clock of creation and deletion timestamps and of the bookmarks.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Records every mutation before it is committed. Null: nothing is recorded, for tools and tests alone.</summary>
    public IMutationLog? MutationLog { get; init; }

    /// <summary>
    /// Changes kept for watches, 1 to 1000000, default 10000. A watch from an older version answers <c>Gone</c>.
    /// The history is cut when it exceeds the window by a tenth.
    /// </summary>
    public int HistoryWindow { get; init; } = 10_000;

    /// <summary>A silent watch yields a bookmark this often. Default 30 seconds.</summary>
    public TimeSpan BookmarkInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Largest object as JSON in bytes, default 3 MiB: the largest request body the API takes.</summary>
    public int MaxObjectBytes { get; init; } = 3 * 1024 * 1024;
}
