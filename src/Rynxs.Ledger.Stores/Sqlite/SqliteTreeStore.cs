using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>The tree of a chain as rows of the table <c>trees</c>; what is written at once is one transaction.</summary>
/// <param name="path">The database.</param>
/// <param name="id">The chain.</param>
/// <param name="writer">The open ledger's connection; null for one that only reads.</param>
/// <param name="throwIfFenced">Asked inside each transaction: a writer that lost the ledger changes no tree.</param>
internal sealed class SqliteTreeStore(string path, ChainId id, SqliteDatabase? writer, Action? throwIfFenced) : ITreeStore
{
    /// <inheritdoc/>
    public async ValueTask<byte[]?> TryReadAsync(string blob, int maxBytes, CancellationToken cancellationToken)
    {
        ThrowIfInvalid(blob);
        return await Task.Run(() => Read(blob, maxBytes), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(blobs);
        foreach (TreeBlob blob in blobs)
        {
            ThrowIfInvalid(blob.Path);
        }

        await Task.Run(
            () => Change(command =>
            {
                command.CommandText = "INSERT INTO trees (chain, path, content) VALUES ((SELECT id FROM chains WHERE path = $chain), $path, $content) "
                    + "ON CONFLICT (chain, path) DO UPDATE SET content = excluded.content";
                SqliteParameter at = command.Parameters.Add("$path", SqliteType.Text);
                SqliteParameter content = command.Parameters.Add("$content", SqliteType.Blob);
                foreach (TreeBlob blob in blobs)
                {
                    (at.Value, content.Value) = (blob.Path, blob.Content.ToArray());
                    command.ExecuteNonQuery();
                }
            }),
            cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DeletePartialsAsync(string blob, CancellationToken cancellationToken)
    {
        ThrowIfInvalid(blob);
        try
        {
            await Task.Run(
                () => Change(command =>
                {
                    // Paths hold neither % nor _, so the pattern means what it says.
                    command.CommandText = "DELETE FROM trees WHERE chain = (SELECT id FROM chains WHERE path = $chain) AND path LIKE $partials";
                    command.Parameters.AddWithValue("$partials", blob + ".p/%");
                    command.ExecuteNonQuery();
                }),
                cancellationToken).ConfigureAwait(false);
        }
        catch (LedgerUnavailableException)
        {
            // Superseded tiles that stay are harmless.
        }
    }

    private byte[]? Read(string blob, int maxBytes)
    {
        try
        {
            using SqliteConnection reader = SqliteDatabase.OpenReader(path);
            if (!SqliteDatabase.HasTrees(reader))
            {
                return null;
            }

            using SqliteCommand command = reader.CreateCommand();
            command.CommandText = "SELECT length(content), CASE WHEN length(content) <= $max THEN content END "
                + "FROM trees WHERE chain = (SELECT id FROM chains WHERE path = $chain) AND path = $path";
            command.Parameters.AddWithValue("$max", maxBytes);
            command.Parameters.AddWithValue("$chain", id.RelativePath);
            command.Parameters.AddWithValue("$path", blob);
            using SqliteDataReader row = command.ExecuteReader();
            return !row.Read() ? null
                : !row.IsDBNull(1) ? row.GetFieldValue<byte[]>(1)
                : throw new LedgerCorruptException($"{path}, tree of {id}: {blob} has {row.GetInt64(0)} bytes; at most {maxBytes} belong there.", path, -1, null, null);
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

    private void Change(Action<SqliteCommand> change)
    {
        SqliteDatabase database = writer ?? throw new NotSupportedException($"{path} is open for reading.");
        try
        {
            lock (database.Gate)
            {
                using SqliteTransaction transaction = database.Writer.BeginTransaction(deferred: false);
                using SqliteCommand command = database.Writer.CreateCommand();
                command.Transaction = transaction;
                command.Parameters.AddWithValue("$chain", id.RelativePath);
                change(command);
                throwIfFenced?.Invoke();
                transaction.Commit();
            }
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
    }

    private static void ThrowIfInvalid(string blob)
    {
        if (!TilePath.IsValid(blob))
        {
            throw new ArgumentException($"'{blob}' is not a path of a tree.", nameof(blob));
        }
    }
}
