using Microsoft.Data.Sqlite;
using Rynxs.Resources.Client;
using Rynxs.ResourceServer.Secrets;
using Rynxs.ResourceServer.Watching;

namespace Rynxs.ResourceServer.Storage;

/// <summary>Documents of every kind in one SQLite file: read by key, by page and by history, changed by commits. Knows nothing of what a document means.</summary>
internal sealed class DocumentStore : IAsyncDisposable
{
    private const int ChangesAtATime = 256;

    /// <summary>A page ends after this many bytes, so that large objects do not gather in memory.</summary>
    private const int PageBytes = 8 * 1024 * 1024;

    private readonly StoreDatabase _database;
    private readonly CommitQueue _commits;
    private bool _disposed;

    private DocumentStore(ResourceStoreOptions options, StoreDatabase database)
    {
        _database = database;
        Feeds = new ChangeFeeds(database.Writer.Number("SELECT sequence FROM state"), options.TimeProvider);
        _commits = new CommitQueue(database, options, Feeds.Publish);
    }

    /// <summary>The latest changes, for those who watch.</summary>
    public ChangeFeeds Feeds { get; }

    /// <summary>What seals Secrets.</summary>
    public SecretKeyRing Keys => _database.Keys;

    /// <summary>Version of the last commit.</summary>
    public long Sequence => _commits.Sequence;

    /// <exception cref="ResourceStoreOpenException">It cannot be opened; the message says why.</exception>
    public static async Task<DocumentStore> OpenAsync(ResourceStoreOptions options, CancellationToken cancellationToken)
    {
        // A small file is checked whole, so off the caller's thread. A failure to read the state is a failure to open.
        return await Task.Run(() => new DocumentStore(options, StoreDatabase.Open(options)), cancellationToken);
    }

    public Task<CommitOutcome> CommitAsync(Mutation mutation, CancellationToken cancellationToken) => _commits.CommitAsync(mutation, cancellationToken);

    public Task BurnThroughAsync(long version, CancellationToken cancellationToken) => _commits.BurnThroughAsync(version, cancellationToken);

    public Task CheckWritableAsync(CancellationToken cancellationToken) => _commits.CheckWritableAsync(cancellationToken);

    /// <summary>Work of the store on itself, as a commit of its own that makes no version. <paramref name="committed"/> runs before the next commit begins.</summary>
    public Task<long> UpkeepAsync(Func<StoreConnection, long> work, Action? committed, CancellationToken cancellationToken) => _commits.UpkeepAsync(work, committed, cancellationToken);

    /// <summary>How many keys the store names, and how many sealed rows have another than the newest.</summary>
    public Task<(int Keys, long Left)> ReadKeysAsync(CancellationToken cancellationToken) =>
        _database.ReadAsync(
            connection => ((int)connection.Number("SELECT count(*) FROM keys"), connection.Number("""
                SELECT (SELECT count(*) FROM documents WHERE grp = '' AND plural = 'secrets' AND sealed NOT IN (0, $1))
                     + (SELECT count(*) FROM history WHERE grp = '' AND plural = 'secrets' AND sealed NOT IN (0, $1))
                """, _database.Keys.Newest)),
            transaction: true, cancellationToken);

