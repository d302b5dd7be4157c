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

    /// <summary>
    /// The file that holds the key which seals Secrets, made with mode 0600 when nothing is sealed yet. Null: the database's path with <c>.key</c>. A store that
    /// holds sealed objects does not open without its key.
    /// </summary>
    public string? KeyFile { get; init; }

    /// <summary>Serve every built-in kind of Kubernetes, as stored objects without controllers: for tests and <c>rynxs up --api all</c>. Default: the core kinds.</summary>
    public bool AllKinds { get; init; }

    /// <summary>
    /// Whether a namespace must be there before an object is created in it, as in Kubernetes. When true, the usual namespaces and those of the objects that are
    /// already stored are made at the first start. Default false: a library's store without anyone who would make them.
    /// </summary>
    public bool RequireNamespaces { get; init; }

    /// <summary>Namespaces that the first start makes beside Kubernetes' own, when <see cref="RequireNamespaces"/>.</summary>
    public IReadOnlyList<string> InitialNamespaces { get; init; } = [];

    /// <summary>Database files up to this many bytes are checked whole before they are opened, larger ones after, while requests are served. Default 32 MiB.</summary>
    public long CheckBeforeOpenBytes { get; init; } = 32 * 1024 * 1024;
}
