using System.Globalization;
using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>The database file: how it is opened and shaped. One connection writes, readers have their own.</summary>
internal sealed class SqliteDatabase : IDisposable
{
    private const int ApplicationId = 0x52594C47; // "RYLG"
    /// <summary>1 has no trees: it is read as it is, and gets the table when it is opened for writing.</summary>
    private const int SchemaVersion = 2;

    /// <summary>records.line and blobs.line are the lines of the file format, newline included: what was hashed is what is stored.</summary>
    private const string Schema = """
        CREATE TABLE chains (
            id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, head_seq INTEGER NOT NULL, head_hash TEXT NOT NULL);
        CREATE TABLE records (
            chain INTEGER NOT NULL REFERENCES chains (id), seq INTEGER NOT NULL, line BLOB NOT NULL, PRIMARY KEY (chain, seq)) WITHOUT ROWID;
        CREATE TABLE blobs (
            chain INTEGER NOT NULL REFERENCES chains (id), commitment TEXT NOT NULL, line BLOB NOT NULL, PRIMARY KEY (chain, commitment));
        """;

    /// <summary>The chains' Merkle trees, by their tlog-tiles paths.</summary>
    private const string Trees = """
        CREATE TABLE trees (
            chain INTEGER NOT NULL REFERENCES chains (id), path TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (chain, path)) WITHOUT ROWID;
        """;

    private SqliteDatabase(string path, SqliteConnection writer) => (Path, Writer) = (path, writer);

    public string Path { get; }

    /// <summary>The one connection that writes; its user holds <see cref="Gate"/>.</summary>
    public SqliteConnection Writer { get; }

    public Lock Gate { get; } = new();

    /// <summary>Opens for writing, creating and shaping the file when it is new.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be created, read or written.</exception>
    /// <exception cref="LedgerCorruptException">It is damaged, no ledger, or of a newer version.</exception>
    public static SqliteDatabase Open(string path)
    {
        SqliteConnection? writer = null;
        try
        {
            if (!File.Exists(path))
            {
                LedgerFile.OpenOrCreate(path).Dispose(); // With its mode of 0600, before anything is in it.
            }

            writer = Connect(path, SqliteOpenMode.ReadWrite);
            // FULL: the write-ahead log is synced at every commit, before the commit is answered.
            Execute(writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
            Shape(path, writer);
            var database = new SqliteDatabase(path, writer);
            writer = null;
            return database;
        }
        catch (SqliteException exception) when (SqliteFailure.IsCorrupt(exception))
        {
            throw SqliteFailure.Damaged(path, exception);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LedgerUnavailableException($"{path} cannot be opened: {exception.Message}", exception);
        }
        finally
        {
            writer?.Dispose();
        }
    }

    /// <summary>A connection of its own for one reader; it sees what is committed and disturbs nobody.</summary>
    public static SqliteConnection OpenReader(string path)
    {
        SqliteConnection reader = Connect(path, SqliteOpenMode.ReadOnly);
        try
        {
            ThrowIfOther(path, reader);
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    /// <summary>False for a database of version 1 that no newer program has written to.</summary>
    public static bool HasTrees(SqliteConnection connection) => Number(connection, "PRAGMA user_version") >= 2;

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
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    public void Dispose() => Writer.Dispose();

    private static SqliteConnection Connect(string path, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = mode,
            Pooling = false, // A pooled connection would keep the file open after the ledger is closed.
            DefaultTimeout = 5,
        }.ToString());
        try
        {
            connection.Open();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private static void Shape(string path, SqliteConnection writer)
    {
        using SqliteTransaction transaction = writer.BeginTransaction(deferred: false);
        if (Number(writer, "PRAGMA application_id") == 0 && Number(writer, "SELECT count(*) FROM sqlite_master") == 0)
        {
            Execute(writer, Schema);
            Execute(writer, string.Create(CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = 1"));
        }

        ThrowIfOther(path, writer);
        if (!HasTrees(writer))
        {
            Execute(writer, Trees);
            Execute(writer, string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {SchemaVersion}"));
        }

        transaction.Commit();
        LinuxFile.SyncDirectory(System.IO.Path.GetDirectoryName(path) ?? "/");
    }

    private static void ThrowIfOther(string path, SqliteConnection connection)
    {
        if (Number(connection, "PRAGMA application_id") != ApplicationId)
        {
            throw new LedgerCorruptException($"{path} is a database, but no ledger.", path, -1, null, null);
        }

        long version = Number(connection, "PRAGMA user_version");
        if (version is < 1 or > SchemaVersion)
        {
            throw new LedgerCorruptException(
                $"{path} has schema version {version}; this program reads versions up to {SchemaVersion}.", path, -1,
                SchemaVersion.ToString(CultureInfo.InvariantCulture), version.ToString(CultureInfo.InvariantCulture));
        }
    }
}
