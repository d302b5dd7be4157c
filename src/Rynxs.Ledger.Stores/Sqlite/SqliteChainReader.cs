using System.Runtime.CompilerServices;
using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>Reads one chain of a database; takes no lock that a writer would notice.</summary>
/// <param name="path">The file.</param>
/// <param name="id">The chain.</param>
/// <param name="row">Its row.</param>
internal sealed class SqliteChainReader(string path, ChainId id, long row)
{
    private const int RowsAtOnce = 512;
    private const int BytesAtOnce = 512 * 1024;

    /// <inheritdoc cref="IChainStore.ReadAsync"/>
    public async IAsyncEnumerable<StoredLines> ReadAsync(
        long fromSeq, ChainHead head, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using SqliteConnection reader = OpenReader();
        string source = $"{path}, chain {id}";
        string? prevHash = fromSeq == 0 ? ChainPosition.Genesis : null;
        long next = fromSeq;
        while (next <= head.Seq)
        {
            cancellationToken.ThrowIfCancellationRequested();
            (ReadOnlyMemory<byte> lines, int count) = ReadSome(reader, next, head.Seq);
            if (count == 0)
            {
                yield break; // The caller knows the head, and so that some are missing.
            }

            yield return new StoredLines(source, next, prevHash, lines);
            next += count;
        }

        await Task.CompletedTask.ConfigureAwait(false); // Nothing here waits: what a local read costs, it costs its caller.
    }

    /// <summary>All side blobs, as lines.</summary>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBlobsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using SqliteConnection reader = OpenReader();
        string after = "";
        while (ReadBlob(reader, after) is { } blob)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return blob.Line;
            after = blob.Commitment;
        }

        await Task.CompletedTask.ConfigureAwait(false); // As above.
    }

    public SideBlob? FindBlob(Commitment commitment)
    {
        try
        {
            using SqliteConnection reader = OpenReader();
            using SqliteCommand command = reader.CreateCommand();
            command.CommandText = "SELECT line FROM blobs WHERE chain = $chain AND commitment = $commitment";
            command.Parameters.AddWithValue("$chain", row);
            command.Parameters.AddWithValue("$commitment", commitment.Value);
            if (command.ExecuteScalar() is not byte[] line)
            {
                return null;
            }

            SideBlob? blob = BlobLine.TryParse(line.AsMemory().TrimEnd((byte)'\n'));
            return blob?.Commitment == commitment
                ? blob
                : throw new LedgerCorruptException(
                    $"{path}, chain {id}: a side blob is not what its commitment says.", path, -1, commitment.Value, blob?.Commitment.Value);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
    }

    private (ReadOnlyMemory<byte> Lines, int Count) ReadSome(SqliteConnection reader, long fromSeq, long toSeq)
    {
        try
        {
            using SqliteCommand command = reader.CreateCommand();
            command.CommandText = "SELECT line FROM records WHERE chain = $chain AND seq BETWEEN $from AND $to ORDER BY seq LIMIT $rows";
            command.Parameters.AddWithValue("$chain", row);
            command.Parameters.AddWithValue("$from", fromSeq);
            command.Parameters.AddWithValue("$to", toSeq);
            command.Parameters.AddWithValue("$rows", RowsAtOnce);
            using SqliteDataReader rows = command.ExecuteReader();
            using var lines = new MemoryStream();
            int count = 0;
            while (lines.Length < BytesAtOnce && rows.Read())
            {
                using Stream line = rows.GetStream(0);
                if (line.Length > LedgerLimits.MaxRecordBytes)
                {
                    throw new LedgerCorruptException(
                        $"{path}, chain {id}: the row of sequence {fromSeq + count} is too long.", path, fromSeq + count, null, null);
                }

                line.CopyTo(lines);
                count++;
            }

            return (lines.ToArray(), count);
        }
        catch (SqliteException exception) when (SqliteFailure.IsCorrupt(exception))
        {
            throw SqliteFailure.Damaged(path, exception);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
    }

    private SqliteConnection OpenReader()
    {
        try
        {
            return SqliteDatabase.OpenReader(path);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
    }

    private (string Commitment, byte[] Line)? ReadBlob(SqliteConnection reader, string after)
    {
        try
        {
            using SqliteCommand command = reader.CreateCommand();
            command.CommandText = "SELECT commitment, line FROM blobs WHERE chain = $chain AND commitment > $after ORDER BY commitment LIMIT 1";
            command.Parameters.AddWithValue("$chain", row);
            command.Parameters.AddWithValue("$after", after);
            using SqliteDataReader rows = command.ExecuteReader();
            return rows.Read() ? (rows.GetString(0), rows.GetFieldValue<byte[]>(1)) : null;
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
    }
}
