using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>A ledger in one SQLite file (write-ahead log, synced at every commit): one writer, many readers.</summary>
/// <remarks>The lock file keeps a second writer out; the epoch in the database, compared in every commit, makes sure of it.</remarks>
public sealed class SqliteLedger : ILedger, ITreeHost
{
    /// <summary>Newest records of a chain that are verified when it is opened. All of them: <c>rynxs ledger verify</c>.</summary>
    private const int VerifiedAtOpening = 1000;

    private readonly SqliteLedgerOptions _options;
    private readonly LedgerLock _lock;
    private readonly SqliteDatabase _database;
    private readonly ChainSet _chains;

    private SqliteLedger(SqliteLedgerOptions options, LedgerLock ledgerLock, SqliteDatabase database)
    {
        (_options, _lock, _database) = (options, ledgerLock, database);
        _chains = new ChainSet(OpenChainAsync);
    }

    /// <summary>The file.</summary>
    internal string Path => _options.Path;

    /// <summary>Commits whose copy to a mirror file failed since this ledger was opened.</summary>
    public long MirrorFailures => _chains.MirrorFailures;

    /// <summary>Opens a ledger for writing.</summary>
    /// <exception cref="LedgerLockedException">Another writer has it open, and <see cref="SqliteLedgerOptions.TakeOver"/> is not set.</exception>
    /// <exception cref="LedgerUnavailableException">The file cannot be created, read or written.</exception>
    /// <exception cref="LedgerCorruptException">The file is damaged, or no ledger.</exception>
    public static Task<SqliteLedger> OpenAsync(SqliteLedgerOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Path);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.QueueCapacity, 1);
        return Task.Run(() => Open(options with { Path = System.IO.Path.GetFullPath(options.Path) }), cancellationToken);
    }

    /// <summary>
    /// Copies a ledger, also one that is being written to, into a new file: SQLite's online backup, then an integrity check of the copy.
    /// </summary>
    /// <exception cref="IOException">The target exists, or cannot be written.</exception>
    /// <exception cref="LedgerUnavailableException">The source cannot be read.</exception>
    /// <exception cref="LedgerCorruptException">The source, or the copy, is damaged.</exception>
    public static Task BackupAsync(string path, string target, CancellationToken cancellationToken) =>
        Task.Run(() => SqliteBackup.Copy(System.IO.Path.GetFullPath(path), System.IO.Path.GetFullPath(target)), cancellationToken);

    /// <summary>SQLite's own check of the whole file, also of one that is being written to; empty when it finds nothing wrong.</summary>
    /// <remarks>It knows pages and indexes, not hashes: that is <c>rynxs ledger verify</c>.</remarks>
    public static Task<IReadOnlyList<string>> CheckIntegrityAsync(string path, CancellationToken cancellationToken) =>
        Task.Run(() => SqliteBackup.Check(System.IO.Path.GetFullPath(path)), cancellationToken);

    /// <inheritdoc/>
    public ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken) =>
        _chains.OpenAsync(id, options, cancellationToken);

    /// <inheritdoc/>
    public IReadOnlyList<ChainId> ListChains()
    {
        try
        {
            using SqliteConnection reader = SqliteDatabase.OpenReader(_database.Path);
            return ListChains(reader);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(_database.Path, exception);
        }
    }

    /// <inheritdoc/>
    public ITreeStore TreeOf(ChainId id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return new SqliteTreeStore(_database.Path, id, _database, _lock.ThrowIfLost);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _chains.DisposeAsync().ConfigureAwait(false);
        _database.Dispose();
        _lock.Dispose();
    }

    internal static IReadOnlyList<ChainId> ListChains(SqliteConnection reader)
    {
        using SqliteCommand command = reader.CreateCommand();
        command.CommandText = "SELECT path FROM chains WHERE head_seq >= 0";
        using SqliteDataReader rows = command.ExecuteReader();
        var chains = new List<ChainId>();
        while (rows.Read())
        {
            if (ChainId.TryParse(rows.GetString(0)) is { } id)
            {
                chains.Add(id);
            }
        }

        return [.. chains.OrderBy(chain => chain.RelativePath, StringComparer.Ordinal)];
    }

    private static SqliteLedger Open(SqliteLedgerOptions options)
    {
        LedgerLock ledgerLock;
        try
        {
            LedgerFile.CreateDirectory(System.IO.Path.GetDirectoryName(options.Path) ?? "/");
            ledgerLock = LedgerLock.TakeFile(options.Path + ".lock", options.Path, options.TakeOver);
            ledgerLock.FinishTakeOver(); // Nothing to detach: the old writer's transactions compare the epoch.
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LedgerUnavailableException($"{options.Path} cannot be locked: {exception.Message}", exception);
        }

        try
        {
            return new SqliteLedger(options, ledgerLock, SqliteDatabase.Open(options.Path));
        }
        catch
        {
            ledgerLock.Dispose();
            throw;
        }
    }

    /// <summary>A chain's store without the engine, and without the record of an opening: for copying.</summary>
    internal Task<(SqliteChainStore Store, FoundChain Found)> OpenStoreAsync(ChainId id, CancellationToken cancellationToken) =>
        Task.Run(() => OpenStore(id), cancellationToken);

    private async Task<LedgerChain> OpenChainAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        _lock.ThrowIfLost();
        (SqliteChainStore store, FoundChain found) = await OpenStoreAsync(id, cancellationToken).ConfigureAwait(false);
        await foreach (LedgerRecord _ in ChainReader.ReadAsync(
            store, Math.Max(0, found.Head.Seq + 1 - VerifiedAtOpening), found.Head, cancellationToken).ConfigureAwait(false))
        {
            // Reading verifies.
        }

        var settings = new ChainSettings(_options.TimeProvider, _options.WriterId, _options.QueueCapacity);
        return await LedgerChain.OpenAsync(id, options, settings, store, found).ConfigureAwait(false);
    }

    private (SqliteChainStore Store, FoundChain Found) OpenStore(ChainId id)
    {
        try
        {
            return SqliteChainStore.Open(_database, id);
        }
        catch (SqliteException exception) when (SqliteFailure.IsCorrupt(exception))
        {
            throw SqliteFailure.Damaged(_database.Path, exception);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(_database.Path, exception);
        }
    }
}
