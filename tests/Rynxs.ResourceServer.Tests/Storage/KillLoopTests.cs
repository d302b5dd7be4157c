using System.Diagnostics;
using System.Globalization;
using System.Text;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tests.Kit;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;

namespace Rynxs.ResourceServer.Tests.Storage;

/// <summary>Processes that are killed under write load (G8): what was acknowledged is there, and a watch that reconnects sees every change once.</summary>
public sealed class KillLoopTests
{
    private const string PathVariable = "RYNXS_TEST_KILL_LOOP";
    private const int Writers = 8;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>The child of the kill test is this test, run alone by this executable: many writers and a watcher, which tell what they were told.</summary>
    [Fact]
    public async Task Write_and_watch_loop_of_the_kill_test()
    {
        string? given = Environment.GetEnvironmentVariable(PathVariable);
        Assert.SkipUnless(given is { Length: > 0 }, "runs in the child process of the kill test alone");
        string[] parts = (given ?? "").Split('|');

        await using ResourceStore store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = parts[0], HistoryWindow = 1_000_000 }, Ct);
        IResourceClient client = store.For(Principal.System);
        await using Stream output = Console.OpenStandardOutput();
        using SemaphoreSlim turn = new(1);
        Task watching = WatchAsync();
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(WriteAsync));
        await watching;

        async Task WriteAsync(int writer)
        {
            for (int i = 0; ; i++)
            {
                TaskResource task = await client.CreateAsync(new TaskResource
                {
                    Metadata = new ObjectMeta { Name = $"t{parts[2]}-{writer}-{i}", Namespace = "ns" },
                    Spec = new TaskSpec { Title = "t", Description = "d" },
                }, Ct);
                await TellAsync($"ACK {task.Metadata.Name} {task.Metadata.ResourceVersion}");
                if (i % 3 == 2)
                {
                    await client.DeleteAsync<TaskResource>(task.Id, null, Ct);
                    await TellAsync($"DEL {task.Metadata.Name}");
                }
            }
        }

        async Task WatchAsync()
        {
            await foreach (WatchEvent<TaskResource> change in client.WatchAsync<TaskResource>(new ResourceQuery(), parts[1], Ct))
                await TellAsync($"SAW {change.Type} {change.Resource.Metadata.ResourceVersion}");
        }

        async Task TellAsync(string line)
        {
            await turn.WaitAsync(Ct);
            try
            {
                await output.WriteAsync(Encoding.ASCII.GetBytes($"\n{line}\n"), Ct);
                await output.FlushAsync(Ct);
            }
            finally
            {
                turn.Release();
            }
        }
    }

    [Fact]
    public async Task G8_kill_9_under_write_load_loses_no_acknowledged_write_and_no_watch_event_is_lost_or_doubled_across_the_reconnects()
    {
        using TemporaryDirectory directory = new();
        string path = directory.At("objects.db");
        Dictionary<string, string> acknowledged = [];
        HashSet<string> deleted = [];
        List<long> seen = [];
        int rounds = Soak.Wanted ? 40 : 3;
        for (int round = 0; round < rounds; round++)
        {
            // Up to here the watcher came in the lives before: there it goes on.
            long from = seen.Count > 0 ? seen[^1] : 0;
            ProcessStartInfo start = new(System.IO.Path.Combine(AppContext.BaseDirectory, "Rynxs.ResourceServer.Tests"),
                ["-method", $"{typeof(KillLoopTests).FullName}.{nameof(Write_and_watch_loop_of_the_kill_test)}"]) { RedirectStandardOutput = true };
            start.Environment[PathVariable] = $"{path}|{from.ToString(CultureInfo.InvariantCulture)}|{round}";
            using Process child = Process.Start(start).ShouldNotBeNull();
            int told = 0;
            while (told < 150 + 37 * (round % 5) && await child.StandardOutput.ReadLineAsync(Ct) is { } line)
                told += Take(line) ? 1 : 0;
            child.Kill();
            await child.WaitForExitAsync(Ct);
            // Lines that were in the pipe when it died were told too; the last may be half.
            foreach (string line in (await child.StandardOutput.ReadToEndAsync(Ct)).Split('\n').SkipLast(1))
                Take(line);
            told.ShouldBeGreaterThan(0, "the child wrote nothing");
        }

        await using ResourceStore store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = path, HistoryWindow = 1_000_000 }, Ct);
        IResourceClient client = store.For(Principal.System);
        ResourceList<TaskResource> left = await client.ListAsync<TaskResource>(new ResourceQuery(), Ct);
        Dictionary<string, string> present = left.Items.ToDictionary(task => task.Metadata.Name, task => task.Metadata.ResourceVersion ?? "");
        deleted.Intersect(present.Keys).ShouldBeEmpty("a deletion that was acknowledged came back");
        foreach ((string name, string version) in acknowledged)
        {
            // A deletion may have been committed and not told.
            if (present.TryGetValue(name, out string? there))
                there.ShouldBe(version, name);
        }

        // The whole history, against what the watchers of all lives saw together: the same versions, each once, in order, without a gap.
        List<long> history = [];
        await foreach (WatchEvent<TaskResource> change in client.WatchAsync<TaskResource>(new ResourceQuery(), "0", Ct))
        {
            history.Add(long.Parse(change.Resource.Metadata.ResourceVersion ?? "", CultureInfo.InvariantCulture));
            if (history[^1] == store.CurrentVersion)
                break;
        }

        seen.ShouldBe(history.TakeWhile(version => version <= seen[^1]));
        acknowledged.Values.Select(version => long.Parse(version, CultureInfo.InvariantCulture)).Except(history).ShouldBeEmpty("an acknowledged write is not in the history");
        acknowledged.Count.ShouldBeGreaterThan(50);

        bool Take(string line)
        {
            switch (line.Split(' '))
            {
                case ["ACK", string name, string version]:
                    acknowledged[name] = version;
                    return true;
                case ["DEL", string name]:
                    deleted.Add(name);
                    return true;
                case ["SAW", "Bookmark", _]:
                    return false;
                case ["SAW", _, string version]:
                    seen.Add(long.Parse(version, CultureInfo.InvariantCulture));
                    return true;
                default:
                    return false;
            }
        }
    }
}
