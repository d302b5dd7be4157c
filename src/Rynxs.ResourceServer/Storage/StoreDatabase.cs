using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;
using Rynxs.Resources.Client;
using Rynxs.ResourceServer.Secrets;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The SQLite file: how it is opened, locked, shaped and read. One connection writes, a few read.</summary>
internal sealed class StoreDatabase : IAsyncDisposable
{
    public const int ApplicationId = 0x52594E58; // "RYNX"
    private const int MaxReaders = 4;

    private readonly string _path;
    private readonly FileStream _lock;
    private readonly ConcurrentBag<StoreConnection> _idle = [];
    private readonly SemaphoreSlim _readers = new(MaxReaders);
    private readonly CancellationTokenSource _closing = new();
    private Task _check = Task.CompletedTask;
    private volatile bool _closed;
    private volatile bool _damaged;

    private StoreDatabase(string path, FileStream lockFile, StoreConnection writer, SecretKeyRing keys)
    {
        _path = path;
        _lock = lockFile;
        Writer = writer;
        Keys = keys;
    }

    /// <summary>The one connection that writes; only the commit queue uses it.</summary>
    public StoreConnection Writer { get; }

    /// <summary>Seals Secrets.</summary>
    public SecretKeyRing Keys { get; }

    /// <summary>A check that went on after the store was opened found damage: nothing is written any more.</summary>
    public bool Damaged => _damaged;

    public static StoreDatabase Open(ResourceStoreOptions options)
    {
        string path = Path.GetFullPath(options.Path);
        FileStream lockFile = Lock(path);
        StoreConnection? writer = null;
        SecretKeyRing? keys = null;
        try
        {
            OpenPrivate(path, FileShare.ReadWrite).Dispose();
            long size = new FileInfo(path).Length;
            writer = Connect(path, SqliteOpenMode.ReadWrite);
            bool later = size > options.CheckBeforeOpenBytes;
            StoreSchema.Prepare(path, writer.Connection, check: !later);
            keys = SecretKeyRing.Load(options.KeyFile ?? path + ".key", StoreSchema.Keys(writer.Connection));
            StoreSchema.NameFirstKey(writer.Connection, new KeyName(keys.Newest, keys.NewestId));
            StoreDatabase database = new(path, lockFile, writer, keys);
            if (later)
                database._check = Task.Run(database.CheckLater, CancellationToken.None);
            return database;
        }
        catch (Exception e)
        {
            keys?.Dispose();
            writer?.Dispose();
            lockFile.Dispose();
            throw e switch
            {
                SqliteException sqlite => OpenFailure(path, sqlite),
                IOException or UnauthorizedAccessException => FileFailure(path, e),
                // The document of an old schema that cannot be read: damage that SQLite does not see.
                System.Text.Json.JsonException => new ResourceStoreOpenException(ResourceStoreOpenError.Corrupt, $"{path} is damaged. Restore it from a backup.", e),
                ResourceStoreOpenException => e,
                _ => new ResourceStoreOpenException(ResourceStoreOpenError.Unavailable, $"{path} cannot be opened: {e.Message}", e),
            };
        }
    }

    /// <summary>Runs a read in one snapshot. One statement alone needs no <paramref name="transaction"/> around it.</summary>
    /// <exception cref="ResourceException"><c>StoreUnavailable</c>.</exception>
    public async Task<T> ReadAsync<T>(Func<StoreConnection, T> read, bool transaction, CancellationToken cancellationToken)
    {
        await _readers.WaitAsync(cancellationToken);
        StoreConnection? connection = null;
        try
        {
            if (_closed)
                throw Closed();
            if (!_idle.TryTake(out connection))
                connection = Connect(_path, SqliteOpenMode.ReadOnly);
            if (transaction)
                connection.Run("BEGIN");
            T result = read(connection);
            if (transaction)
                connection.Run("COMMIT");
            _idle.Add(connection);
            connection = null;
            return result;
        }
        catch (SqliteException e)
        {
            throw Unavailable(e);
        }
        catch (System.Security.Cryptography.CryptographicException)
        {
            throw new ResourceException(ResourceErrorReason.StoreUnavailable, "a sealed object is damaged; stop the server and restore it from a backup");
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

    public static ResourceException Closed() => new(ResourceErrorReason.StoreUnavailable, "the store is closed");

    /// <summary>Waits for the reads that run; later ones are refused. The caller has stopped the writer.</summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _check;
        for (int i = 0; i < MaxReaders; i++)
            await _readers.WaitAsync(CancellationToken.None);
        _closed = true;
        foreach (StoreConnection connection in _idle)
            connection.Dispose();
        Writer.Dispose();
        Keys.Dispose();
        await _lock.DisposeAsync();
        _readers.Release(MaxReaders);
        _closing.Dispose();
    }

    /// <summary>The whole of a large file, beside the requests. Damage that a page's own reader does not hit shows here.</summary>
    private void CheckLater()
    {
        try
        {
            using StoreConnection connection = Connect(_path, SqliteOpenMode.ReadOnly);
            using CancellationTokenRegistration interrupt = _closing.Token.Register(() => SQLitePCL.raw.sqlite3_interrupt(connection.Connection.Handle));
            _damaged = !StoreSchema.IsSound(connection.Connection);
        }
        catch (SqliteException e)
        {
            _damaged = e.SqliteErrorCode is 11 or 26 && !_closing.IsCancellationRequested;
        }
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

    private static StoreConnection Connect(string path, SqliteOpenMode mode)
    {
        SqliteConnection connection = new(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = mode,
            Pooling = false,
            DefaultTimeout = 5,
        }.ToString());
        StoreConnection opened = new(connection);
        try
        {
            connection.Open();
            opened.Run("PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -8192;");
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
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
