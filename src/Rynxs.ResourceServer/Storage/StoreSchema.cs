using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using Rynxs.ResourceServer.Secrets;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The tables, and how an older file becomes one of this version. docs/formats/objects.md shows them.</summary>
internal static class StoreSchema
{
    private const int Version = 3;

    private const string Tables = """
        CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, compacted INTEGER NOT NULL);
        CREATE TABLE keys (generation INTEGER PRIMARY KEY, id TEXT NOT NULL);
        CREATE TABLE documents (
            grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, uid TEXT NOT NULL,
            deleting INTEGER NOT NULL, owned INTEGER NOT NULL, sealed INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (grp, plural, namespace, name));
        CREATE INDEX documents_deleting ON documents (deleting) WHERE deleting = 1;
        CREATE TABLE owners (
            owner TEXT NOT NULL, grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
            PRIMARY KEY (owner, grp, plural, namespace, name)) WITHOUT ROWID;
        CREATE INDEX owners_by_document ON owners (grp, plural, namespace, name);
        CREATE TABLE history (
            version INTEGER PRIMARY KEY, grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL,
            sealed INTEGER NOT NULL, body BLOB NOT NULL, previous BLOB, previous_version INTEGER NOT NULL);
        CREATE INDEX history_by_kind ON history (grp, plural, version);
        """;

    /// <summary>Plurals of the kinds that schema 1 could hold.</summary>
    private static readonly Dictionary<string, string> FirstPlurals = new()
    {
        ["Agent"] = "agents",
        ["Approval"] = "approvals",
        ["Task"] = "tasks",
        ["Universe"] = "universes",
    };

