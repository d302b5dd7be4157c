using System.Text.Json;
using Microsoft.Data.Sqlite;
using Rynxs.Server.Execution.Sessions;

namespace Rynxs.Server.Execution.Stored;

/// <summary>What became of sessions: for whoever asks for one that is gone.</summary>
internal sealed partial class ExecutionStore
{
    private const int MaxEndedSessions = 1000;

    public void BeginSession(SessionView session) => Guarded(false, () =>
    {
        using SqliteCommand insert = Command(
            "INSERT INTO sessions (id, namespace, principal, view) VALUES ($id, $ns, $principal, $view)",
            ("$id", session.SessionId), ("$ns", session.Namespace), ("$principal", session.Principal), ("$view", JsonSerializer.SerializeToUtf8Bytes(session, ServerJson.Default.SessionView)));
        return insert.ExecuteNonQuery();
    });

    public void EndSession(string id, string reason) => Guarded(false, () =>
    {
        using SqliteCommand update = Command("UPDATE sessions SET ended = $now, reason = $reason WHERE id = $id", ("$id", id), ("$now", Now()), ("$reason", reason));
        update.ExecuteNonQuery();
        using SqliteCommand prune = Command("DELETE FROM sessions WHERE ended IS NOT NULL AND number <= (SELECT max(number) FROM sessions) - $most", ("$most", MaxEndedSessions));
        return prune.ExecuteNonQuery();
    });

    /// <summary>Newest first.</summary>
    public IReadOnlyList<StoredSession> EndedSessions() => Guarded(false, () => ReadSessions("WHERE ended IS NOT NULL ORDER BY number DESC LIMIT 1000"));

    /// <summary>One that has ended.</summary>
    public StoredSession? TryGetEnded(string id) => Guarded(false, () => ReadSessions("WHERE ended IS NOT NULL AND id = $id", ("$id", id)).FirstOrDefault());

    private List<StoredSession> ReadSessions(string where, params (string, object?)[] values)
    {
        using SqliteCommand select = Command($"SELECT namespace, principal, view, reason, ended FROM sessions {where}", values);
        using SqliteDataReader reader = select.ExecuteReader();
        List<StoredSession> sessions = [];
        while (reader.Read())
        {
            if (JsonSerializer.Deserialize(reader.GetFieldValue<byte[]>(2), ServerJson.Default.SessionView) is { } view)
            {
                sessions.Add(new StoredSession(reader.GetString(0), reader.GetString(1), view with
                {
                    State = "ended", EndReason = Text(reader, 3), EndedAt = DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(4)),
                }));
            }
        }

        return sessions;
    }
}

/// <summary>A session that has ended, and who may know.</summary>
internal sealed record StoredSession(string Namespace, string Principal, SessionView View);
