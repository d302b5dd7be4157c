using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Hostile;

/// <summary>Clients that take their time (G6): they are cut off, and cost the others nothing.</summary>
public sealed class SlowClientTests
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Generous = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task G6_heads_and_bodies_that_never_end_are_cut_off_while_others_are_served_and_one_that_comes_in_pieces_is_served()
    {
        await using ApiServer server = await StartAsync(patience: Patience);
        List<RawClient> slow = [];
        for (int i = 0; i < 100; i++)
        {
            RawClient client = await RawClient.ConnectAsync(server);
            await client.SendAsync(i % 2 == 0
                ? $"GET {Maps} HTTP/1.1\r\nHost: x\r\nX-A: "
                : $"POST {Maps} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{");
            slow.Add(client);
        }

        using RawClient pieces = await RawClient.ConnectAsync(server);
        const string Body = """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"pieces"}}""";
        await pieces.SendAsync($"POST {Maps} HTTP/1.1\r\nHost: x\r\nContent-Type: app");
        await server.JsonAsync("GET", Maps); // others are served
        await pieces.SendAsync($"lication/json\r\nContent-Length: {Body.Length}\r\n\r\n{Body[..10]}");
        await server.JsonAsync("GET", Maps);
        await pieces.SendAsync(Body[10..]);
        (await pieces.StatusLineAsync()).ShouldBe("HTTP/1.1 201 Created", "positive control");

        string[] ends = await Task.WhenAll(slow.Select(client => client.ReadToEndAsync(Generous)));

        ends.Where((_, index) => index % 2 == 0).ShouldAllBe(text => text.StartsWith("HTTP/1.1 408", StringComparison.Ordinal) || text.Length == 0);
        ends.Where((_, index) => index % 2 == 1).ShouldAllBe(text => !text.StartsWith("HTTP/1.1 2", StringComparison.Ordinal));
        (await server.JsonAsync("GET", Maps))["items"]!.AsArray().Count.ShouldBe(1); // the one that came in pieces
        slow.ForEach(client => client.Dispose());
    }

    [Fact]
    public async Task G6_a_client_that_never_reads_its_watch_loses_its_connection_and_its_place_and_another_watcher_loses_nothing()
    {
        const int Objects = 60;
        await using ApiServer server = await StartAsync(api: new ResourceApiOptions { MaxWatchesPerPrincipal = 2, WatchSendTimeout = Patience }, patience: Patience);
        string start = (string?)(await server.JsonAsync("GET", Maps))["metadata"]!["resourceVersion"] ?? "";
        using RawClient deaf = await RawClient.ConnectAsync(server, receiveBuffer: 4096);
        await deaf.SendAsync($"GET {Maps}?watch=1&resourceVersion={start} HTTP/1.1\r\nHost: x\r\n\r\n");
        using HttpResponseMessage reader = await server.SendAsync("GET", $"{Maps}?watch=1&resourceVersion={start}", headersOnly: true);
        using StreamReader lines = new(await reader.Content.ReadAsStreamAsync(Ct));
        await server.JsonAsync("GET", $"{Maps}?watch=1", expected: 429); // both have their places

        // Far more than the buffers of the two ends of a connection hold.
        string large = new('x', 700_000);
        Task writing = WriteAsync();
        for (int i = 0; i < Objects; i++)
            ((string?)JsonNode.Parse(await lines.ReadLineAsync(Ct) ?? "")!["object"]!["metadata"]!["name"]).ShouldBe($"large-{i}");
        await writing;

        using CancellationTokenSource patience = new(Generous);
        while (true)
        {
            using HttpResponseMessage again = await server.SendAsync("GET", $"{Maps}?watch=1&timeoutSeconds=1&resourceVersion={start}", headersOnly: true);
            if (again.IsSuccessStatusCode)
                break;
            await Task.Delay(50, patience.Token);
        }

        Encoding.UTF8.GetByteCount(await deaf.ReadToEndAsync(Generous)).ShouldBeLessThan(Objects * large.Length, "it was cut off, and not served to the end");

        async Task WriteAsync()
        {
            for (int i = 0; i < Objects; i++)
                await server.JsonAsync("POST", Maps, $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large-{{{i}}}"},"data":{"k":"{{{large}}}"}}""", 201);
        }
    }
}
