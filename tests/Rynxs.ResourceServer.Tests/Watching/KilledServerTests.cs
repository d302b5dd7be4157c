using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Watching;

/// <summary>
/// kill -9 of a server under write load (G8), seen from outside, over HTTP: clients that write and know what was acknowledged, and a client whose watch is cut by
/// each death and goes on from its last resourceVersion at the next life.
/// </summary>
public sealed class KilledServerTests
{
    private const string PathVariable = "RYNXS_TEST_KILLED_SERVER";
    private const string Maps = "/api/v1/namespaces/default/configmaps";
    private const int Writers = 4;

    /// <summary>The child of the kill test is this test, run alone by this executable.</summary>
    [Fact]
    public async Task Server_of_the_kill_test()
    {
        string? path = Environment.GetEnvironmentVariable(PathVariable);
        Assert.SkipUnless(path is { Length: > 0 }, "runs in the child process of the kill test alone");
        await using ApiServer server = await StartAsync(options => options with { Path = path ?? "", HistoryWindow = 1_000_000, BookmarkInterval = TimeSpan.FromMilliseconds(100) });
        await using Stream output = Console.OpenStandardOutput();
        await output.WriteAsync(Encoding.ASCII.GetBytes($"\nPORT {server.Port}\n"), Ct);
        await output.FlushAsync(Ct);
        await Task.Delay(Timeout.InfiniteTimeSpan, Ct);
    }

    [Fact]
    public async Task G8_over_deaths_of_the_server_no_acknowledged_write_is_lost_and_the_watch_of_a_client_misses_and_doubles_nothing()
    {
        using TemporaryDirectory directory = new();
        string path = directory.At("objects.db");
        Random random = new(Soak.Wanted ? Environment.TickCount : 11);
        ConcurrentDictionary<string, long> acknowledged = new();
        ConcurrentBag<string> deleted = [];
        List<long> seen = [];
        long start = -1;
        long life = 0;
        int rounds = Soak.Wanted ? 100 : 3;
        for (int round = 0; round < rounds; round++)
        {
            using Process child = Process.Start(Child(path)).ShouldNotBeNull();
            int port = await PortAsync(child);
            using HttpClient client = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
            if (start < 0)
                start = Version(JsonNode.Parse(await client.GetStringAsync(Maps, Ct)));
            long from = seen.Count > 0 ? seen[^1] : start;
            int before = acknowledged.Count;
            Task watching = WatchAsync(client, from, seen);
            Task[] writing = [.. Enumerable.Range(0, Writers).Select(writer => WriteAsync(client, $"r{round}-{writer}", acknowledged, deleted))];
            while (acknowledged.Count < before + 60 && !child.HasExited)
                await Task.Delay(10, Ct);
            await Task.Delay(random.Next(Soak.Wanted ? 1500 : 150), Ct);
            child.Kill();
            await child.WaitForExitAsync(Ct);
            await Task.WhenAll([watching, .. writing]);
            life += acknowledged.Count - before;
        }

        // The last life: everything that was ever committed, against what the client saw in all lives together and after them.
        await using ApiServer server = await StartAsync(options => options with { Path = path, HistoryWindow = 1_000_000 });
        await WatchAsync(server.Client, seen[^1], seen, until: server.Store.CurrentVersion);
        List<long> history = [];
        await WatchAsync(server.Client, start, history, until: server.Store.CurrentVersion);
        seen.ShouldBe(history, "each change once, in order");
        acknowledged.Values.Except(history).ShouldBeEmpty("an acknowledged write is not in the history");

        HashSet<string> present = [];
        string next = "";
        do
        {
            JsonObject page = await server.JsonAsync("GET", $"{Maps}?limit=500&continue={next}");
            present.UnionWith(page["items"]!.AsArray().Select(item => (string?)item!["metadata"]!["name"] ?? ""));
            next = (string?)page["metadata"]!["continue"] ?? "";
        }
        while (next.Length > 0);

        deleted.Intersect(present).ShouldBeEmpty("a deletion that was acknowledged came back");
        // A deletion may have been committed and not told; all else that was told to be there is there.
        acknowledged.Keys.Where(name => !name.EndsWith("-gone", StringComparison.Ordinal)).Except(present).ShouldBeEmpty("an acknowledged object is lost");
        life.ShouldBeGreaterThanOrEqualTo(rounds * 30, "positive control: it was under load");
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{rounds} deaths, {acknowledged.Count} acknowledged creations, {deleted.Count} acknowledged deletions, {seen.Count} watch events: none lost, none doubled");
    }

    private static ProcessStartInfo Child(string path)
    {
        ProcessStartInfo start = new(System.IO.Path.Combine(AppContext.BaseDirectory, "Rynxs.ResourceServer.Tests"),
            ["-method", $"{typeof(KilledServerTests).FullName}.{nameof(Server_of_the_kill_test)}"]) { RedirectStandardOutput = true };
        start.Environment[PathVariable] = path;
        return start;
    }

    private static async Task<int> PortAsync(Process child)
    {
        while (await child.StandardOutput.ReadLineAsync(Ct) is { } line)
        {
            if (line.StartsWith("PORT ", StringComparison.Ordinal))
                return int.Parse(line[5..], CultureInfo.InvariantCulture);
        }

        throw new InvalidOperationException("the child told no port");
    }

    /// <summary>Creates, and deletes one of three, until the server is gone. What ends in -gone is what it deletes.</summary>
    private static async Task WriteAsync(HttpClient client, string prefix, ConcurrentDictionary<string, long> acknowledged, ConcurrentBag<string> deleted)
    {
        try
        {
            for (int i = 0; ; i++)
            {
                string name = $"{prefix}-{i}{(i % 3 == 2 ? "-gone" : "")}";
                using StringContent body = new($$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}"}}""", Encoding.UTF8, "application/json");
                using HttpResponseMessage made = await client.PostAsync(Maps, body, Ct);
                string answer = await made.Content.ReadAsStringAsync(Ct);
                ((int)made.StatusCode).ShouldBe(201, answer);
                acknowledged[name] = Version(JsonNode.Parse(answer));
                if (i % 3 != 2)
                    continue;
                using HttpResponseMessage gone = await client.DeleteAsync($"{Maps}/{name}", Ct);
                ((int)gone.StatusCode).ShouldBe(200);
                await gone.Content.ReadAsStringAsync(Ct);
                deleted.Add(name);
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // Killed. What was sent and not answered may be committed or not.
        }
    }

    /// <summary>Adds the version of every change, until the server is gone or the version was seen. A line that was cut off is no line.</summary>
    private static async Task WatchAsync(HttpClient client, long from, List<long> seen, long until = long.MaxValue)
    {
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Get, $"{Maps}?watch=1&allowWatchBookmarks=true&resourceVersion={from}");
            using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Ct);
            using StreamReader lines = new(await response.Content.ReadAsStreamAsync(Ct));
            while (from < until && await lines.ReadLineAsync(Ct) is { } line)
            {
                if (!line.EndsWith("}}", StringComparison.Ordinal))
                    continue;
                JsonObject change = JsonNode.Parse(line).ShouldBeOfType<JsonObject>();
                from = Version(change["object"]);
                string type = (string?)change["type"] ?? "";
                type.ShouldNotBe("ERROR", line);
                if (type != "BOOKMARK")
                    seen.Add(from);
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // Killed.
        }
    }

    private static long Version(JsonNode? document) => long.Parse((string?)document?["metadata"]?["resourceVersion"] ?? "", CultureInfo.InvariantCulture);
}
