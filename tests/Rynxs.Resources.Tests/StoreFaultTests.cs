using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using static Rynxs.Resources.Tests.StoreScenario;

namespace Rynxs.Resources.Tests;

/// <summary>Second openers, damaged files, full disks, and processes that are killed.</summary>
public sealed class StoreFaultTests
{
    private const string WriteLoopVariable = "RYNXS_TEST_WRITE_LOOP";

    /// <summary>The child of the kill test is this test, run alone by this executable: it writes until it dies, and names each object once it is acknowledged.</summary>
    [Fact]
    public async Task Write_loop_of_the_kill_test()
    {
        string? path = Environment.GetEnvironmentVariable(WriteLoopVariable);
        Assert.SkipUnless(path is { Length: > 0 }, "runs in the child process of the kill test alone");

        await using ResourceStore store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = path ?? "" }, Ct);
        await using Stream output = Console.OpenStandardOutput();
        for (int i = 0; ; i++)
        {
            TaskResource task = await store.For(Principal.System).CreateAsync(Task($"t{i}"), Ct);
            await output.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"\nACK {task.Metadata.Name} {task.Metadata.ResourceVersion}\n"), Ct);
            await output.FlushAsync(Ct);
        }
    }

    [Fact]
    public async Task What_was_acknowledged_is_there_after_kill_9()
    {
        await using StoreScenario scenario = await OpenAsync();
        int acknowledged = 0;
        for (int round = 0; round < 3; round++)
        {
            string path = scenario.DatabasePath + $".{round}";
            ProcessStartInfo start = new(Path.Combine(AppContext.BaseDirectory, "Rynxs.Resources.Tests"),
                ["-method", $"{typeof(StoreFaultTests).FullName}.{nameof(Write_loop_of_the_kill_test)}"]) { RedirectStandardOutput = true };
            start.Environment[WriteLoopVariable] = path;
            using Process child = Process.Start(start).ShouldNotBeNull();
            List<string> lines = [];
            while (lines.Count < 20 + 30 * round && await child.StandardOutput.ReadLineAsync(Ct) is { } line)
            {
                if (line.StartsWith("ACK ", StringComparison.Ordinal))
                    lines.Add(line);
            }

            child.Kill();
            await child.WaitForExitAsync(Ct);
            // Lines that were in the pipe when it died were acknowledged too; the last may be half.
            lines.AddRange((await child.StandardOutput.ReadToEndAsync(Ct)).Split('\n').SkipLast(1).Where(line => line.StartsWith("ACK ", StringComparison.Ordinal)));

            await using ResourceStore store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = path }, Ct);
            foreach (string[] parts in lines.Select(line => line.Split(' ')))
            {
                TaskResource task = await store.For(Principal.System).GetAsync<TaskResource>(new NamespacedName("ns", parts[1]), Ct);
                task.Metadata.ResourceVersion.ShouldBe(parts[2]);
            }

            lines.Count.ShouldBeGreaterThanOrEqualTo(20 + 30 * round);
            acknowledged += lines.Count;
            long next = store.CurrentVersion + 1;
            (await store.For(Principal.System).CreateAsync(Task("after"), Ct)).Metadata.ResourceVersion.ShouldBe($"{next}");
        }

        acknowledged.ShouldBeGreaterThanOrEqualTo(150);
    }

    [Fact]
    public async Task A_second_opener_is_refused_and_the_first_goes_on()
    {
        await using StoreScenario scenario = await OpenAsync();

        ResourceStoreOpenException e = await Should.ThrowAsync<ResourceStoreOpenException>(() => ResourceStore.OpenAsync(scenario.Options, Ct));

        e.Error.ShouldBe(ResourceStoreOpenError.Locked);
        e.Message.ShouldContain("in use by another process");
        await scenario.System.CreateAsync(Task("a"), Ct);
        await scenario.ReopenAsync();
    }

    [Fact]
    public async Task A_store_of_a_newer_version_is_left_alone()
    {
        await using StoreScenario scenario = await OpenAsync();
        await scenario.Store.DisposeAsync();
        Sql(scenario.DatabasePath, "PRAGMA user_version = 99");

        (await OpenErrorAsync(scenario)).ShouldSatisfyAllConditions(
            e => e.Error.ShouldBe(ResourceStoreOpenError.NewerSchema), e => e.Message.ShouldContain("schema 99"));
    }

    [Fact]
    public async Task A_database_of_another_program_and_text_are_refused()
    {
        await using StoreScenario scenario = await OpenAsync();
        await scenario.Store.DisposeAsync();
        Sql(scenario.DatabasePath, "PRAGMA application_id = 7");
        (await OpenErrorAsync(scenario)).Error.ShouldBe(ResourceStoreOpenError.Corrupt);

        await File.WriteAllTextAsync(scenario.DatabasePath, new string('x', 10_000), Ct);
        (await OpenErrorAsync(scenario)).Error.ShouldBe(ResourceStoreOpenError.Corrupt);
    }

    [Fact]
    public async Task A_damaged_page_is_found_when_the_store_is_opened()
    {
        await using StoreScenario scenario = await OpenAsync();
        for (int i = 0; i < 50; i++)
            await scenario.System.CreateAsync(Task($"t{i}", new string('x', 2000)), Ct);
        await scenario.Store.DisposeAsync();
        using (FileStream file = new(scenario.DatabasePath, FileMode.Open))
        {
            // Every page after the schema's own.
            for (long page = 3; page * 4096 < file.Length; page++)
            {
                file.Position = page * 4096;
                file.Write(Enumerable.Repeat((byte)0xA5, 64).ToArray());
            }
        }

        (await OpenErrorAsync(scenario)).Error.ShouldBe(ResourceStoreOpenError.Corrupt);
    }

    [Fact]
    public async Task A_missing_directory_and_a_directory_in_place_of_the_file_are_named()
    {
        await using StoreScenario scenario = await OpenAsync();
        scenario.Options = scenario.Options with { Path = scenario.DatabasePath + ".no/objects.db" };
        (await OpenErrorAsync(scenario)).Error.ShouldBe(ResourceStoreOpenError.Unavailable);

        Directory.CreateDirectory(scenario.DatabasePath + ".dir");
        scenario.Options = scenario.Options with { Path = scenario.DatabasePath + ".dir" };
        (await OpenErrorAsync(scenario)).Error.ShouldBe(ResourceStoreOpenError.ReadOnly);
    }

    [Fact]
    public async Task A_full_disk_refuses_writes_and_keeps_what_was_there()
    {
        using TemporaryDirectory mount = new();
        await using SmallDisk disk = await SmallDisk.MountAsync(mount.At("disk"), "2m", Ct);
        await using ResourceStore store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = Path.Combine(disk.Path, "objects.db") }, Ct);
        IResourceClient client = store.For(Principal.System);
        int stored = 0;
        ResourceException? refusal = null;
        while (refusal is null)
        {
            try
            {
                await client.CreateAsync(Task($"t{stored}", new string('x', 20_000)), Ct);
                stored++;
            }
            catch (ResourceException e)
            {
                refusal = e;
            }
        }

        refusal.Reason.ShouldBe(ResourceErrorReason.StoreUnavailable, refusal.Message);
        stored.ShouldBeGreaterThan(3);
        (await client.ListAsync<TaskResource>(new ResourceQuery(), Ct)).Items.Count.ShouldBe(stored);
        await store.DisposeAsync();

        // A restart on the full disk may refuse, in words; with room again it has everything.
        await disk.RemountAsync("size=32m", Ct);
        await using ResourceStore again = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = Path.Combine(disk.Path, "objects.db") }, Ct);
        (await again.For(Principal.System).ListAsync<TaskResource>(new ResourceQuery(), Ct)).Items.Count.ShouldBe(stored);
        await again.For(Principal.System).CreateAsync(Task("more"), Ct);
    }

    [Fact]
    public async Task A_read_only_file_system_is_named_when_the_store_is_opened()
    {
        using TemporaryDirectory mount = new();
        await using SmallDisk disk = await SmallDisk.MountAsync(mount.At("disk"), "4m", Ct);
        ResourceStoreOptions options = new() { Path = Path.Combine(disk.Path, "objects.db") };
        await (await ResourceStore.OpenAsync(options, Ct)).DisposeAsync();
        await disk.RemountAsync("ro", Ct);

        ResourceStoreOpenException e = await Should.ThrowAsync<ResourceStoreOpenException>(() => ResourceStore.OpenAsync(options, Ct));

        e.Error.ShouldBe(ResourceStoreOpenError.ReadOnly, e.Message);
    }

    private static Task<ResourceStoreOpenException> OpenErrorAsync(StoreScenario scenario) =>
        Should.ThrowAsync<ResourceStoreOpenException>(() => ResourceStore.OpenAsync(scenario.Options, Ct));

    private static void Sql(string path, string sql)
    {
        using SqliteConnection connection = new($"Data Source={path};Pooling=False");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
