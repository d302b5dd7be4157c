using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Hostile;

/// <summary>Requests that are too large, too deep or no text (G3, G6): each is refused in words, and its like that is none is taken.</summary>
public sealed class HostileBodyTests
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";

    [Fact]
    public async Task G6_bodies_and_heads_beyond_their_bounds_are_refused_by_what_they_say_and_by_what_they_send()
    {
        await using ApiServer server = await StartAsync();
        using (RawClient says = await RawClient.ConnectAsync(server))
        {
            await says.SendAsync($"POST {Maps} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20000000000\r\n\r\n");
            (await says.StatusLineAsync()).ShouldStartWith("HTTP/1.1 413");
        }

        // Says nothing of its length, and goes on and on.
        using (HttpRequestMessage request = new(HttpMethod.Post, Maps) { Content = new StreamContent(new Endless()) })
        {
            request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
            request.Headers.TransferEncodingChunked = true;
            HttpStatusCode? answered = null;
            try
            {
                using HttpResponseMessage response = await server.Client.SendAsync(request, Ct);
                answered = response.StatusCode;
            }
            catch (HttpRequestException)
            {
                // The connection was ended while it was still sending: refused as well.
            }

            answered.ShouldBeOneOf(null, HttpStatusCode.RequestEntityTooLarge);
        }

        string nearly = new('x', 1_000_000);
        await server.JsonAsync("POST", Maps, $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large"},"data":{"k":"{{{nearly}}}"}}""", 201);
        await server.JsonAsync("PUT", $"{Maps}/large", $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large"},"data":{"k":"{{{new string('x', 4_000_000)}}}"}}""", 413);

        foreach ((int length, string expected) in ((int, string)[])[(40_000, "HTTP/1.1 431"), (16_000, "HTTP/1.1 200")])
        {
            using RawClient client = await RawClient.ConnectAsync(server);
            await client.SendAsync($"GET {Maps}?limit=1 HTTP/1.1\r\nHost: x\r\nX-Long: {new string('y', length)}\r\nConnection: close\r\n\r\n");
            (await client.StatusLineAsync()).ShouldStartWith(expected);
        }
    }

    [Fact]
    public async Task G6_compressed_bodies_whole_cut_and_a_bomb_are_refused_without_being_unpacked()
    {
        await using ApiServer server = await StartAsync();
        byte[] body = Encoding.UTF8.GetBytes("""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"packed"}}""");
        byte[] bomb = Gzip(new byte[200_000_000]);
        bomb.Length.ShouldBeLessThan(3_000_000, "small enough to be taken as a body");
        long before = GC.GetTotalAllocatedBytes();
        foreach (byte[] packed in (byte[][])[Gzip(body), Gzip(body)[..30], bomb])
        {
            using HttpRequestMessage request = new(HttpMethod.Post, Maps) { Content = new ByteArrayContent(packed) };
            request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
            request.Content.Headers.TryAddWithoutValidation("Content-Encoding", "gzip");
            using HttpResponseMessage response = await server.Client.SendAsync(request, Ct);
            response.StatusCode.ShouldBe(HttpStatusCode.UnsupportedMediaType);
            (await response.Content.ReadAsStringAsync(Ct)).ShouldContain("Content-Encoding");
        }

        (GC.GetTotalAllocatedBytes() - before).ShouldBeLessThan(50_000_000);
        await server.JsonAsync("POST", Maps, Encoding.UTF8.GetString(body), 201); // positive control: not packed, it is taken
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("application/yaml")]
    public async Task G3_depth_without_end_is_refused_and_depth_that_people_write_comes_back_as_it_was(string type)
    {
        await using ApiServer server = await StartAsync();
        await server.JsonAsync("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Anything, 201);
        await server.JsonAsync("POST", "/apis/example.com/v1/anythings", Nested("deep", 100_000), 400, type);
        await server.JsonAsync("POST", "/apis/example.com/v1/anythings", Nested("shallow", 40), 201, type);

        JsonNode? value = (await GetDeepAsync(server, "/apis/example.com/v1/anythings/shallow"))["spec"];
        for (int i = 0; i < 40; i++)
            value = value!["a"];
        ((string?)value).ShouldBe("end");

        // By a patch the document grows level by level, past what one body may have: it is refused before it cannot be read any more.
        int refused = 0;
        for (int i = 0; i < 12 && refused == 0; i++)
        {
            string path = "/spec" + string.Concat(Enumerable.Repeat("/a", 40 * (i + 1)));
            string patch = $$"""[{"op":"add","path":"{{path}}","value":{{NestedValue(40)}}}]""";
            using HttpResponseMessage response = await server.SendAsync("PATCH", "/apis/example.com/v1/anythings/shallow", patch, "application/json-patch+json");
            ((int)response.StatusCode).ShouldBeOneOf(200, 400, 413, 422);
            refused = (int)response.StatusCode == 200 ? 0 : (int)response.StatusCode;
        }

        refused.ShouldBeGreaterThan(0, "it cannot grow for ever");
        await GetDeepAsync(server, "/apis/example.com/v1/anythings/shallow");
        (await GetDeepAsync(server, "/apis/example.com/v1/anythings"))["items"]!.AsArray().Count.ShouldBe(1);
        await server.JsonAsync("DELETE", "/apis/example.com/v1/anythings/shallow");
    }

    [Fact]
    public async Task G3_bytes_that_are_no_text_are_refused_and_text_of_every_plane_comes_back_as_it_was()
    {
        await using ApiServer server = await StartAsync();
        byte[] start = """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"t"},"data":{"k":"""u8.ToArray();
        byte[][] wrong =
        [
            [.. start, .. "\""u8, 0xff, .. "\"}}"u8],
            [.. start, .. "\""u8, 0xc3, .. "\"}}"u8],
            [.. start, .. "\""u8, 0xed, 0xa0, 0x80, .. "\"}}"u8],
            [.. start, .. "\"\\ud800\"}}"u8],
            [.. start, .. "\"a\",\""u8, 0xfe, .. "\":\"b\"}}"u8],
            [.. start, .. "\"a\",\"\\udc00\":\"b\"}}"u8],
        ];
        foreach (string type in (string[])["application/json", "application/yaml"])
        {
            foreach (byte[] body in wrong)
            {
                using HttpRequestMessage request = new(HttpMethod.Post, Maps) { Content = new ByteArrayContent(body) };
                request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
                using HttpResponseMessage response = await server.Client.SendAsync(request, Ct);
                response.StatusCode.ShouldBe(HttpStatusCode.BadRequest, $"{type}: {Convert.ToHexString(body)}");
                ((string?)JsonNode.Parse(await response.Content.ReadAsStringAsync(Ct))!["kind"]).ShouldBe("Status");
            }
        }

        const string Text = "ä € 𝄞 \u0000 \u001f \u2028 \"";
        JsonObject good = new() { ["apiVersion"] = "v1", ["kind"] = "ConfigMap", ["metadata"] = new JsonObject { ["name"] = "t" }, ["data"] = new JsonObject { ["k"] = Text } };
        await server.JsonAsync("POST", Maps, good.ToJsonString(), 201);
        ((string?)(await server.JsonAsync("GET", $"{Maps}/t"))["data"]!["k"]).ShouldBe(Text);
    }

    private static async Task<JsonObject> GetDeepAsync(ApiServer server, string path) =>
        JsonNode.Parse(await server.Client.GetStringAsync(path, Ct), documentOptions: new System.Text.Json.JsonDocumentOptions { MaxDepth = 1000 }).ShouldBeOfType<JsonObject>();

    private const string Anything = """
        {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"anythings.example.com"},"spec":{"group":"example.com","scope":"Cluster",
        "names":{"plural":"anythings","kind":"Anything"},"versions":[{"name":"v1","served":true,"storage":true,
        "schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}
        """;

    private static string Nested(string name, int depth) =>
        $$$"""{"apiVersion":"example.com/v1","kind":"Anything","metadata":{"name":"{{{name}}}"},"spec":{{{NestedValue(depth)}}}}""";

    private static string NestedValue(int depth) => string.Concat(Enumerable.Repeat("{\"a\":", depth)) + "\"end\"" + new string('}', depth);

    private static byte[] Gzip(byte[] plain)
    {
        using MemoryStream output = new();
        using (GZipStream gzip = new(output, CompressionLevel.Fastest))
            gzip.Write(plain);
        return output.ToArray();
    }

    /// <summary>Spaces without end, which JSON allows.</summary>
    private sealed class Endless : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            buffer.AsSpan(offset, count).Fill((byte)' ');
            return count;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
