using System.Globalization;
using Microsoft.Data.Sqlite;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// The objects of a standalone control plane, in one SQLite file. A version is the sequence number of a commit; it grows over restarts and is
/// never given twice. One mutation is written at a time; reads see the last commit.
/// </summary>
public sealed class ResourceStore : IAsyncDisposable
{
    private const int WatchBatch = 256;

    private readonly ResourceStoreOptions _options;
    private readonly StoreDatabase _database;
    private readonly SemaphoreSlim _writing = new(1);
    private readonly CancellationTokenSource _closing = new();

    /// <summary>Completed at each commit and replaced; whoever waits for news holds the one from before its read.</summary>
    private volatile TaskCompletionSource _committed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private long _sequence;
    private long _compacted;
    private long _lastGiven;
    private volatile bool _disposed;

    private ResourceStore(ResourceStoreOptions options, StoreDatabase database)
    {
        _options = options;
        _database = database;
        Limits = new ManifestLimits { MaxDocumentBytes = options.MaxObjectBytes, MaxStreamBytes = options.MaxObjectBytes };
        _sequence = StoreDatabase.Number(database.Writer, "SELECT sequence FROM state");
        _compacted = StoreDatabase.Number(database.Writer, "SELECT compacted FROM state");
        _lastGiven = _sequence;
    }

    /// <summary>Version of the last commit.</summary>
    public long CurrentVersion => Interlocked.Read(ref _sequence);

    internal ResourceStoreOptions Options => _options;

    internal ManifestLimits Limits { get; }

    /// <summary>Opens the store, or creates it. It is this process's alone until disposed.</summary>
    /// <exception cref="ResourceStoreOpenException">It cannot be opened; the message says why.</exception>
    public static async Task<ResourceStore> OpenAsync(ResourceStoreOptions options, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.HistoryWindow, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.HistoryWindow, 1_000_000);

