using Microsoft.Data.Sqlite;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;

namespace Rynxs.ResourceServer.Tests.Storage;

/// <summary>A database that an older version of Rynxs wrote.</summary>
public sealed class StoreMigrationTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>The tables of schema 1, word for word.</summary>
    private const string First = """
        CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, compacted INTEGER NOT NULL);
        INSERT INTO state VALUES (1, 7, 3);
        CREATE TABLE objects (
            kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, generation INTEGER NOT NULL,
            resource_version INTEGER NOT NULL, deletion TEXT, json BLOB NOT NULL, PRIMARY KEY (kind, namespace, name));
        CREATE TABLE changes (
            version INTEGER PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL,
            json BLOB NOT NULL, previous BLOB);
        CREATE INDEX changes_by_kind ON changes (kind, version);
        PRAGMA application_id = 1381584472;
        PRAGMA user_version = 1;
        """;

    [Fact]
    public async Task Objects_versions_and_history_of_schema_1_stay_and_a_watch_goes_on_over_the_upgrade()
    {
        using TemporaryDirectory directory = new();
        string path = directory.At("objects.db");
        using (SqliteConnection old = new($"Data Source={path};Pooling=False"))
        {
            old.Open();
            Run(old, First);
            Run(old, "INSERT INTO objects VALUES ('Task', 'ns', 'a', 'u-a', 1, 6, NULL, $json)", Task("a", "6", "low"));
            Run(old, "INSERT INTO changes VALUES (5, 'Task', 'ns', 'a', 0, $json, NULL)", Task("a", "5", "high"));
            Run(old, "INSERT INTO changes VALUES (6, 'Task', 'ns', 'a', 1, $json, $previous)", Task("a", "6", "low"), Task("a", "5", "high"));
            Run(old, "INSERT INTO changes VALUES (7, 'Task', 'ns', 'b', 2, $json, $json)", Task("b", "7", "low"));
        }

        await using (ResourceStore store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = path, RequireNamespaces = true }, Ct))
        {
            await store.EnsureNamespacesAsync(Ct);
            IResourceClient client = store.For(Principal.System);
            TaskResource task = await client.GetAsync<TaskResource>(new NamespacedName("ns", "a"), Ct);
            task.Spec.Priority.ShouldBe("low");
            task.Metadata.ResourceVersion.ShouldBe("6");
            task.Metadata.Uid.ShouldBe("u-a");

            // The namespace of the objects is there, so that more can be made in it.
            TaskResource made = await client.CreateAsync(task with { Metadata = new ObjectMeta { Name = "c", Namespace = "ns" } }, Ct);
            long.Parse(made.Metadata.ResourceVersion ?? "", System.Globalization.CultureInfo.InvariantCulture).ShouldBeGreaterThan(7);

            List<(WatchEventType, string)> seen = [];
            await foreach (WatchEvent<TaskResource> change in client.WatchAsync<TaskResource>(new ResourceQuery { FieldSelector = "spec.priority=high" }, "4", Ct))
            {
                seen.Add((change.Type, change.Resource.Metadata.Name));
                if (seen.Count == 2)
                    break;
            }

            seen.ShouldBe([(WatchEventType.Added, "a"), (WatchEventType.Deleted, "a")]);
            ResourceException gone = await Should.ThrowAsync<ResourceException>(async () =>
            {
                await foreach (WatchEvent<TaskResource> _ in client.WatchAsync<TaskResource>(new ResourceQuery(), "2", Ct))
                {
                }
            });
            gone.Reason.ShouldBe(ResourceErrorReason.Gone);
        }

        // Once migrated, it opens as what it is.
        await (await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = path }, Ct)).DisposeAsync();
    }

    [Fact]
    public async Task A_document_of_schema_1_that_cannot_be_read_leaves_the_file_as_it_was()
    {
        using TemporaryDirectory directory = new();
        string path = directory.At("objects.db");
        using (SqliteConnection old = new($"Data Source={path};Pooling=False"))
        {
            old.Open();
            Run(old, First);
            Run(old, "INSERT INTO objects VALUES ('Task', 'ns', 'a', 'u-a', 1, 6, NULL, $json)", "{\"kind\":"u8.ToArray());
        }

        ResourceStoreOpenException e = await Should.ThrowAsync<ResourceStoreOpenException>(() => ResourceStore.OpenAsync(new ResourceStoreOptions { Path = path }, Ct));

        e.Error.ShouldBe(ResourceStoreOpenError.Corrupt);
        using SqliteConnection after = new($"Data Source={path};Pooling=False");
        after.Open();
        using SqliteCommand version = after.CreateCommand();
        version.CommandText = "PRAGMA user_version";
        version.ExecuteScalar().ShouldBe(1L);
    }

    private static byte[] Task(string name, string version, string priority) => System.Text.Encoding.UTF8.GetBytes(
        $$$"""{"apiVersion":"universe.ai/v1alpha1","kind":"Task","metadata":{"name":"{{{name}}}","namespace":"ns","uid":"u-{{{name}}}","resourceVersion":"{{{version}}}","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z","finalizers":[],"labels":{},"annotations":{}},"spec":{"title":"t","description":"d","priority":"{{{priority}}}","requiredTools":[],"dependencies":[],"maxAttempts":1,"cancel":false},"status":{"phase":"Pending","attempts":0}}""");

    private static void Run(SqliteConnection connection, string sql, byte[]? json = null, byte[]? previous = null)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        if (json is not null)
            command.Parameters.AddWithValue("$json", json);
        if (previous is not null)
            command.Parameters.AddWithValue("$previous", previous);
        command.ExecuteNonQuery();
    }
}
