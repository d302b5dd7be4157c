using System.IO.Compression;
using System.Text.Json;
using Microsoft.Data.Sqlite;

namespace Rynxs.Server.Execution.Stored;

/// <summary>Rows to executions and back.</summary>
internal sealed partial class ExecutionStore
{
    private const string Columns = "number, id, namespace, agent, principal, session, state, created, ended, idempotency, fingerprint, code, detail, reason, success";

    private StoredExecution? FindByKey(string agentNamespace, string principal, string key)
    {
        using SqliteCommand select = Command(
            $"SELECT {Columns}, answer FROM executions WHERE namespace = $ns AND principal = $principal AND idempotency = $key", ("$ns", agentNamespace), ("$principal", principal), ("$key", key));
        using SqliteDataReader reader = select.ExecuteReader();
        return reader.Read() ? Read(reader, withAnswer: true) : null;
    }

    private static StoredExecution Read(SqliteDataReader reader, bool withAnswer) => new()
    {
        Number = reader.GetInt64(0),
        ExecutionId = reader.GetString(1),
        Namespace = reader.GetString(2),
        AgentId = reader.GetString(3),
        Principal = reader.GetString(4),
        SessionId = Text(reader, 5),
        State = (ExecutionState)reader.GetInt32(6),
        CreatedAt = DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(7)),
        EndedAt = reader.IsDBNull(8) ? null : DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(8)),
        IdempotencyKey = Text(reader, 9),
        Fingerprint = reader.IsDBNull(10) ? null : reader.GetFieldValue<byte[]>(10),
        ProblemCode = Text(reader, 11),
        ProblemDetail = Text(reader, 12),
        TerminationReason = Text(reader, 13),
        Success = reader.IsDBNull(14) ? null : reader.GetBoolean(14),
        Response = withAnswer && !reader.IsDBNull(15) ? Unpack(reader.GetFieldValue<byte[]>(15)) : null,
    };

    private static string? Text(SqliteDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetString(column);

    /// <summary>One byte says how: 0 as it is, 1 Brotli.</summary>
    private static byte[] Pack(ExecuteResponse response)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(response, ServerJson.Default.ExecuteResponse);
        if (json.Length < CompressFrom)
        {
            return [0, .. json];
        }

        using var packed = new MemoryStream();
        packed.WriteByte(1);
        using (var brotli = new BrotliStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            brotli.Write(json);
        }

        return packed.ToArray();
    }

    private static ExecuteResponse? Unpack(byte[] packed)
    {
        using Stream content = packed[0] == 0
            ? new MemoryStream(packed, 1, packed.Length - 1)
            : new BrotliStream(new MemoryStream(packed, 1, packed.Length - 1), CompressionMode.Decompress);
        ExecuteResponse? response = JsonSerializer.Deserialize(content, ServerJson.Default.ExecuteResponse);
        return response is null ? null : response with { Output = response.Stdout + response.Stderr };
    }

    private long Now() => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private void Run(string text)
    {
        using SqliteCommand command = _connection.CreateCommand();
#pragma warning disable CA2100 // Texts of this class alone; values are parameters.
        command.CommandText = text;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    private SqliteCommand Command(string text, params (string Name, object? Value)[] values)
    {
        SqliteCommand command = _connection.CreateCommand();
#pragma warning disable CA2100 // As above.
        command.CommandText = text;
#pragma warning restore CA2100
        foreach ((string name, object? value) in values)
        {
            command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        }

        return command;
    }
}
