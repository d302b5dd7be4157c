using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using Rynxs.ResourceServer.Secrets;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tests.Kit;
using Rynxs.Resources.Client;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Secrets;

/// <summary>Another key for the Secrets while the server serves (G7), and in whatever moment it dies.</summary>
public sealed class SecretKeyRotationTests
{
    private const string Secrets = "/api/v1/namespaces/default/secrets";

    [Fact]
    public async Task G7_after_a_rotation_everything_reads_as_before_the_old_key_opens_nothing_and_a_watch_reaches_back_over_it()
    {
        using TemporaryDirectory directory = new();
        string database = directory.At("objects.db"), keyFile = database + ".key";
        byte[] oldKey;
        await using (ApiServer server = await StartAsync(options => options with { Path = database }))
        {
            for (int i = 0; i < 200; i++)
                await server.JsonAsync("POST", Secrets, Secret($"s{i}", $"first-{i}"), 201);
            for (int i = 0; i < 200; i += 2)
                await server.JsonAsync("PUT", $"{Secrets}/s{i}", Secret($"s{i}", $"second-{i}"));
            await server.JsonAsync("DELETE", $"{Secrets}/s1");
            oldKey = await File.ReadAllBytesAsync(keyFile, Ct);
            string before = (await server.Store.SecretKeyStatusAsync(Ct)).KeyId;

            SecretKeyStatus begun = await server.Store.RotateSecretKeyAsync(Ct);
            begun.KeyId.ShouldNotBe(before);
            await server.JsonAsync("PUT", $"{Secrets}/s2", Secret("s2", "third-2")); // in the middle of it
            await CheckAsync(server);
            await EndedAsync(server.Store);

            File.ReadAllLines(keyFile).Length.ShouldBe(1);
            (await File.ReadAllBytesAsync(keyFile, Ct)).ShouldNotBe(oldKey);
            File.GetUnixFileMode(keyFile).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
            await CheckAsync(server);
            Generations(database).ShouldBe([2L]);
        }

        byte[] newKey = await File.ReadAllBytesAsync(keyFile, Ct);
        await File.WriteAllBytesAsync(keyFile, oldKey, Ct);
        (await Should.ThrowAsync<ResourceStoreOpenException>(() => ResourceStore.OpenAsync(new ResourceStoreOptions { Path = database }, Ct))).Error.ShouldBe(ResourceStoreOpenError.Key);
        await File.WriteAllBytesAsync(keyFile, newKey, Ct);
        await using (ApiServer server = await StartAsync(options => options with { Path = database }))
        {
            await CheckAsync(server);
            await server.Store.RotateSecretKeyAsync(Ct); // and once more
            await EndedAsync(server.Store);
            await CheckAsync(server);
        }

        static async Task CheckAsync(ApiServer server)
        {
            (await server.JsonAsync("GET", Secrets))["items"]!.AsArray().Count.ShouldBe(199);
            foreach ((string name, string value) in ((string, string)[])[("s3", "first-3"), ("s2", "third-2"), ("s4", "second-4")])
                Value(await server.JsonAsync("GET", $"{Secrets}/{name}")).ShouldBe(value);
            string[] lines = (await server.Client.GetStringAsync($"{Secrets}?watch=1&resourceVersion=1&timeoutSeconds=1", Ct)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            lines.Length.ShouldBe(200 + 100 + 1 + 1);
            Value(JsonNode.Parse(lines[0])!["object"]!.AsObject()).ShouldBe("first-0");
        }
    }

    [Fact]
    public async Task Secrets_of_schema_2_are_opened_with_their_one_key_and_it_can_be_exchanged()
    {
        using TemporaryDirectory directory = new();
        string database = directory.At("objects.db");
        await using (ApiServer server = await StartAsync(options => options with { Path = database }))
            await server.JsonAsync("POST", Secrets, Secret("s", "old"), 201);
        using (SqliteConnection connection = new($"Data Source={database};Pooling=False"))
        {
            connection.Open();
            using SqliteCommand back = connection.CreateCommand();
            // What schema 2 had: the id in the state, and 1 beside what is sealed, which is the generation of the first key.
            back.CommandText = "ALTER TABLE state ADD COLUMN key_id TEXT; UPDATE state SET key_id = (SELECT id FROM keys); DROP TABLE keys; PRAGMA user_version = 2;";
            back.ExecuteNonQuery();
        }

        await using (ApiServer server = await StartAsync(options => options with { Path = database }))
        {
            Value(await server.JsonAsync("GET", $"{Secrets}/s")).ShouldBe("old");
            await server.Store.RotateSecretKeyAsync(Ct);
            await EndedAsync(server.Store);
            Value(await server.JsonAsync("GET", $"{Secrets}/s")).ShouldBe("old");
        }
    }

    [Fact]
    public async Task A_second_rotation_waits_for_the_first_and_a_key_file_that_cannot_be_written_changes_nothing()
    {
        using TemporaryDirectory directory = new();
        string database = directory.At("objects.db");
        Directory.CreateDirectory(directory.At("keys"));
        await using ApiServer server = await StartAsync(options => options with { Path = database, KeyFile = directory.At("keys/secret.key") });
        for (int i = 0; i < 300; i++)
            await server.JsonAsync("POST", Secrets, Secret($"s{i}", "v"), 201);

        SecretKeyStatus first = await server.Store.RotateSecretKeyAsync(Ct);
        // The first cannot have ended: its pieces take commits of their own.
        ResourceException refused = await Should.ThrowAsync<ResourceException>(async () =>
        {
            for (int i = 0; i < 50; i++)
                await server.Store.RotateSecretKeyAsync(Ct);
        });
        refused.Reason.ShouldBe(ResourceErrorReason.Conflict);
        await EndedAsync(server.Store);
        string now = (await server.Store.SecretKeyStatusAsync(Ct)).KeyId;

        Directory.Move(directory.At("keys"), directory.At("elsewhere"));
        (await Should.ThrowAsync<ResourceException>(() => server.Store.RotateSecretKeyAsync(Ct))).Reason.ShouldBe(ResourceErrorReason.StoreUnavailable);
        Directory.Move(directory.At("elsewhere"), directory.At("keys"));
        (await server.Store.SecretKeyStatusAsync(Ct)).KeyId.ShouldBe(now);
        Value(await server.JsonAsync("GET", $"{Secrets}/s7")).ShouldBe("v");
        first.Exchanging.ShouldBeTrue();
    }

    private const string PathVariable = "RYNXS_TEST_ROTATION";

    /// <summary>The child of the kill test is this test, run alone by this executable.</summary>
    [Fact]
    public async Task Rotation_loop_of_the_kill_test()
    {
        string? database = Environment.GetEnvironmentVariable(PathVariable);
        Assert.SkipUnless(database is { Length: > 0 }, "runs in the child process of the kill test alone");
        await using ApiServer server = await StartAsync(options => options with { Path = database ?? "", HistoryWindow = 1000 });
        await using Stream output = Console.OpenStandardOutput();
        for (int i = 0; ; i++)
        {
            await server.JsonAsync("PUT", $"{Secrets}/s{i % 100}", Secret($"s{i % 100}", $"value-{i % 100}"));
            if (!(await server.Store.SecretKeyStatusAsync(Ct)).Exchanging)
                await server.Store.RotateSecretKeyAsync(Ct);
            await output.WriteAsync(Encoding.ASCII.GetBytes($"\nTURN {i}\n"), Ct);
            await output.FlushAsync(Ct);
        }
    }

    [Fact]
    public async Task G8_killed_at_any_moment_of_rotations_no_secret_is_lost_and_the_next_start_ends_what_was_begun()
    {
        using TemporaryDirectory directory = new();
        string database = directory.At("objects.db");
        await using (ApiServer server = await StartAsync(options => options with { Path = database }))
        {
            for (int i = 0; i < 100; i++)
                await server.JsonAsync("POST", Secrets, Secret($"s{i}", $"value-{i}"), 201);
        }

        Random random = new(Soak.Wanted ? Environment.TickCount : 7);
        HashSet<string> keys = [];
        for (int round = 0; round < (Soak.Wanted ? 40 : 2); round++)
        {
            ProcessStartInfo start = new(System.IO.Path.Combine(AppContext.BaseDirectory, "Rynxs.ResourceServer.Tests"),
                ["-method", $"{typeof(SecretKeyRotationTests).FullName}.{nameof(Rotation_loop_of_the_kill_test)}"]) { RedirectStandardOutput = true };
            start.Environment[PathVariable] = database;
            using Process child = Process.Start(start).ShouldNotBeNull();
            int turns = 0;
            int enough = random.Next(3, 40);
            while (turns < enough && await child.StandardOutput.ReadLineAsync(Ct) is { } line)
                turns += line.StartsWith("TURN", StringComparison.Ordinal) ? 1 : 0;
            await Task.Delay(random.Next(30), Ct); // anywhere in a turn
            child.Kill();
            await child.WaitForExitAsync(Ct);
            turns.ShouldBe(enough, "the child did not run");

            await using ApiServer server = await StartAsync(options => options with { Path = database, HistoryWindow = 1000 });
            for (int i = 0; i < 100; i++)
                Value(await server.JsonAsync("GET", $"{Secrets}/s{i}")).ShouldBe($"value-{i}", $"round {round}");
            await EndedAsync(server.Store);
            File.ReadAllLines(database + ".key").Length.ShouldBe(1);
            keys.Add((await server.Store.SecretKeyStatusAsync(Ct)).KeyId);
        }

        keys.Count.ShouldBeGreaterThan(1, "positive control: keys were exchanged");
    }

    [Fact]
    public async Task Secrets_that_many_read_at_once_are_opened_right()
    {
        await using ApiServer server = await StartAsync();
        for (int i = 0; i < 20; i++)
            await server.JsonAsync("POST", Secrets, Secret($"s{i}", $"value-{i}"), 201);

        await Parallel.ForAsync(0, 2000, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Ct }, async (i, _) =>
            Value(await server.JsonAsync("GET", $"{Secrets}/s{i % 20}")).ShouldBe($"value-{i % 20}"));
    }

