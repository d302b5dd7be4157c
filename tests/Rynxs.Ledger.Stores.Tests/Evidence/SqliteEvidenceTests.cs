using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Stores.Copying;

namespace Rynxs.Ledger.Stores.Tests.Evidence;

public sealed class SqliteEvidenceTests : EvidenceConformance
{
    protected override LedgerLocation Location => new LedgerLocation.Sqlite(Scratch.At("ledger.db"));

    protected override Task ForgeAsync(IReadOnlyList<string> lines)
    {
        Run("DELETE FROM records WHERE chain = (SELECT id FROM chains WHERE path = 'control')");
        for (int seq = 0; seq < lines.Count; seq++)
        {
            Run(
                "INSERT INTO records (chain, seq, line) VALUES ((SELECT id FROM chains WHERE path = 'control'), $seq, $line)",
                ("$seq", seq), ("$line", System.Text.Encoding.UTF8.GetBytes(lines[seq] + "\n")));
        }

        // The attacker brings the stated head into line too.
        Run(
            "UPDATE chains SET head_seq = $seq, head_hash = $hash WHERE path = 'control'", ("$seq", lines.Count - 1),
            ("$hash", System.Text.Json.JsonElement.Parse(lines[^1]).GetProperty("event_hash").GetString() ?? ""));
        return Task.CompletedTask;
    }

    protected override Task DamageTreeAsync(string path, bool remove)
    {
        Run(
            remove ? "DELETE FROM trees WHERE path = $path" : "UPDATE trees SET content = CAST(x'00' || substr(content, 2) AS BLOB) WHERE path = $path", ("$path", path)).ShouldBe(1);
        return Task.CompletedTask;
    }

    protected override Task SnapshotAsync()
    {
        Run("PRAGMA wal_checkpoint(TRUNCATE)");
        File.Copy(Scratch.At("ledger.db"), Scratch.At("kept.db"));
        return Task.CompletedTask;
    }

    protected override Task RestoreAsync()
    {
        File.Delete(Scratch.At("ledger.db-wal"));
        File.Delete(Scratch.At("ledger.db-shm"));
        File.Copy(Scratch.At("kept.db"), Scratch.At("ledger.db"), overwrite: true);
        return Task.CompletedTask;
    }

    private int Run(string sql, params ReadOnlySpan<(string Name, object Value)> parameters)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = Scratch.At("ledger.db"), Pooling = false }.ToString());
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        foreach ((string name, object value) in parameters)
        {
            command.Parameters.AddWithValue(name, value);
        }

        return command.ExecuteNonQuery();
    }
}
