using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Faults;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Watching;

/// <summary>Watches over HTTP that are cut again and again while others write: every change is seen once, in order.</summary>
public sealed class WatchReconnectTests
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";

    [Fact]
    public async Task No_event_is_lost_or_doubled_over_reconnects_at_random_places_while_others_write()
    {
        const int Watchers = 6;
        int writes = 400 * (Soak.Wanted ? 20 : 1);
        await using ApiServer server = await StartAsync(options => options with { HistoryWindow = 1_000_000, BookmarkInterval = TimeSpan.FromMilliseconds(50) });
        string start = (string?)(await server.JsonAsync("GET", Maps))["metadata"]!["resourceVersion"] ?? "";
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        patience.CancelAfter(TimeSpan.FromMinutes(Soak.Wanted ? 20 : 2));
        List<string> committed = [];

        Task<List<string>>[] watching = [.. Enumerable.Range(0, Watchers).Select(seed => WatchAsync(server, start, "last", new Random(seed), patience.Token))];
        Task writing = Task.WhenAll(Enumerable.Range(0, 4).Select(async writer =>
        {
            for (int i = 0; i < writes / 4; i++)
            {
                string name = $"w{writer}-{i % 7}";
                string body = $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}"},"data":{"v":"{{{i}}}"}}""";
                JsonObject answer = (i % 7, i / 7 % 3) switch
                {
                    (_, 0) => await server.JsonAsync("POST", Maps, body, 201),
                    (_, 1) => await server.JsonAsync("PUT", $"{Maps}/{name}", body),
                    _ => await server.JsonAsync("DELETE", $"{Maps}/{name}"),
                };
                if (answer["metadata"]!["resourceVersion"] is { } version)
                {
                    lock (committed)
                        committed.Add((string?)version ?? "");
                }
            }
        }));
        await writing;
        await server.JsonAsync("POST", Maps, """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"last"}}""", 201);

        List<string>[] seen = await Task.WhenAll(watching);
        foreach (List<string> one in seen)
            one.ShouldBe(seen[0]);
        string[] versions = [.. seen[0].Select(entry => entry.Split(' ')[1])];
        versions.Distinct().Count().ShouldBe(versions.Length);
        versions.Select(long.Parse).ShouldBeInOrder();
        committed.Except(versions).ShouldBeEmpty("what was acknowledged was seen");
        // Deletions answer without their version: all in all there is one event for each write.
        seen[0].Count.ShouldBe(writes / 4 * 4 + 1);
    }

    [Fact]
    public async Task A_watcher_that_falls_behind_memory_reads_the_history_and_one_that_falls_behind_that_is_told()
    {
        await using ApiServer server = await StartAsync(options => options with { HistoryWindow = 3000 });
        string start = (string?)(await server.JsonAsync("GET", Maps))["metadata"]!["resourceVersion"] ?? "";
        for (int i = 0; i < 1500; i++)
        {
            // More than the ring of a feed holds.
            await server.JsonAsync(i == 0 ? "POST" : "PUT", i == 0 ? Maps : $"{Maps}/a", $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"v":"{{{i}}}"}}""", i == 0 ? 201 : 200);
        }

        await server.JsonAsync("POST", Maps, """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"last"}}""", 201);
        (await WatchAsync(server, start, "last", null, Ct)).Count.ShouldBe(1501);
        for (int i = 0; i < 2500; i++)
            await server.JsonAsync("PUT", $"{Maps}/a", $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"v":"x{{{i}}}"}}""");

        string ended = await server.Client.GetStringAsync($"{Maps}?watch=1&resourceVersion={start}", Ct);

        JsonObject error = JsonNode.Parse(ended)!.AsObject(); // one line
        ((string?)error["type"]).ShouldBe("ERROR");
        ((int?)error["object"]!["code"]).ShouldBe(410);
    }

    [Fact]
    public async Task Injected_faults_refuse_delay_drop_cut_and_expire_and_then_the_server_is_itself_again()
    {
        FaultInjector faults = new();
        await using ApiServer server = await StartAsync(api: new ResourceApiOptions { DangerousFaults = faults });
        const string Body = """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}""";

        FaultRule busy = faults.Add(new FaultMatch { Verb = "create", Plural = "configmaps" }, new Fault.Refuse(429, 2), times: 1);
        using (HttpResponseMessage refused = await server.SendAsync("POST", Maps, Body))
        {
            ((int)refused.StatusCode).ShouldBe(429);
            refused.Headers.RetryAfter?.Delta.ShouldBe(TimeSpan.FromSeconds(2));
        }

        busy.Hits.ShouldBe(1);
        faults.Add(new FaultMatch { Verb = "create" }, new Fault.Refuse(500), times: 1);
        await server.JsonAsync("POST", Maps, Body, 500);
        faults.Add(new FaultMatch { Verb = "create" }, new Fault.DropAnswer(), times: 1);
        await Should.ThrowAsync<HttpRequestException>(() => server.SendAsync("POST", Maps, Body));
        await server.JsonAsync("GET", $"{Maps}/a"); // dropped was the answer, not the work
        faults.Add(new FaultMatch { Verb = "update", Name = "a" }, new Fault.Conflict(), times: 1);
        await server.JsonAsync("PUT", $"{Maps}/a", Body, 409);
        await server.JsonAsync("PUT", $"{Maps}/a", Body);

        faults.Add(new FaultMatch { Verb = "watch" }, new Fault.CutWatch(0), times: 1);
        await Should.ThrowAsync<HttpRequestException>(() => server.Client.GetStringAsync($"{Maps}?watch=1&timeoutSeconds=5", Ct));
        faults.Add(new FaultMatch { Verb = "watch" }, new Fault.ExpireWatch(1), times: 1);
        string expired = await server.Client.GetStringAsync($"{Maps}?watch=1&timeoutSeconds=5", Ct);
        expired.ShouldContain("\"type\":\"ADDED\"");
        expired.ShouldContain("\"code\":410");
        (await server.Client.GetStringAsync($"{Maps}?watch=1&timeoutSeconds=1", Ct)).ShouldNotContain("ERROR");
    }

    [Fact]
    public async Task G6_one_watch_too_many_is_429_and_closing_one_makes_room()
    {
        await using ApiServer server = await StartAsync(api: new ResourceApiOptions { MaxWatchesPerPrincipal = 2 });
        HttpResponseMessage first = await server.SendAsync("GET", $"{Maps}?watch=1", headersOnly: true);
        using HttpResponseMessage second = await server.SendAsync("GET", $"{Maps}?watch=1", headersOnly: true);
        second.IsSuccessStatusCode.ShouldBeTrue();

        JsonObject refused = await server.JsonAsync("GET", $"{Maps}?watch=1", expected: 429);
        ((string?)refused["reason"]).ShouldBe("TooManyRequests");
        await server.JsonAsync("GET", Maps); // lists are not watches

        first.Dispose();
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(30));
        while (true)
        {
            using HttpResponseMessage again = await server.SendAsync("GET", $"{Maps}?watch=1&timeoutSeconds=1", headersOnly: true);
            if (again.IsSuccessStatusCode)
                break;
            await Task.Delay(20, patience.Token);
        }
    }

    /// <summary>Follows until an object of the name appears; with a random source, leaves and comes back at random places. Entries are <c>TYPE VERSION NAME</c>.</summary>
    private static async Task<List<string>> WatchAsync(ApiServer server, string from, string until, Random? random, CancellationToken cancellationToken)
    {
        List<string> seen = [];
        while (true)
        {
            using HttpRequestMessage request = new(HttpMethod.Get, $"{Maps}?watch=1&allowWatchBookmarks=true&resourceVersion={from}");
            using HttpResponseMessage response = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            using StreamReader lines = new(await response.Content.ReadAsStreamAsync(cancellationToken));
            int stay = random?.Next(1, 40) ?? int.MaxValue;
            for (int i = 0; i < stay && await lines.ReadLineAsync(cancellationToken) is { } line; i++)
            {
                JsonObject change = JsonNode.Parse(line)!.AsObject(); // a line is an object
                string type = (string?)change["type"] ?? "";
                JsonObject metadata = change["object"]!["metadata"]!.AsObject(); // every event but ERROR has it, and there is none
                from = (string?)metadata["resourceVersion"] ?? "";
                if (type == "BOOKMARK")
                    continue;
                seen.Add($"{type} {from} {metadata["name"]}");
                if ((string?)metadata["name"] == until)
                    return seen;
            }
        }
    }
}