    private static async Task EndedAsync(ResourceStore store)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while ((await store.SecretKeyStatusAsync(patience.Token)).Exchanging)
            await Task.Delay(10, patience.Token);
        // The file follows the store.
        while (File.ReadAllLines((store.Options.KeyFile ?? store.Options.Path + ".key")).Length > 1)
            await Task.Delay(10, patience.Token);
    }

    private static List<long> Generations(string database)
    {
        using SqliteConnection connection = new($"Data Source={database};Pooling=False;Mode=ReadOnly");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT sealed FROM documents WHERE sealed > 0 UNION SELECT sealed FROM history WHERE sealed > 0 UNION SELECT generation FROM keys ORDER BY 1";
        using SqliteDataReader reader = command.ExecuteReader();
        List<long> found = [];
        while (reader.Read())
            found.Add(reader.GetInt64(0));
        return found;
    }

    private static string Secret(string name, string value) =>
        $$$"""{"apiVersion":"v1","kind":"Secret","metadata":{"name":"{{{name}}}"},"data":{"k":"{{{Convert.ToBase64String(Encoding.UTF8.GetBytes(value))}}}"}}""";

    private static string Value(JsonObject secret) => Encoding.UTF8.GetString(Convert.FromBase64String((string?)secret["data"]?["k"] ?? ""));
}