    public Task<StoredDocument?> FindAsync(DocumentKey key, CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            SqliteCommand find = connection.Prepare("SELECT version, sealed, body FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name = $4",
                key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name);
            using SqliteDataReader reader = find.ExecuteReader();
            return reader.Read() ? new StoredDocument(key, reader.GetInt64(0), Open(key, reader.GetInt64(0), reader.GetInt64(1), reader.GetFieldValue<byte[]>(2))) : null;
        }, transaction: false, cancellationToken);

    /// <summary>
    /// Objects of a kind in order of (namespace, name), as they were at a version: what changed since is taken from the history, so that the pages of one list
    /// agree with each other however long it takes.
    /// </summary>
    /// <exception cref="ResourceException"><c>Gone</c>: the history does not reach back to the version.</exception>
    public Task<DocumentPage> PageAsync(DocumentQuery query, CancellationToken cancellationToken) =>
        _database.ReadAsync(connection => Page(connection, query), transaction: true, cancellationToken);

    /// <summary>The changes of a kind after a version, in order, from the history on disk.</summary>
    /// <exception cref="ResourceException"><c>Gone</c>: the history does not reach back, or the version was never given.</exception>
    public Task<ChangePage> ChangesAsync(KindKey kind, long after, CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            long sequence = RequireHistory(connection, after);
            SqliteCommand command = connection.Prepare("""
                SELECT version, namespace, name, type, sealed, body, previous, previous_version FROM history
                WHERE grp = $1 AND plural = $2 AND version > $3 ORDER BY version LIMIT $4
                """, kind.Group, kind.Plural, after, ChangesAtATime);
            List<StoredChange> changes = [];
            using SqliteDataReader reader = command.ExecuteReader();
            while (reader.Read())
            {
                DocumentKey key = new(kind, reader.GetString(1), reader.GetString(2));
                long version = reader.GetInt64(0);
                long isSealed = reader.GetInt64(4);
                changes.Add(new StoredChange(version, (WatchEventType)reader.GetInt32(3), key, Open(key, version, isSealed, reader.GetFieldValue<byte[]>(5)),
                    reader.IsDBNull(6) ? null : Open(key, reader.GetInt64(7), isSealed, reader.GetFieldValue<byte[]>(6))));
            }

            // A full page may be cut short of the sequence; then its last change is how far it reaches.
            return new ChangePage(changes, changes.Count < ChangesAtATime ? sequence : changes[^1].Version);
        }, transaction: true, cancellationToken);

    /// <summary>Objects that name an owner by its uid.</summary>
    public Task<IReadOnlyList<DocumentKey>> DependentsAsync(string ownerUid, CancellationToken cancellationToken) =>
        KeysAsync("SELECT grp, plural, namespace, name FROM owners WHERE owner = $1", [ownerUid], cancellationToken);

    /// <summary>Some objects in a namespace, of whatever kind.</summary>
    public Task<IReadOnlyList<DocumentKey>> InNamespaceAsync(IReadOnlyList<KindKey> kinds, string name, int limit, CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            // Kind by kind, because the index begins with the kind.
            List<DocumentKey> keys = [];
            foreach (KindKey kind in kinds)
            {
                using SqliteDataReader reader = connection.Prepare(
                    "SELECT name FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 ORDER BY name LIMIT $4", kind.Group, kind.Plural, name, limit - keys.Count).ExecuteReader();
                while (reader.Read())
                    keys.Add(new DocumentKey(kind, name, reader.GetString(0)));
                if (keys.Count >= limit)
                    break;
            }

            return (IReadOnlyList<DocumentKey>)keys;
        }, transaction: true, cancellationToken);

    /// <summary>Some objects of a kind, in every namespace.</summary>
    public Task<IReadOnlyList<DocumentKey>> OfKindAsync(KindKey kind, int limit, CancellationToken cancellationToken) =>
        KeysAsync("SELECT grp, plural, namespace, name FROM documents WHERE grp = $1 AND plural = $2 ORDER BY namespace, name LIMIT $3", [kind.Group, kind.Plural, limit], cancellationToken);

    /// <summary>Every namespace that an object is in.</summary>
    public Task<IReadOnlyList<string>> NamespacesInUseAsync(CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            List<string> names = [];
            using SqliteDataReader reader = connection.Prepare("SELECT DISTINCT namespace FROM documents WHERE namespace <> '' ORDER BY 1").ExecuteReader();
            while (reader.Read())
                names.Add(reader.GetString(0));
            return (IReadOnlyList<string>)names;
        }, transaction: false, cancellationToken);

    /// <summary>Uids that objects name as owners and that no object has.</summary>
    public Task<IReadOnlyList<string>> LostOwnersAsync(CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            List<string> uids = [];
            if (connection.Number("SELECT EXISTS (SELECT 1 FROM owners)") == 0)
                return (IReadOnlyList<string>)uids;
            using SqliteDataReader reader = connection.Prepare("SELECT DISTINCT owner FROM owners WHERE owner NOT IN (SELECT uid FROM documents)").ExecuteReader();
            while (reader.Read())
                uids.Add(reader.GetString(0));
            return uids;
        }, transaction: true, cancellationToken);

    /// <summary>Every object that is marked for deletion.</summary>
    public Task<IReadOnlyList<StoredDocument>> DeletingAsync(CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            List<StoredDocument> found = [];
            using SqliteDataReader reader = connection.Prepare("SELECT grp, plural, namespace, name, version, sealed, body FROM documents WHERE deleting = 1").ExecuteReader();
            while (reader.Read())
            {
                DocumentKey key = new(new KindKey(reader.GetString(0), reader.GetString(1)), reader.GetString(2), reader.GetString(3));
                found.Add(new StoredDocument(key, reader.GetInt64(4), Open(key, reader.GetInt64(4), reader.GetInt64(5), reader.GetFieldValue<byte[]>(6))));
            }

            return (IReadOnlyList<StoredDocument>)found;
        }, transaction: false, cancellationToken);

    /// <summary>Finishes the commits that were taken, waits for the reads that run, closes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _commits.DisposeAsync();
        await _database.DisposeAsync();
    }

    private DocumentPage Page(StoreConnection connection, DocumentQuery query)
    {
        long sequence = connection.Number("SELECT sequence FROM state");
        long version = query.Version ?? sequence;
        SortedDictionary<(string, string), StoredDocument?> before = version == sequence ? [] : Before(connection, query, version);
        (string, string) after = (query.AfterNamespace ?? "", query.AfterName ?? "");
        Queue<StoredDocument> old = new(before.Where(entry => entry.Value is not null && After(entry.Key)).Select(entry => entry.Value!)); // filtered in the same breath

        SqliteCommand command = query.Namespace is { } one
            ? connection.Prepare("""
                SELECT namespace, name, version, sealed, body FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name > $4 ORDER BY name
                """, query.Kind.Group, query.Kind.Plural, one, query.AfterName ?? "")
            : connection.Prepare("""
                SELECT namespace, name, version, sealed, body FROM documents WHERE grp = $1 AND plural = $2 AND (namespace, name) > ($3, $4) ORDER BY namespace, name
                """, query.Kind.Group, query.Kind.Plural, query.AfterNamespace ?? "", query.AfterName ?? "");
        List<StoredDocument> items = [];
        long bytes = 0;
        using SqliteDataReader reader = command.ExecuteReader();
        while (reader.Read())
        {
            DocumentKey key = new(query.Kind, reader.GetString(0), reader.GetString(1));
            while (old.TryPeek(out StoredDocument? first) && Compare((first.Key.Namespace, first.Key.Name), (key.Namespace, key.Name)) <= 0)
            {
                if (Full())
                    return Cut();
                Add(old.Dequeue());
            }

            if (before.ContainsKey((key.Namespace, key.Name)))
                continue;
            if (Full())
                return Cut();
            Add(new StoredDocument(key, reader.GetInt64(2), Open(key, reader.GetInt64(2), reader.GetInt64(3), reader.GetFieldValue<byte[]>(4))));
        }

        while (old.Count > 0)
        {
            if (Full())
                return Cut();
            Add(old.Dequeue());
        }

        return new DocumentPage(items, version, More: false);

        bool Full() => items.Count >= query.Limit || bytes >= PageBytes;

        DocumentPage Cut() => new(items, version, More: true);

        void Add(StoredDocument document)
        {
            items.Add(document);
            bytes += document.Body.Length;
        }

        bool After((string, string) key) => Compare(key, after) > 0;
    }

    /// <summary>How many objects follow a position, at a version.</summary>
    public Task<long> CountAsync(DocumentQuery query, CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            long sequence = connection.Number("SELECT sequence FROM state");
            long now = query.Namespace is { } one
                ? connection.Number("SELECT count(*) FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name > $4", query.Kind.Group, query.Kind.Plural, one, query.AfterName ?? "")
                : connection.Number("SELECT count(*) FROM documents WHERE grp = $1 AND plural = $2 AND (namespace, name) > ($3, $4)", query.Kind.Group, query.Kind.Plural, query.AfterNamespace ?? "", query.AfterName ?? "");
            if (query.Version is not { } version || version == sequence)
                return now;

            // Each object that changed since counts as it was then, and not as it is.
            foreach (((string ns, string name) key, StoredDocument? then) in Before(connection, query, version))
            {
                if (Compare(key, (query.AfterNamespace ?? "", query.AfterName ?? "")) <= 0)
                    continue;
                now += then is null ? 0 : 1;
                now -= connection.Number("SELECT count(*) FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name = $4", query.Kind.Group, query.Kind.Plural, key.ns, key.name);
            }

            return now;
        }, transaction: true, cancellationToken);

    /// <summary>Objects that changed after a version, as they were at it; null for those that were not there.</summary>
    private SortedDictionary<(string, string), StoredDocument?> Before(StoreConnection connection, DocumentQuery query, long version)
    {
        RequireHistory(connection, version);
        SortedDictionary<(string, string), StoredDocument?> before = new(Comparer<(string, string)>.Create(Compare));
        // Bare columns of a MIN query are those of the row with the minimum: a documented feature of SQLite.
        SqliteCommand command = connection.Prepare("""
            SELECT namespace, name, MIN(version), sealed, previous, previous_version FROM history
            WHERE grp = $1 AND plural = $2 AND version > $3 AND ($4 IS NULL OR namespace = $4) GROUP BY namespace, name
            """, query.Kind.Group, query.Kind.Plural, version, query.Namespace);
        using SqliteDataReader reader = command.ExecuteReader();
        while (reader.Read())
        {
            DocumentKey key = new(query.Kind, reader.GetString(0), reader.GetString(1));
            before.Add((key.Namespace, key.Name), reader.IsDBNull(4)
                ? null
                : new StoredDocument(key, reader.GetInt64(5), Open(key, reader.GetInt64(5), reader.GetInt64(3), reader.GetFieldValue<byte[]>(4))));
        }

        return before;
    }

    private static long RequireHistory(StoreConnection connection, long version)
    {
        long sequence = connection.Number("SELECT sequence FROM state");
        long compacted = connection.Number("SELECT compacted FROM state");
        if (version < compacted)
            throw new ResourceException(ResourceErrorReason.Gone, $"too old resource version: {version} ({compacted})");
        if (version > sequence)
            throw new ResourceException(ResourceErrorReason.Gone, $"resource version {version} is newer than the store ({sequence}); list again");
        return sequence;
    }

    private Task<IReadOnlyList<DocumentKey>> KeysAsync(string sql, object[] values, CancellationToken cancellationToken) =>
        _database.ReadAsync(connection =>
        {
            List<DocumentKey> keys = [];
            using SqliteDataReader reader = connection.Prepare(sql, values).ExecuteReader();
            while (reader.Read())
                keys.Add(new DocumentKey(new KindKey(reader.GetString(0), reader.GetString(1)), reader.GetString(2), reader.GetString(3)));
            return (IReadOnlyList<DocumentKey>)keys;
        }, transaction: false, cancellationToken);

    private byte[] Open(DocumentKey key, long version, long isSealed, byte[] body) => isSealed == 0 ? body : _database.Keys.Open(key, version, isSealed, body);

    private static int Compare((string Namespace, string Name) a, (string Namespace, string Name) b)
    {
        int first = string.CompareOrdinal(a.Namespace, b.Namespace);
        return first != 0 ? first : string.CompareOrdinal(a.Name, b.Name);
    }
}

/// <summary>Which objects of a kind.</summary>
internal sealed record DocumentQuery
{
    public required KindKey Kind { get; init; }

    /// <summary>One namespace, or null for all.</summary>
    public string? Namespace { get; init; }

    /// <summary>Position after which to begin; null for the beginning.</summary>
    public string? AfterNamespace { get; init; }

    /// <inheritdoc cref="AfterNamespace"/>
    public string? AfterName { get; init; }

    /// <summary>As of this commit; null for the latest.</summary>
    public long? Version { get; init; }

    /// <summary>At most so many.</summary>
    public int Limit { get; init; } = 500;
}

/// <summary>Some objects, the commit that they are as of, and whether others follow.</summary>
internal sealed record DocumentPage(IReadOnlyList<StoredDocument> Items, long Version, bool More);
