using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The SQLite file: how it is opened, locked, shaped and read. One connection writes, a few read.</summary>
internal sealed class StoreDatabase : IAsyncDisposable
{
    private const int SchemaVersion = 1;
    private const int ApplicationId = 0x52594E58; // "RYNX"
    private const int MaxReaders = 4;

    private const string Schema = """
        CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, compacted INTEGER NOT NULL);
        INSERT INTO state VALUES (1, 0, 0);
        CREATE TABLE objects (
            kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, generation INTEGER NOT NULL,
            resource_version INTEGER NOT NULL, deletion TEXT, json BLOB NOT NULL, PRIMARY KEY (kind, namespace, name));
        CREATE TABLE changes (
            version INTEGER PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL,
            json BLOB NOT NULL, previous BLOB);
        CREATE INDEX changes_by_kind ON changes (kind, version);
        """;

    private readonly string _path;
    private readonly FileStream _lock;
    private readonly ConcurrentBag<SqliteConnection> _idle = [];
    private readonly SemaphoreSlim _readers = new(MaxReaders);
    private bool _closed;

    private StoreDatabase(string path, FileStream lockFile, SqliteConnection writer)
    {
        _path = path;
        _lock = lockFile;
        Writer = writer;
    }

    /// <summary>The one connection that writes; its user holds the store's write gate.</summary>
    public SqliteConnection Writer { get; }

    public static StoreDatabase Open(string path)
    {
        path = Path.GetFullPath(path);
        FileStream lockFile = Lock(path);
        SqliteConnection? writer = null;
        try
        {
            OpenPrivate(path, FileShare.ReadWrite).Dispose();
            writer = Connect(path, SqliteOpenMode.ReadWrite);
            Migrate(path, writer);
            return new StoreDatabase(path, lockFile, writer);
        }
        catch (SqliteException e)
        {
            writer?.Dispose();
            lockFile.Dispose();
            throw OpenFailure(path, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            writer?.Dispose();
            lockFile.Dispose();
            throw FileFailure(path, e);
        }
        catch (ResourceStoreOpenException)
        {
            writer?.Dispose();
            lockFile.Dispose();
            throw;
        }
    }

    /// <summary>Runs a read in one snapshot.</summary>
    /// <exception cref="ResourceException"><c>StoreUnavailable</c>.</exception>
    public async Task<T> ReadAsync<T>(Func<SqliteConnection, T> read, CancellationToken cancellationToken)
    {
        await _readers.WaitAsync(cancellationToken);
        SqliteConnection? connection = null;
        try
        {
            if (_closed)
                throw Closed();
            if (!_idle.TryTake(out connection))
                connection = Connect(_path, SqliteOpenMode.ReadOnly);
            Execute(connection, "BEGIN");
            T result = read(connection);
            Execute(connection, "COMMIT");
            _idle.Add(connection);
            connection = null;
            return result;
        }
        catch (SqliteException e)
        {
            throw Unavailable(e);
        }
        finally
        {
            // A connection that failed is not used again.
            connection?.Dispose();
            _readers.Release();
        }
    }

    /// <summary>The refusal that callers see when SQLite fails: the reason in words, no path.</summary>
    public static ResourceException Unavailable(SqliteException e) => new(ResourceErrorReason.StoreUnavailable, e.SqliteErrorCode switch
    {
        13 => "the store cannot be written: the disk is full",
        8 => "the store cannot be written: it is read-only",
        10 => "the store failed: input/output error",
        11 or 26 => "the store is damaged; stop the server and restore it from a backup",
        5 or 6 => "the store is busy",
        _ => $"the store failed: SQLite error {e.SqliteErrorCode}",
    });

    public static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public static long Number(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return (long)(command.ExecuteScalar() ?? 0L);
    }

    public static ResourceException Closed() => new(ResourceErrorReason.StoreUnavailable, "the store is closed");

    /// <summary>Waits for the reads that run; later ones are refused. The caller holds the write gate.</summary>
    public async ValueTask DisposeAsync()
    {
        for (int i = 0; i < MaxReaders; i++)
            await _readers.WaitAsync(CancellationToken.None);
        _closed = true;
        foreach (SqliteConnection connection in _idle)
            await connection.DisposeAsync();
        await Writer.DisposeAsync();
        await _lock.DisposeAsync();
        _readers.Release(MaxReaders);
    }

    /// <summary>
    /// An flock on a file beside the database: SQLite's own locks let a second process in between two writes, and two writers would give the
    /// same versions. The file stays: removing it would let a third process lock another one of the same name.
    /// </summary>
    private static FileStream Lock(string path)
    {
        try
        {
            return OpenPrivate(path + ".lock", FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileFailure(path, e);
        }
    }

    /// <summary>Opens or creates with mode 0600.</summary>
    private static FileStream OpenPrivate(string path, FileShare share)
    {
        FileStreamOptions options = new() { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = share };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, options);
    }

    private static SqliteConnection Connect(string path, SqliteOpenMode mode)
    {
        SqliteConnection connection = new(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = mode,
            Pooling = false,
            DefaultTimeout = 5,
        }.ToString());
        connection.Open();
        Execute(connection, "PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;");
        return connection;
    }

