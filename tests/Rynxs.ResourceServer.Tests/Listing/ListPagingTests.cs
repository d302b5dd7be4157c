using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Listing;

/// <summary>Pages of one list agree with each other, whatever is written between them.</summary>
public sealed class ListPagingTests
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";

    [Fact]
    public async Task The_pages_of_a_list_show_the_objects_as_they_were_when_it_began_whatever_is_written_between_them()
    {
        await using ApiServer server = await StartAsync();
        Random random = new(20261122);
        SortedDictionary<string, string> present = [];
        for (int round = 0; round < 12 * Soak.Count(1); round++)
        {
            for (int i = 0; i < 12; i++)
                await WriteAsync();
            string[] expected = [.. present.Select(entry => $"{entry.Key}={entry.Value}")];
            int limit = random.Next(1, 6);
            List<string> seen = [];
            string? token = null;
            string? version = null;
            do
            {
                JsonObject page = await server.JsonAsync("GET", $"{Maps}?limit={limit}{(token is null ? "" : $"&continue={token}")}");
                JsonObject metadata = page["metadata"]!.AsObject(); // a list has metadata
                version ??= (string?)metadata["resourceVersion"];
                ((string?)metadata["resourceVersion"]).ShouldBe(version);
                seen.AddRange(page["items"]!.AsArray().Select(item => $"{item!["metadata"]!["name"]}={item["data"]!["v"]}")); // as made below
                token = (string?)metadata["continue"];
                long remaining = (long?)metadata["remainingItemCount"] ?? 0;
                remaining.ShouldBe(expected.Length - seen.Count);
                await WriteAsync();
                await WriteAsync();
            }
            while (token is not null);

            seen.ShouldBe(expected);
            JsonObject exact = await server.JsonAsync("GET", $"{Maps}?resourceVersion={version}&resourceVersionMatch=Exact");
            exact["items"]!.AsArray().Select(item => $"{item!["metadata"]!["name"]}={item["data"]!["v"]}").ShouldBe(expected);
        }

        async Task WriteAsync()
        {
            string name = $"m{random.Next(20):00}";
            string value = $"{random.Next(1000)}";
            string body = $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}"},"data":{"v":"{{{value}}}"}}""";
            if (!present.ContainsKey(name))
            {
                await server.JsonAsync("POST", Maps, body, 201);
                present[name] = value;
            }
            else if (random.Next(3) == 0)
            {
                await server.JsonAsync("DELETE", $"{Maps}/{name}");
                present.Remove(name);
            }
            else
            {
                await server.JsonAsync("PUT", $"{Maps}/{name}", body);
                present[name] = value;
            }
        }
    }

    [Fact]
    public async Task A_page_whose_version_left_the_history_is_410_with_a_token_that_goes_on()
    {
        await using ApiServer server = await StartAsync(options => options with { HistoryWindow = 10 });
        for (int i = 0; i < 6; i++)
            await MakeAsync(server, $"a{i}");
        JsonObject first = await server.JsonAsync("GET", $"{Maps}?limit=2");
        for (int i = 0; i < 30; i++)
            await MakeAsync(server, $"b{i:00}");

        JsonObject gone = await server.JsonAsync("GET", $"{Maps}?limit=2&continue={first["metadata"]!["continue"]}", expected: 410);

        ((string?)gone["reason"]).ShouldBe("Expired");
        JsonObject rest = await server.JsonAsync("GET", $"{Maps}?limit=2&continue={gone["metadata"]!["continue"]}");
        rest["items"]!.AsArray().Select(item => (string?)item!["metadata"]!["name"]).ShouldBe(["a2", "a3"]);
    }

    [Fact]
    public async Task G6_selectors_tokens_and_options_of_any_text_are_answered_with_a_status_and_never_with_500_or_a_trace()
    {
        await using ApiServer server = await StartAsync();
        await MakeAsync(server, "a");
        string[] seeds = ["a=b", "a in (b,c),!d", "metadata.name=a", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvYVx1MDAwMCJ9", "Exact", "0", "-1", "99999999999999999999", "true"];
        string[] options = ["labelSelector", "fieldSelector", "continue", "resourceVersion", "resourceVersionMatch", "limit", "timeoutSeconds", "sendInitialEvents"];
        Gen<string> text = Gen.OneOf(
            Gen.Elements(seeds).SelectMany(seed => Gen.Choose(0, seed.Length).SelectMany(at => Gen.Elements("", "=", "(", ")", ",", "!", "\\", "\0", "é", "/", "..", "%", "\"").Select(extra => seed.Insert(at, extra)))),
            ArbMap.Default.GeneratorFor<string>().Select(value => value ?? ""));
        Gen<(string, string)> cases = Gen.Elements(options).SelectMany(option => text.Select(value => (option, value)));
        foreach ((string option, string value) in cases.Sample(40, Soak.Count(150)))
        {
            string safe = Uri.EscapeDataString(new string([.. value.Where(c => !char.IsSurrogate(c))]));
            using HttpResponseMessage response = await server.SendAsync("GET", $"{Maps}?{option}={safe}&limit=5".Replace("limit=5&limit", "limit", StringComparison.Ordinal));
            string answer = await response.Content.ReadAsStringAsync(Ct);
            JsonObject body = JsonNode.Parse(answer).ShouldBeOfType<JsonObject>($"{option}={value}");
            if (!response.IsSuccessStatusCode)
            {
                ((string?)body["kind"]).ShouldBe("Status", $"{option}={value}");
                // The one 500 that the real server gives for a bad value too, with a message that names the field.
                bool known = (string?)body["message"] is { } message && message.StartsWith("resourceVersion: Invalid value", StringComparison.Ordinal);
                ((int)response.StatusCode).ShouldBe(known ? 500 : (int)response.StatusCode is var code && code < 500 || code == 504 ? code : 400, $"{option}={value}: {answer}");
            }

            answer.ShouldNotContain("   at ");
        }
    }

    private static Task<JsonObject> MakeAsync(ApiServer server, string name) =>
        server.JsonAsync("POST", Maps, $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{name}}}"},"data":{"v":"1"}}""", 201);
}
