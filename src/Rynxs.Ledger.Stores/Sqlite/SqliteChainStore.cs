using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>
/// One chain in a database: one transaction per commit. The transaction itself compares head and epoch, so a writer that lost the chain cannot
/// commit, whatever it believes.
/// </summary>
internal sealed class SqliteChainStore : IChainStore
{
    private readonly SqliteDatabase _database;
    private readonly ChainId _id;
    private readonly long _row;
    private readonly SqliteChainReader _reader;
    private readonly SqliteCommand _claim;
    private readonly SqliteCommand _insertRecord;
    private readonly SqliteCommand _insertBlob;

    private SqliteChainStore(SqliteDatabase database, ChainId id, long row)
    {
        (_database, _id, _row) = (database, id, row);
        _reader = new SqliteChainReader(database.Path, id, row);
        _claim = Command(
            "UPDATE chains SET epoch = $epoch, head_seq = $seq, head_hash = $hash "
            + "WHERE id = $chain AND epoch = $epochBefore AND head_seq = $seqBefore AND head_hash = $hashBefore",
            "$epoch", "$seq", "$hash", "$epochBefore", "$seqBefore", "$hashBefore");
        _insertRecord = Command("INSERT INTO records (chain, seq, line) VALUES ($chain, $seq, $line)", "$seq", "$line");
        _insertBlob = Command("INSERT OR IGNORE INTO blobs (chain, commitment, line) VALUES ($chain, $commitment, $line)", "$commitment", "$line");
    }

    /// <inheritdoc/>
    public bool HasFailed { get; private set; }

    /// <summary>Finds or makes the chain's row. Committed rows are trusted as SQLite's transactions are; the caller verifies the newest ones.</summary>
    public static (SqliteChainStore Store, FoundChain Found) Open(SqliteDatabase database, ChainId id)
    {
        lock (database.Gate)
        {
            using SqliteCommand make = database.Writer.CreateCommand();
            make.CommandText = "INSERT OR IGNORE INTO chains (path, epoch, head_seq, head_hash) VALUES ($path, 0, -1, $genesis)";
            make.Parameters.AddWithValue("$path", id.RelativePath);
            make.Parameters.AddWithValue("$genesis", ChainPosition.Genesis);
            make.ExecuteNonQuery();

            using SqliteCommand find = database.Writer.CreateCommand();
            find.CommandText = "SELECT id, epoch, head_seq, head_hash, (SELECT max(seq) FROM records WHERE chain = chains.id), "
                + "(SELECT min(seq) FROM records WHERE chain = chains.id) FROM chains WHERE path = $path";
            find.Parameters.AddWithValue("$path", id.RelativePath);
            using SqliteDataReader row = find.ExecuteReader();
            row.Read();
            var head = new ChainHead(row.GetInt64(2), row.GetString(3));
            (long? last, long? first) = (row.IsDBNull(4) ? null : row.GetInt64(4), row.IsDBNull(5) ? null : row.GetInt64(5));
            if ((last ?? -1) != head.Seq || first is > 0)
            {
                throw new LedgerCorruptException(
                    $"{database.Path}, chain {id}: the records are {first} to {last}, the head is {head.Seq}.", database.Path, last ?? 0, $"0 to {head.Seq}", $"{first} to {last}");
            }

            return (new SqliteChainStore(database, id, row.GetInt64(0)), new FoundChain(head, row.GetInt64(1)));
        }
    }

    /// <inheritdoc/>
    public ValueTask CommitAsync(ChainCommit commit)
    {
        try
        {
            lock (_database.Gate)
            {
                Commit(commit);
            }

            return ValueTask.CompletedTask;
        }
        catch (SqliteException exception)
        {
            // After anything but "busy", "full" and "read-only" it is not known what a second attempt would prove.
            HasFailed |= SqliteFailure.IsLasting(exception);
            throw SqliteFailure.Unavailable(_database.Path, exception);
        }
    }

    /// <inheritdoc/>
    public ValueTask AddBlobsAsync(IReadOnlyList<BlobLine> blobs)
    {
        try
        {
            lock (_database.Gate)
            {
                using SqliteTransaction transaction = _database.Writer.BeginTransaction(deferred: false);
                _insertBlob.Transaction = transaction;
                AddBlobs(blobs);
                transaction.Commit();
            }

            return ValueTask.CompletedTask;
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(_database.Path, exception);
        }
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<StoredLines> ReadAsync(long fromSeq, ChainHead head, CancellationToken cancellationToken) =>
        _reader.ReadAsync(fromSeq, head, cancellationToken);

    /// <inheritdoc/>
    public Task<SideBlob?> FindBlobAsync(Commitment commitment, CancellationToken cancellationToken) =>
        Task.Run(() => _reader.FindBlob(commitment), cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        lock (_database.Gate)
        {
            _claim.Dispose();
            _insertRecord.Dispose();
            _insertBlob.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    private void Commit(ChainCommit commit)
    {
        // Disposing a transaction that was not committed rolls it back.
        using SqliteTransaction transaction = _database.Writer.BeginTransaction(deferred: false);
        _claim.Transaction = _insertRecord.Transaction = _insertBlob.Transaction = transaction;
        Set(_claim, commit.Epoch, commit.Head.Seq, commit.Head.EventHash, commit.EpochBefore, commit.Before.Seq, commit.Before.EventHash);
        if (_claim.ExecuteNonQuery() != 1)
        {
            throw new LedgerFencedException($"{_database.Path}: another writer has the chain {_id}.");
        }

        AddBlobs(commit.Blobs);
        long seq = commit.Before.Seq;
        for (ReadOnlyMemory<byte> lines = commit.Lines; !lines.IsEmpty;)
        {
            int length = lines.Span.IndexOf((byte)'\n') + 1;
            Set(_insertRecord, ++seq, lines[..length].ToArray());
            _insertRecord.ExecuteNonQuery();
            lines = lines[length..];
        }

        transaction.Commit();
    }

    private void AddBlobs(IReadOnlyList<BlobLine> blobs)
    {
        foreach (BlobLine blob in blobs)
        {
            Set(_insertBlob, blob.Commitment.Value, blob.Line);
            _insertBlob.ExecuteNonQuery();
        }
    }

    private SqliteCommand Command(string sql, params ReadOnlySpan<string> parameters)
    {
        SqliteCommand command = _database.Writer.CreateCommand();
        command.CommandText = sql;
        foreach (string parameter in parameters)
        {
            command.Parameters.Add(new SqliteParameter { ParameterName = parameter });
        }

        command.Parameters.AddWithValue("$chain", _row);
        return command;
    }

    private static void Set(SqliteCommand command, params ReadOnlySpan<object> values)
    {
        for (int index = 0; index < values.Length; index++)
        {
            command.Parameters[index].Value = values[index];
        }
    }
}