    private static void Migrate(string path, SqliteConnection writer)
    {
        long version = Number(writer, "PRAGMA user_version");
        long application = Number(writer, "PRAGMA application_id");
        long tables = Number(writer, "SELECT count(*) FROM sqlite_master");
        if (tables > 0 && application != ApplicationId)
            throw new ResourceStoreOpenException(ResourceStoreOpenError.Corrupt, $"{path} is a database of another program.");
        if (version > SchemaVersion)
        {
            throw new ResourceStoreOpenException(ResourceStoreOpenError.NewerSchema,
                $"{path} has schema {version}; this version of Rynxs knows {SchemaVersion}. Run the newer version, or restore a backup.");
        }

        Execute(writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;");
        if (tables == 0)
            Execute(writer, $"BEGIN IMMEDIATE; {Schema} PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {SchemaVersion}; COMMIT;");

        using SqliteCommand check = writer.CreateCommand();
        check.CommandText = "PRAGMA quick_check(1)";
        if (check.ExecuteScalar() is not "ok")
            throw new ResourceStoreOpenException(ResourceStoreOpenError.Corrupt, $"{path} is damaged. Restore it from a backup.");

        // A write that changes nothing shows now, and not at the first request, that the file can be written.
        Execute(writer, "BEGIN IMMEDIATE; UPDATE state SET sequence = sequence; COMMIT;");
    }

    private static ResourceStoreOpenException OpenFailure(string path, SqliteException e) => e.SqliteErrorCode switch
    {
        11 or 26 => new(ResourceStoreOpenError.Corrupt, $"{path} is damaged or no database. Restore it from a backup.", e),
        8 => new(ResourceStoreOpenError.ReadOnly, $"{path} is read-only.", e),
        5 or 6 => new(ResourceStoreOpenError.Locked, $"{path} is in use by another process.", e),
        13 => new(ResourceStoreOpenError.Unavailable, $"{path} cannot be written: the disk is full.", e),
        _ => new(ResourceStoreOpenError.Unavailable, $"{path} cannot be opened: SQLite error {e.SqliteErrorCode}.", e),
    };

    private static ResourceStoreOpenException FileFailure(string path, Exception e)
    {
        const int Again = 11;
        const int ReadOnlyFileSystem = 30;
        const int NoSpace = 28;
        return e switch
        {
            UnauthorizedAccessException => new(ResourceStoreOpenError.ReadOnly, $"{path} may not be written by this user, or is a directory.", e),
            DirectoryNotFoundException => new(ResourceStoreOpenError.Unavailable, $"{path}: its directory does not exist.", e),
            { HResult: Again } => new(ResourceStoreOpenError.Locked, $"{path} is in use by another process.", e),
            { HResult: ReadOnlyFileSystem } => new(ResourceStoreOpenError.ReadOnly, $"{path} is on a read-only file system.", e),
            { HResult: NoSpace } => new(ResourceStoreOpenError.Unavailable, $"{path} cannot be written: the disk is full.", e),
            _ => new(ResourceStoreOpenError.Unavailable, $"{path} cannot be opened.", e),
        };
    }
}
