using Microsoft.Data.Sqlite;
using Rynxs.Server.Hosting;

namespace Rynxs.Server.Execution.Stored;

/// <summary>
/// Executions and their answers, in <c>STATE/executions.db</c>. The evidence of an execution is the audit chain; this is what callers read again, what an idempotency key
/// is looked up in, and where events wait that an external audit endpoint has not taken yet.
/// </summary>
/// <remarks>
/// Commits are in the write-ahead log before a call returns: they survive the end of the process, however it comes. Rows that a promise hangs on (an idempotency key, an
/// asynchronous execution, an event for an external audit) are also synced to the disk first.
/// </remarks>
internal sealed partial class ExecutionStore : IDisposable
{
    /// <summary>Older ones are removed, the oldest first, when there are more.</summary>
    internal const int MaxExecutions = 100_000;

    /// <summary>Limit of all answers together, as they are stored.</summary>
    internal const long MaxAnswerBytes = 1024L * 1024 * 1024;
    private const int SchemaVersion = 1;
    private const int CompressFrom = 2048;
    private const int PruneEvery = 256;

    private const string Schema = """
        CREATE TABLE executions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, agent TEXT NOT NULL, principal TEXT NOT NULL, session TEXT,
            state INTEGER NOT NULL, created INTEGER NOT NULL, ended INTEGER, idempotency TEXT, fingerprint BLOB, code TEXT, detail TEXT,
            reason TEXT, success INTEGER, answer BLOB,
            size INTEGER NOT NULL DEFAULT 0);
        CREATE UNIQUE INDEX executions_key ON executions (namespace, principal, idempotency) WHERE idempotency IS NOT NULL;
        CREATE INDEX executions_agent ON executions (namespace, agent, number);
        CREATE INDEX executions_open ON executions (state) WHERE state < 2;
        CREATE TABLE sessions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, principal TEXT NOT NULL, view BLOB NOT NULL, reason TEXT, ended INTEGER);
        CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
        """;

    private readonly SqliteConnection _connection;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private int _finished;

    private ExecutionStore(SqliteConnection connection, TimeProvider time)
    {
        _connection = connection;
        _time = time;
    }

