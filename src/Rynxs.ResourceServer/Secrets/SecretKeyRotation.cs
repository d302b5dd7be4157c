using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using Rynxs.Resources.Client;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Secrets;

/// <summary>
/// Exchanges the key of the Secrets without a stop: the new key is in its file, then the store names it and seals with it, then what older keys sealed is
/// sealed again piece by piece, then the store and the file forget the older keys. Each step is durable before the next; what a crash cuts off, the next start ends.
/// </summary>
internal sealed partial class SecretKeyRotation(DocumentStore store, TimeProvider timeProvider, ILogger logger) : IDisposable
{
    /// <summary>Rows in a transaction: writers wait for it, so it is short.</summary>
    private const int RowsAtATime = 64;

    private readonly SemaphoreSlim _one = new(1);
    private readonly SemaphoreSlim _work = new(1);

    /// <summary>Seals with a new key from now on; the rest goes on beside the requests.</summary>
    /// <exception cref="ResourceException"><c>Conflict</c>: the last exchange has not ended. <c>StoreUnavailable</c>.</exception>
    public async Task<SecretKeyStatus> BeginAsync(CancellationToken cancellationToken)
    {
        await _one.WaitAsync(cancellationToken);
        try
        {
            if ((await StatusAsync(cancellationToken)).Exchanging)
                throw new ResourceException(ResourceErrorReason.Conflict, "the keys are being exchanged already; try again when that has ended");
            PreparedKey key;
            try
            {
                key = store.Keys.Prepare();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new ResourceException(ResourceErrorReason.StoreUnavailable, "the key file cannot be written; nothing has changed");
            }

            await store.UpkeepAsync(
                writer =>
                {
                    StoreSchema.NameKey(writer, new KeyName(key.Generation, key.Id));
                    return 1;
                },
                committed: () => store.Keys.Use(key),
                cancellationToken);
            LogBegun(key.Id);
            _work.Release();
            return await StatusAsync(cancellationToken);
        }
        finally
        {
            _one.Release();
        }
    }

    public async Task<SecretKeyStatus> StatusAsync(CancellationToken cancellationToken)
    {
        (int keys, long left) = await store.ReadKeysAsync(cancellationToken);
        return new SecretKeyStatus(store.Keys.NewestId, keys > 1, left);
    }

    /// <summary>Seals again what older keys sealed, after each beginning and after a start, until the store closes.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await _work.WaitAsync(cancellationToken);
                while ((await StatusAsync(cancellationToken)).Exchanging && await store.UpkeepAsync(writer => Reseal(writer, store.Keys), committed: null, cancellationToken) > 0)
                    cancellationToken.ThrowIfCancellationRequested();
                await EndAsync(cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The top of the loop: a full disk above all. Everything stays readable with the keys that are there.
                LogFailed(e);
                await Task.Delay(TimeSpan.FromSeconds(1), timeProvider, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                _work.Release();
            }
        }
    }

    /// <summary>Forgets the older keys. Nobody begins an exchange meanwhile: its key would be taken from the file again before the store names it.</summary>
    private async Task EndAsync(CancellationToken cancellationToken)
    {
        await _one.WaitAsync(cancellationToken);
        try
        {
            bool exchanged = (await StatusAsync(cancellationToken)).Exchanging;
            if (exchanged)
            {
                await store.UpkeepAsync(
                    writer =>
                    {
                        StoreSchema.ForgetKeysBefore(writer, store.Keys.Newest);
                        return 0;
                    },
                    committed: null, cancellationToken);
            }

            if ((await StatusAsync(cancellationToken)).Exchanging)
                throw new InvalidOperationException("something is sealed with an older key after everything was sealed again");
            store.Keys.KeepNewest();
            if (exchanged)
                LogEnded(store.Keys.NewestId);
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose()
    {
        _one.Dispose();
        _work.Dispose();
    }

    /// <summary>Some rows of an older key; how many there were.</summary>
    private static int Reseal(StoreConnection writer, SecretKeyRing keys)
    {
        // What is written over would else stay in the file, sealed with a key that may be the reason for the exchange.
        writer.Run("PRAGMA secure_delete = ON");
        List<(string Namespace, string Name, long Version, long Generation, byte[] Body)> documents = [];
        SqliteCommand command = writer.Prepare(
            "SELECT namespace, name, version, sealed, body FROM documents WHERE grp = '' AND plural = 'secrets' AND sealed NOT IN (0, $1) LIMIT $2", keys.Newest, RowsAtATime);
        using (SqliteDataReader reader = command.ExecuteReader())
        {
            while (reader.Read())
                documents.Add((reader.GetString(0), reader.GetString(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetFieldValue<byte[]>(4)));
        }

        foreach ((string ns, string name, long version, long generation, byte[] body) in documents)
        {
            DocumentKey key = new(CommitQueue.SealedKind, ns, name);
            (long newest, byte[] sealedBytes) = keys.Seal(key, version, keys.Open(key, version, generation, body));
            writer.Run("UPDATE documents SET sealed = $1, body = $2 WHERE grp = '' AND plural = 'secrets' AND namespace = $3 AND name = $4", newest, sealedBytes, ns, name);
        }

        List<(long Version, string Namespace, string Name, long Generation, byte[] Body, byte[]? Previous, long PreviousVersion)> changes = [];
        command = writer.Prepare(
            "SELECT version, namespace, name, sealed, body, previous, previous_version FROM history WHERE grp = '' AND plural = 'secrets' AND sealed NOT IN (0, $1) LIMIT $2", keys.Newest, RowsAtATime);
        using (SqliteDataReader reader = command.ExecuteReader())
        {
            while (reader.Read())
            {
                changes.Add((reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetInt64(3), reader.GetFieldValue<byte[]>(4),
                    reader.IsDBNull(5) ? null : reader.GetFieldValue<byte[]>(5), reader.GetInt64(6)));
            }
        }

        foreach ((long version, string ns, string name, long generation, byte[] body, byte[]? previous, long previousVersion) in changes)
        {
            DocumentKey key = new(CommitQueue.SealedKind, ns, name);
            (long newest, byte[] sealedBody) = keys.Seal(key, version, keys.Open(key, version, generation, body));
            byte[]? sealedPrevious = previous is null ? null : keys.Seal(key, previousVersion, keys.Open(key, previousVersion, generation, previous)).Bytes;
            writer.Run("UPDATE history SET sealed = $1, body = $2, previous = $3 WHERE version = $4", newest, sealedBody, sealedPrevious, version);
        }

        writer.Run("PRAGMA secure_delete = OFF");
        return documents.Count + changes.Count;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Secrets are sealed with key {Id} from now on; what the key before sealed is sealed again")]
    private partial void LogBegun(string id);

    [LoggerMessage(Level = LogLevel.Information, Message = "Every Secret is sealed with key {Id}; the store and its key file hold no other key")]
    private partial void LogEnded(string id);

    [LoggerMessage(Level = LogLevel.Error, Message = "Secrets could not be sealed again; trying again")]
    private partial void LogFailed(Exception exception);
}

/// <summary>Where the keys of the Secrets stand.</summary>
/// <param name="KeyId">The key that seals.</param>
/// <param name="Exchanging">Something is, or may be, sealed with an older key.</param>
/// <param name="Left">Objects and changes that an older key sealed.</param>
public sealed record SecretKeyStatus(string KeyId, bool Exchanging, long Left);