        // The whole file is checked, so off the caller's thread. A failure to read the state is a failure to open.
        return await Task.Run(() => new ResourceStore(options, StoreDatabase.Open(options.Path)), cancellationToken);
    }

    /// <summary>A client that acts for <paramref name="principal"/>.</summary>
    public IResourceClient For(Principal principal) => new StoreClient(Requests(principal));

    /// <summary>
    /// Makes later versions greater than <paramref name="version"/>. The server calls it at start with the highest version in the ledger, so that
    /// a version that was recorded and never committed is not given again.
    /// </summary>
    public async Task BurnVersionsThroughAsync(long version, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        try
        {
            _lastGiven = Math.Max(_lastGiven, version);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Commits a transaction that changes nothing: whether the store can be written at this moment.</summary>
    /// <exception cref="ResourceException"><c>StoreUnavailable</c>: the reason in words.</exception>
    public async Task CheckWritableAsync(CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        try
        {
            if (_disposed)
                throw StoreDatabase.Closed();
            StoreDatabase.Execute(_database.Writer, "BEGIN IMMEDIATE");
            StoreDatabase.Execute(_database.Writer, "UPDATE state SET sequence = sequence");
            StoreDatabase.Execute(_database.Writer, "COMMIT");
        }
        catch (SqliteException e)
        {
            RollBack();
            throw StoreDatabase.Unavailable(e);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Ends the watches, waits for the mutation that is being written, closes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _closing.CancelAsync();
        await _writing.WaitAsync(CancellationToken.None);
        try
        {
            await _database.DisposeAsync();
        }
        finally
        {
            // Whoever waits for the gate finds the store closed.
            _writing.Release();
        }
    }

    internal StoreRequests Requests(Principal principal) => new(this, principal);

    internal Task<Resource?> FindAsync(ResourceType type, NamespacedName id, CancellationToken cancellationToken) =>
        ReadAsync(connection => Find(connection, type, id)?.Resource, cancellationToken);

    internal Task<ResourceList<Resource>> ListAsync(ResourceType type, string? resourceNamespace, CancellationToken cancellationToken) =>
        ReadAsync(connection =>
        {
            using SqliteCommand command = connection.CreateCommand();
            command.CommandText = "SELECT json FROM objects WHERE kind = $kind AND ($namespace IS NULL OR namespace = $namespace) ORDER BY namespace, name";
            command.Parameters.AddWithValue("$kind", type.Kind);
            command.Parameters.AddWithValue("$namespace", (object?)resourceNamespace ?? DBNull.Value);
            List<Resource> items = [];
            using SqliteDataReader reader = command.ExecuteReader();
            while (reader.Read())
                items.Add(ResourceJson.Deserialize(reader.GetFieldValue<byte[]>(0), type));
            return new ResourceList<Resource>(items, Text(StoreDatabase.Number(connection, "SELECT sequence FROM state")));
        }, cancellationToken);

    /// <summary>
    /// The changes of a kind after a version, in order. Only the history is read, so that nothing is lost or doubled between catching up and
    /// following, and a slow reader costs no memory.
    /// </summary>
    internal async Task<ChangePage> ChangesAsync(ResourceType type, long after, CancellationToken cancellationToken)
    {
        return await ReadAsync(connection =>
        {
            long sequence = StoreDatabase.Number(connection, "SELECT sequence FROM state");
            long compacted = StoreDatabase.Number(connection, "SELECT compacted FROM state");
            if (after < compacted)
                throw new ResourceException(ResourceErrorReason.Gone, $"too old resource version: {after} ({compacted})");
            if (after > sequence)
                throw new ResourceException(ResourceErrorReason.Gone, $"resource version {after} is newer than the store ({sequence}); list again");

            using SqliteCommand command = connection.CreateCommand();
            command.CommandText = "SELECT version, type, json, previous FROM changes WHERE kind = $kind AND version > $after ORDER BY version LIMIT $limit";
            command.Parameters.AddWithValue("$kind", type.Kind);
            command.Parameters.AddWithValue("$after", after);
            command.Parameters.AddWithValue("$limit", WatchBatch);
            List<StoredChange> changes = [];
            using SqliteDataReader reader = command.ExecuteReader();
            while (reader.Read())
            {
                changes.Add(new StoredChange(
                    (WatchEventType)reader.GetInt32(1),
                    ResourceJson.Deserialize(reader.GetFieldValue<byte[]>(2), type),
                    reader.IsDBNull(3) ? null : ResourceJson.Deserialize(reader.GetFieldValue<byte[]>(3), type)));
            }

            // A full page may be cut short of the sequence; then its last change is how far it reaches.
            long through = changes.Count < WatchBatch ? sequence : Version(changes[^1].Resource);
            return new ChangePage(changes, through);
        }, cancellationToken);
    }

    /// <summary>Completes at the next commit after this call. Take it before reading.</summary>
    internal Task NextCommit => _committed.Task;

    internal CancellationToken Closing => _closing.Token;

    internal async Task<Resource> MutateAsync(
        Principal principal, string verb, ResourceType type, NamespacedName id, Func<Resource?, ObjectChange> decide, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        try
        {
            if (_disposed)
                throw StoreDatabase.Closed();

            StoreDatabase.Execute(_database.Writer, "BEGIN IMMEDIATE");
            (Resource? Resource, byte[]? Json) current = Find(_database.Writer, type, id) is { } found ? (found.Resource, found.Json) : (null, null);
            ObjectChange change = decide(current.Resource);
            if (change is ObjectChange.Keep keep)
            {
                RollBack();
                return keep.Current;
            }

            (Resource next, bool removes) = change switch
            {
                ObjectChange.Put put => (put.Next, false),
                ObjectChange.Remove remove => (remove.Last, true),
                _ => throw new System.Diagnostics.UnreachableException(),
            };

            // Given once, even when the commit fails: a record that has it then stands for nothing else.
            long version = ++_lastGiven;
            next = next with { Metadata = next.Metadata with { ResourceVersion = Text(version) } };
            byte[] json = ResourceJson.Serialize(next);
            if (json.Length > _options.MaxObjectBytes)
                throw new ResourceException(ResourceErrorReason.TooLarge, $"the object is {json.Length} bytes, at most {_options.MaxObjectBytes} are allowed");

            Write(type, next, removes, version, json, current.Json);
            await RecordAsync(principal, verb, type, next, removes, version, json, cancellationToken);
            StoreDatabase.Execute(_database.Writer, "COMMIT");
            Committed(version);
            return next;
        }
        catch (SqliteException e)
        {
            RollBack();
            throw StoreDatabase.Unavailable(e);
        }
        catch when (!_disposed)
        {
            // Whatever refused the mutation, the transaction must not stay open; the exception goes on as it is.
            RollBack();
            throw;
        }
        finally
        {
            _writing.Release();
        }
    }

    private Task<T> ReadAsync<T>(Func<SqliteConnection, T> read, CancellationToken cancellationToken) =>
        _database.ReadAsync(read, cancellationToken);

    private async Task RecordAsync(
        Principal principal, string verb, ResourceType type, Resource next, bool removes, long version, byte[] json, CancellationToken cancellationToken)
    {
        if (_options.MutationLog is not { } log)
            return;

        MutationRecord record = new()
        {
            Principal = principal.Name,
            Verb = verb,
            Kind = type.Kind,
            Namespace = next.Metadata.Namespace,
            Name = next.Metadata.Name,
            Uid = next.Metadata.Uid ?? "",
            ResourceVersion = version,
            Removes = removes,
            ObjectJson = json,
        };
        try
        {
            await log.RecordAsync(record, cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // The log is another assembly's code and any failure of it means the same here: no record, no mutation.
            throw new ResourceException(ResourceErrorReason.StoreUnavailable, $"the mutation could not be recorded: {e.Message}");
        }
    }

    private void Write(ResourceType type, Resource next, bool removes, long version, byte[] json, byte[]? previous)
    {
        using SqliteCommand change = _database.Writer.CreateCommand();
        change.CommandText = """
            INSERT INTO changes (version, kind, namespace, name, type, json, previous)
            VALUES ($version, $kind, $namespace, $name, $type, $json, $previous);
            UPDATE state SET sequence = $version;
            """;
        change.Parameters.AddWithValue("$version", version);
        Name(change);
        change.Parameters.AddWithValue("$type", (int)(removes ? WatchEventType.Deleted : previous is null ? WatchEventType.Added : WatchEventType.Modified));
        change.Parameters.AddWithValue("$json", json);
        change.Parameters.AddWithValue("$previous", (object?)previous ?? DBNull.Value);
        change.ExecuteNonQuery();

        using SqliteCommand target = _database.Writer.CreateCommand();
        target.CommandText = removes
            ? "DELETE FROM objects WHERE kind = $kind AND namespace = $namespace AND name = $name"
            : """
              INSERT OR REPLACE INTO objects (kind, namespace, name, uid, generation, resource_version, deletion, json)
              VALUES ($kind, $namespace, $name, $uid, $generation, $version, $deletion, $json)
              """;
        Name(target);
        if (!removes)
        {
            target.Parameters.AddWithValue("$uid", next.Metadata.Uid);
            target.Parameters.AddWithValue("$generation", next.Metadata.Generation);
            target.Parameters.AddWithValue("$version", version);
            target.Parameters.AddWithValue("$deletion", (object?)next.Metadata.DeletionTimestamp?.ToString("O", CultureInfo.InvariantCulture) ?? DBNull.Value);
            target.Parameters.AddWithValue("$json", json);
        }

        target.ExecuteNonQuery();
        Compact(version);

        void Name(SqliteCommand command)
        {
            command.Parameters.AddWithValue("$kind", type.Kind);
            command.Parameters.AddWithValue("$namespace", next.Metadata.Namespace);
            command.Parameters.AddWithValue("$name", next.Metadata.Name);
        }
    }

    /// <summary>Cuts the history to its window once a tenth has gathered beyond it: part of the same transaction, so the two never disagree.</summary>
    private void Compact(long version)
    {
        long cut = version - _options.HistoryWindow;
        if (cut - Math.Max(0, _compacted) < Math.Max(1, _options.HistoryWindow / 10))
            return;

        using SqliteCommand command = _database.Writer.CreateCommand();
        command.CommandText = "DELETE FROM changes WHERE version <= $cut; UPDATE state SET compacted = $cut;";
        command.Parameters.AddWithValue("$cut", cut);
        command.ExecuteNonQuery();
    }

    private void Committed(long version)
    {
        long cut = version - _options.HistoryWindow;
        if (cut - Math.Max(0, _compacted) >= Math.Max(1, _options.HistoryWindow / 10))
            _compacted = cut;
        Interlocked.Exchange(ref _sequence, version);
        TaskCompletionSource done = Interlocked.Exchange(ref _committed, new(TaskCreationOptions.RunContinuationsAsynchronously));
        done.SetResult();
    }

    private void RollBack()
    {
        try
        {
            StoreDatabase.Execute(_database.Writer, "ROLLBACK");
        }
        catch (SqliteException)
        {
            // A full disk or an I/O error has rolled back already, and then there is no transaction: that is the state we want.
        }
    }

    private static (Resource Resource, byte[] Json)? Find(SqliteConnection connection, ResourceType type, NamespacedName id)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT json FROM objects WHERE kind = $kind AND namespace = $namespace AND name = $name";
        command.Parameters.AddWithValue("$kind", type.Kind);
        command.Parameters.AddWithValue("$namespace", id.Namespace);
        command.Parameters.AddWithValue("$name", id.Name);
        return command.ExecuteScalar() is byte[] json ? (ResourceJson.Deserialize(json, type), json) : null;
    }

    internal static long Version(Resource resource) => long.Parse(resource.Metadata.ResourceVersion ?? "0", CultureInfo.InvariantCulture);

    internal static string Text(long version) => version.ToString(CultureInfo.InvariantCulture);
}

/// <summary>One line of the history.</summary>
internal sealed record StoredChange(WatchEventType Type, Resource Resource, Resource? Previous);

/// <summary>Some changes, and the version up to which they are complete.</summary>
internal sealed record ChangePage(IReadOnlyList<StoredChange> Changes, long Through);