    /// <summary>Opens or makes it, and closes what an earlier process was cut off from: nothing is repeated.</summary>
    /// <exception cref="ServerStartException">Damaged, or of a newer version.</exception>
    public static ExecutionStore Open(string path, TimeProvider time)
    {
        if (!File.Exists(path))
        {
            using var made = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = State.StateDirectory.PrivateFile });
        }

        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadWrite, Pooling = false }.ToString());
        try
        {
            connection.Open();
            var store = new ExecutionStore(connection, time);
            store.Run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000");
            store.Shape(path);
            store.CloseOpen();
            return store;
        }
        catch (SqliteException exception)
        {
            connection.Dispose();
            throw new ServerStartException(StartFailure.StateCorrupt, $"'{path}' cannot be used: {exception.Message} It holds answers of past executions; the ledger does not need it.", exception);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Notes a new execution, unless its idempotency key is taken.</summary>
    /// <param name="execution">State queued.</param>
    /// <param name="durable">Synced to the disk before this returns.</param>
    /// <returns>The execution that has the key already, else null.</returns>
    /// <exception cref="IOException">It cannot be written.</exception>
    public StoredExecution? Begin(StoredExecution execution, bool durable) => Guarded(durable, () =>
    {
        if (execution.IdempotencyKey is { } key && FindByKey(execution.Namespace, execution.Principal, key) is { } existing)
        {
            return existing;
        }

        using SqliteCommand insert = Command(
            "INSERT INTO executions (id, namespace, agent, principal, session, state, created, idempotency, fingerprint) VALUES ($id, $ns, $agent, $principal, $session, $state, $created, $key, $print)",
            ("$id", execution.ExecutionId), ("$ns", execution.Namespace), ("$agent", execution.AgentId), ("$principal", execution.Principal), ("$session", execution.SessionId),
            ("$state", (int)ExecutionState.Queued), ("$created", execution.CreatedAt.ToUnixTimeMilliseconds()), ("$key", execution.IdempotencyKey), ("$print", execution.Fingerprint));
        insert.ExecuteNonQuery();
        return null;
    });

    /// <summary>From here on its program may have run.</summary>
    public void SetRunning(string executionId) => Guarded(false, () =>
    {
        using SqliteCommand update = Command("UPDATE executions SET state = $state WHERE id = $id", ("$id", executionId), ("$state", (int)ExecutionState.Running));
        return update.ExecuteNonQuery();
    });

    /// <summary>Its program ended.</summary>
    public void Finish(string executionId, ExecuteResponse response, bool durable)
    {
        byte[] answer = Pack(response with { Output = "" }); // standard output and error again
        Guarded(durable, () =>
        {
            using SqliteCommand update = Command(
                "UPDATE executions SET state = $state, ended = $ended, reason = $reason, success = $success, answer = $answer, size = $size WHERE id = $id",
                ("$id", executionId), ("$state", (int)ExecutionState.Finished), ("$ended", Now()), ("$reason", response.TerminationReason), ("$success", response.Success),
                ("$answer", answer), ("$size", answer.Length));
            update.ExecuteNonQuery();
            if (++_finished % PruneEvery == 0)
            {
                Prune();
            }

            return 0;
        });
    }

    /// <summary>No program of it ran, so its key is free again.</summary>
    public void NotStarted(string executionId, string code, string detail) => Guarded(false, () =>
    {
        using SqliteCommand update = Command(
            "UPDATE executions SET state = $state, ended = $ended, code = $code, detail = $detail, idempotency = NULL WHERE id = $id",
            ("$id", executionId), ("$state", (int)ExecutionState.NotStarted), ("$ended", Now()), ("$code", code), ("$detail", detail));
        return update.ExecuteNonQuery();
    });

    /// <summary>It may have run, and what it did cannot be told; its key stays taken, so that nothing repeats it.</summary>
    public void Lose(string executionId, string code, string detail) => Guarded(false, () =>
    {
        using SqliteCommand update = Command(
            "UPDATE executions SET state = $state, ended = $ended, code = $code, detail = $detail WHERE id = $id",
            ("$id", executionId), ("$state", (int)ExecutionState.Unknown), ("$ended", Now()), ("$code", code), ("$detail", detail));
        return update.ExecuteNonQuery();
    });

    public StoredExecution? TryGet(string executionId) => Guarded(false, () =>
    {
        using SqliteCommand select = Command($"SELECT {Columns}, answer FROM executions WHERE id = $id", ("$id", executionId));
        using SqliteDataReader reader = select.ExecuteReader();
        return reader.Read() ? Read(reader, withAnswer: true) : null;
    });

    /// <summary>One page, newest first. Answers are left out but for how they ended.</summary>
    public IReadOnlyList<StoredExecution> List(ExecutionQuery query) => Guarded(false, () =>
    {
        List<string> conditions = ["number < $before"];
        List<(string, object?)> values = [("$before", query.Before), ("$limit", query.Limit)];
        void Where(string condition, string name, object? value)
        {
            if (value is not null)
            {
                conditions.Add(condition);
                values.Add((name, value));
            }
        }

        Where("principal = $principal", "$principal", query.Principal);
        Where("agent = $agent", "$agent", query.AgentId);
        Where("session = $session", "$session", query.SessionId);
        Where("state = $state", "$state", query.State is { } state ? (int)state : null);
        if (query.CanSee is { } visible)
        {
            string[] names = [.. visible.Select((_, index) => $"$ns{index}")];
            conditions.Add($"namespace IN ({string.Join(", ", names)})");
            values.AddRange(visible.Select((name, index) => ($"$ns{index}", (object?)name)));
        }

        using SqliteCommand select = Command(
            $"SELECT {Columns} FROM executions WHERE {string.Join(" AND ", conditions)} ORDER BY number DESC LIMIT $limit", [.. values]);
        using SqliteDataReader reader = select.ExecuteReader();
        List<StoredExecution> page = [];
        while (reader.Read())
        {
            page.Add(Read(reader, withAnswer: false));
        }

        return page;
    });

    /// <summary>Keeps an event until the external audit endpoint has taken it.</summary>
    public void Post(ReadOnlyMemory<byte> body) => Guarded(true, () =>
    {
        using SqliteCommand insert = Command("INSERT INTO outbox (body) VALUES ($body)", ("$body", body.ToArray()));
        return insert.ExecuteNonQuery();
    });

    /// <summary>The oldest event that waits.</summary>
    public (long Number, byte[] Body)? NextPosted() => Guarded<(long, byte[])?>(false, () =>
    {
        using SqliteCommand select = Command("SELECT number, body FROM outbox ORDER BY number LIMIT 1");
        using SqliteDataReader reader = select.ExecuteReader();
        return reader.Read() ? (reader.GetInt64(0), reader.GetFieldValue<byte[]>(1)) : null;
    });

    /// <summary>The endpoint has taken it.</summary>
    public void RemovePosted(long number) => Guarded(false, () =>
    {
        using SqliteCommand delete = Command("DELETE FROM outbox WHERE number = $number", ("$number", number));
        return delete.ExecuteNonQuery();
    });

    /// <summary>Events that wait.</summary>
    public long Posted() => Guarded(false, () =>
    {
        using SqliteCommand count = Command("SELECT count(*) FROM outbox");
        return (long)(count.ExecuteScalar() ?? 0L);
    });

    public void Dispose() => _connection.Dispose();

    /// <summary>Without the memory of a full disk: an error of the file is an <see cref="IOException"/>, which the HTTP edge answers with 507.</summary>
    private T Guarded<T>(bool durable, Func<T> work)
    {
        lock (_gate)
        {
            try
            {
                if (!durable)
                {
                    return work();
                }

                Run("PRAGMA synchronous = FULL");
                try
                {
                    return work();
                }
                finally
                {
                    Run("PRAGMA synchronous = NORMAL");
                }
            }
            catch (SqliteException exception)
            {
                throw new IOException($"The executions cannot be written or read: {exception.Message}", exception);
            }
        }
    }

    private void Shape(string path)
    {
        using SqliteCommand version = Command("PRAGMA user_version");
        long found = (long)(version.ExecuteScalar() ?? 0L);
        if (found > SchemaVersion)
        {
            throw new ServerStartException(StartFailure.StateCorrupt, $"'{path}' was written by a newer version.");
        }

        if (found == 0)
        {
            Run($"BEGIN; {Schema} PRAGMA user_version = {SchemaVersion}; COMMIT");
        }
    }

    private void CloseOpen()
    {
        using SqliteCommand queued = Command(
            "UPDATE executions SET state = $to, ended = $now, code = 'host_restarted', detail = 'The server was restarted before it began.', idempotency = NULL WHERE state = $from",
            ("$to", (int)ExecutionState.NotStarted), ("$from", (int)ExecutionState.Queued), ("$now", Now()));
        queued.ExecuteNonQuery();
        using SqliteCommand running = Command(
            "UPDATE executions SET state = $to, ended = $now, code = 'host_restarted', detail = 'The server was cut off while it ran; the audit has what is known.' WHERE state = $from",
            ("$to", (int)ExecutionState.Unknown), ("$from", (int)ExecutionState.Running), ("$now", Now()));
        running.ExecuteNonQuery();
        using SqliteCommand sessions = Command("UPDATE sessions SET ended = $now, reason = 'host_restarted' WHERE ended IS NULL", ("$now", Now()));
        sessions.ExecuteNonQuery();
    }

    private void Prune()
    {
        using SqliteCommand byCount = Command(
            "DELETE FROM executions WHERE state >= 2 AND number <= (SELECT max(number) FROM executions) - $most", ("$most", MaxExecutions));
        byCount.ExecuteNonQuery();
        while (true)
        {
            using SqliteCommand sum = Command("SELECT coalesce(sum(size), 0) FROM executions");
            if ((long)(sum.ExecuteScalar() ?? 0L) <= MaxAnswerBytes)
            {
                return;
            }

            using SqliteCommand oldest = Command("DELETE FROM executions WHERE number IN (SELECT number FROM executions WHERE size > 0 ORDER BY number LIMIT 256)");
            oldest.ExecuteNonQuery();
        }
    }
}