    /// <summary>Checks the file, and makes or migrates its tables in one transaction.</summary>
    public static void Prepare(string path, SqliteConnection writer, bool check)
    {
        long version = Number(writer, "PRAGMA user_version");
        long application = Number(writer, "PRAGMA application_id");
        long tables = Number(writer, "SELECT count(*) FROM sqlite_master");
        if (tables > 0 && application != StoreDatabase.ApplicationId)
            throw new ResourceStoreOpenException(ResourceStoreOpenError.Corrupt, $"{path} is a database of another program.");
        if (version > Version)
        {
            throw new ResourceStoreOpenException(ResourceStoreOpenError.NewerSchema,
                $"{path} has schema {version}; this version of Rynxs knows {Version}. Run the newer version, or restore a backup.");
        }

        Execute(writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;");
        if (check && tables > 0 && !IsSound(writer))
            throw new ResourceStoreOpenException(ResourceStoreOpenError.Corrupt, $"{path} is damaged. Restore it from a backup.");

        if (tables == 0)
            Execute(writer, $"BEGIN IMMEDIATE; {Tables} INSERT INTO state VALUES (1, 0, 0); PRAGMA application_id = {StoreDatabase.ApplicationId}; PRAGMA user_version = {Version}; COMMIT;");
        else if (version == 1)
            FromFirst(writer);
        else if (version == 2)
            FromSecond(writer);

        // A write that changes nothing shows now, and not at the first request, that the file can be written.
        Execute(writer, "BEGIN IMMEDIATE; UPDATE state SET sequence = sequence; COMMIT;");
    }

    /// <summary>SQLite's own check of the whole file.</summary>
    public static bool IsSound(SqliteConnection connection)
    {
        using SqliteCommand check = connection.CreateCommand();
        check.CommandText = "PRAGMA quick_check(1)";
        return check.ExecuteScalar() is "ok";
    }

    /// <summary>The keys that Secrets are sealed with, oldest first; none before the first start that has one.</summary>
    public static IReadOnlyList<KeyName> Keys(SqliteConnection connection)
    {
        using SqliteCommand command = Command(connection, "SELECT generation, id FROM keys ORDER BY generation");
        using SqliteDataReader reader = command.ExecuteReader();
        List<KeyName> keys = [];
        while (reader.Read())
            keys.Add(new KeyName(reader.GetInt64(0), reader.GetString(1)));
        return keys;
    }

    public static void NameFirstKey(SqliteConnection connection, KeyName key)
    {
        using SqliteCommand command = Command(connection, "INSERT OR IGNORE INTO keys VALUES ($1, $2)");
        Bind(command, key.Generation, key.Id);
        command.ExecuteNonQuery();
    }

    /// <summary>Part of the writer's transaction.</summary>
    public static void NameKey(StoreConnection writer, KeyName key) => writer.Run("INSERT INTO keys VALUES ($1, $2)", key.Generation, key.Id);

    /// <inheritdoc cref="NameKey"/>
    public static void ForgetKeysBefore(StoreConnection writer, long generation)
    {
        // Not while anything needs them: what cannot be opened any more is lost.
        writer.Run("""
            DELETE FROM keys WHERE generation < $1
            AND NOT EXISTS (SELECT 1 FROM documents WHERE grp = '' AND plural = 'secrets' AND sealed NOT IN (0, $1))
            AND NOT EXISTS (SELECT 1 FROM history WHERE grp = '' AND plural = 'secrets' AND sealed NOT IN (0, $1))
            """, generation);
    }

    /// <summary>Schema 2 knew one key, and marked what it sealed with 1.</summary>
    private static void FromSecond(SqliteConnection writer)
    {
        Execute(writer, $"""
            BEGIN IMMEDIATE;
            CREATE TABLE keys (generation INTEGER PRIMARY KEY, id TEXT NOT NULL);
            INSERT INTO keys SELECT 1, key_id FROM state WHERE key_id IS NOT NULL;
            ALTER TABLE state DROP COLUMN key_id;
            PRAGMA user_version = {Version};
            COMMIT;
            """);
    }

    /// <summary>Schema 1 held four kinds as their serializer wrote them. Versions and history stay, so a watch goes on over the upgrade.</summary>
    private static void FromFirst(SqliteConnection writer)
    {
        Execute(writer, "BEGIN IMMEDIATE");
        Execute(writer, "ALTER TABLE state RENAME TO old_state");
        Execute(writer, Tables);
        Execute(writer, "INSERT INTO state SELECT 1, sequence, compacted FROM old_state");
        using (SqliteCommand read = Command(writer, "SELECT kind, namespace, name, resource_version, uid, deletion IS NOT NULL, json FROM objects"))
        using (SqliteCommand write = Command(writer, "INSERT INTO documents VALUES ('universe.ai', $1, $2, $3, $4, $5, $6, 0, 0, $7)"))
        using (SqliteDataReader reader = read.ExecuteReader())
        {
            while (reader.Read())
            {
                Bind(write, FirstPlurals[reader.GetString(0)], reader.GetString(1), reader.GetString(2), reader.GetInt64(3), reader.GetString(4), reader.GetInt64(5),
                    Relaid(reader.GetFieldValue<byte[]>(6)));
                write.ExecuteNonQuery();
            }
        }

        using (SqliteCommand read = Command(writer, "SELECT version, kind, namespace, name, type, json, previous FROM changes"))
        using (SqliteCommand write = Command(writer, "INSERT INTO history VALUES ($1, 'universe.ai', $2, $3, $4, $5, 0, $6, $7, 0)"))
        using (SqliteDataReader reader = read.ExecuteReader())
        {
            while (reader.Read())
            {
                Bind(write, reader.GetInt64(0), FirstPlurals[reader.GetString(1)], reader.GetString(2), reader.GetString(3), reader.GetInt64(4),
                    Relaid(reader.GetFieldValue<byte[]>(5)), reader.IsDBNull(6) ? null : Relaid(reader.GetFieldValue<byte[]>(6)));
                write.ExecuteNonQuery();
            }
        }

        Execute(writer, $"DROP TABLE old_state; DROP TABLE objects; DROP TABLE changes; PRAGMA user_version = {Version};");
        Execute(writer, "COMMIT");
    }

    private static byte[] Relaid(byte[] json)
    {
        JsonObject document = DocumentText.Parse(json);
        string version = (string?)document["metadata"]?["resourceVersion"] ?? throw new JsonException("a stored document has a version");
        return DocumentText.Serialize(document).WithVersion(long.Parse(version, System.Globalization.CultureInfo.InvariantCulture));
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql)
    {
        SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return command;
    }

    private static void Bind(SqliteCommand command, params ReadOnlySpan<object?> values)
    {
        command.Parameters.Clear();
        for (int i = 0; i < values.Length; i++)
            command.Parameters.AddWithValue($"${i + 1}", values[i] ?? DBNull.Value);
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = Command(connection, sql);
        command.ExecuteNonQuery();
    }

    private static long Number(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = Command(connection, sql);
        return (long)(command.ExecuteScalar() ?? 0L);
    }
}
