using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Bench;

/// <summary>The requests, the same for every server.</summary>
/// <param name="Objects">With which the start is measured.</param>
/// <param name="Watchers">Open watches of one kind.</param>
/// <param name="Seconds">For which they are served.</param>
internal sealed record Workload(int Objects, int Watchers, int Seconds)
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";
    private const int Listed = 10_000;
    private const int WritesPerSecond = 100;

    public static JsonObject Body(string name, string value) => new()
    {
        ["apiVersion"] = "v1",
        ["kind"] = "ConfigMap",
        ["metadata"] = new JsonObject { ["name"] = name, ["labels"] = new JsonObject { ["app"] = "bench" } },
        ["data"] = new JsonObject { ["key"] = value, ["text"] = new string('t', 300) },
    };

    public async Task<Result> RunAsync(string name, Server server)
    {
        Console.WriteLine($"{name}: warming up");
        await TimeAsync(300, i => CreateAsync(server, $"warm-{i}"));
        await TimeAsync(1000, i => GetAsync(server, $"{Maps}/warm-{i % 300}"));
        Console.WriteLine($"{name}: create, get");
        List<double> create = await TimeAsync(1000, i => CreateAsync(server, $"c-{i}"));
        List<double> get = await TimeAsync(3000, i => GetAsync(server, $"{Maps}/c-{i % 1000}"));
        Console.WriteLine($"{name}: filling to {Listed}");
        List<double> concurrent = [];
        await Parallel.ForAsync(1300, Listed, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            long start = Stopwatch.GetTimestamp();
            await CreateAsync(server, $"f-{i}");
            lock (concurrent)
                concurrent.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        });
        await GetAsync(server, Maps);
        List<double> list = await TimeAsync(10, _ => GetAsync(server, Maps));
        Console.WriteLine($"{name}: {Watchers} watchers");
        return await WatchAsync(server, new Result
        {
            Name = name,
            Get = Latency.Of(get),
            Create = Latency.Of(create),
            ConcurrentCreate = Latency.Of(concurrent),
            List = Latency.Of(list),
            Watchers = Watchers,
            WritesPerSecond = 0,
            Events = 0,
            EventsLost = 0,
            WatchCores = 0,
            WatchDelay = new Latency(0, 0),
            RssMegabytes = 0,
        });
    }

    private async Task<Result> WatchAsync(Server server, Result result)
    {
        string version = (string?)JsonNode.Parse(await server.Client.GetStringAsync($"{Maps}?limit=1"))?["metadata"]?["resourceVersion"] ?? "";
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(Seconds + 120));
        TaskCompletionSource<int> expected = new(TaskCreationOptions.RunContinuationsAsynchronously);
        List<double> delays = [];
        int open = 0;
        Task<long>[] watching = [.. Enumerable.Range(0, Watchers).Select(async index =>
        {
            using HttpResponseMessage response = await server.Client.GetAsync($"{Maps}?watch=1&resourceVersion={version}", HttpCompletionOption.ResponseHeadersRead, patience.Token);
            response.EnsureSuccessStatusCode();
            using StreamReader lines = new(await response.Content.ReadAsStreamAsync(patience.Token));
            Interlocked.Increment(ref open);
            HashSet<int> seen = [];
            long wrong = 0;
            while (await lines.ReadLineAsync(patience.Token) is { } line)
            {
                // The value that a write carries is its number and its time; parsing every event as JSON would measure the bench.
                int at = line.IndexOf("\"key\":\"", StringComparison.Ordinal) + 7;
                string[] value = line[at..line.IndexOf('"', at)].Split(' ');
                int number = int.Parse(value[0], System.Globalization.CultureInfo.InvariantCulture);
                wrong += seen.Add(number) ? 0 : 1;
                if (index % 50 == 0)
                {
                    double delay = Stopwatch.GetElapsedTime(long.Parse(value[1], System.Globalization.CultureInfo.InvariantCulture)).TotalMilliseconds;
                    lock (delays)
                        delays.Add(delay);
                }

                if (expected.Task is { IsCompletedSuccessfully: true, Result: var total } && seen.Count >= total)
                    return wrong;
                if (number == int.MaxValue)
                    return wrong + (await expected.Task - seen.Count);
            }

            return wrong + 1;
        })];
        while (Volatile.Read(ref open) < Watchers)
            await Task.Delay(50, patience.Token);

        TimeSpan before = server.ProcessorTime();
        long start = Stopwatch.GetTimestamp();
        int writes = 0;
        using PeriodicTimer beat = new(TimeSpan.FromSeconds(1.0 / WritesPerSecond));
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(Seconds) && await beat.WaitForNextTickAsync(patience.Token))
        {
            // The beat falls behind on a busy machine: writes are caught up with, so that the rate is what it says.
            for (int due = (int)(Stopwatch.GetElapsedTime(start).TotalSeconds * WritesPerSecond); writes < due; writes++)
                await PutAsync(server, writes);
        }

        double wall = Stopwatch.GetElapsedTime(start).TotalSeconds;
        TimeSpan used = server.ProcessorTime() - before;
        expected.SetResult(writes + 1);
        await PutAsync(server, int.MaxValue);
        long[] wrong = await Task.WhenAll(watching);
        return result with
        {
            WritesPerSecond = writes / wall,
            Events = (long)(writes + 1) * Watchers,
            EventsLost = wrong.Sum(),
            WatchCores = used.TotalSeconds / wall,
            WatchDelay = Latency.Of(delays),
            RssMegabytes = server.Rss(),
        };
    }

    private static async Task<List<double>> TimeAsync(int count, Func<int, Task> act)
    {
        List<double> milliseconds = [];
        for (int i = 0; i < count; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await act(i);
            milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        return milliseconds;
    }

    private static async Task GetAsync(Server server, string path)
    {
        using HttpResponseMessage response = await server.Client.GetAsync(path);
        response.EnsureSuccessStatusCode();
        await response.Content.CopyToAsync(Stream.Null);
    }

    private static async Task CreateAsync(Server server, string name)
    {
        using StringContent content = new(Body(name, "x").ToJsonString(), Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await server.Client.PostAsync(Maps, content);
        response.EnsureSuccessStatusCode();
    }

    private static async Task PutAsync(Server server, int number)
    {
        using StringContent content = new(Body("c-0", $"{number} {Stopwatch.GetTimestamp()}").ToJsonString(), Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await server.Client.PutAsync($"{Maps}/c-0", content);
        response.EnsureSuccessStatusCode();
    }
}
