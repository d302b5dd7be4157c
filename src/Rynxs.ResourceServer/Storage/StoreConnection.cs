using Microsoft.Data.Sqlite;

namespace Rynxs.ResourceServer.Storage;

/// <summary>A connection and the statements that were prepared on it. One user at a time.</summary>
internal sealed class StoreConnection(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, SqliteCommand> _prepared = [];

    public SqliteConnection Connection => connection;

    /// <summary>A statement with its parameters bound in order as <c>$1</c>, <c>$2</c> and so on. It belongs to the connection: do not dispose of it.</summary>
    public SqliteCommand Prepare(string sql, params ReadOnlySpan<object?> values)
    {
        if (!_prepared.TryGetValue(sql, out SqliteCommand? command))
        {
            command = connection.CreateCommand();
            command.CommandText = sql;
            for (int i = 0; i < values.Length; i++)
                command.Parameters.Add(new SqliteParameter { ParameterName = $"${i + 1}" });
            _prepared.Add(sql, command);
        }

        for (int i = 0; i < values.Length; i++)
            command.Parameters[i].Value = values[i] ?? DBNull.Value;
        return command;
    }

    public void Run(string sql, params ReadOnlySpan<object?> values) => Prepare(sql, values).ExecuteNonQuery();

    public long Number(string sql, params ReadOnlySpan<object?> values) => (long)(Prepare(sql, values).ExecuteScalar() ?? 0L);

    public void Dispose()
    {
        foreach (SqliteCommand command in _prepared.Values)
            command.Dispose();
        connection.Dispose();
    }
}
