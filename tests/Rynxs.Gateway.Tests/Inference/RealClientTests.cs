using System.Diagnostics;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference;

namespace Rynxs.Gateway.Tests.Inference;

/// <summary>Unmodified clients from npm stream through the gateway, to an upstream that speaks their API and to one that speaks the other.</summary>
public sealed class RealClientTests
{
    private static readonly System.Text.Json.JsonSerializerOptions Plain = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Theory]
    [InlineData(UpstreamKind.OpenAi)]
    [InlineData(UpstreamKind.LlamaCpp)]
    [InlineData(UpstreamKind.Anthropic)]
    public async Task Openai_client_talks_to_every_kind_of_upstream(UpstreamKind kind)
    {
        await using ModelServer upstream = new(exchange => kind == UpstreamKind.Anthropic ? MessagesAsync(exchange) : ChatAsync(exchange));
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, kind));

        Dictionary<string, string> said = await RunAsync("openai.mjs", $"{host.Url}v1", kind == UpstreamKind.Anthropic ? "no-embeddings" : "");

        said["models"].ShouldBe("""["m"]""");
        said["chat"].ShouldBe("""["hello world",15]""");
        said["chat-stream"].ShouldBe("""["hello world",15]""");
        said["chat-tools"].ShouldBe("""["tool_calls","add","{\"a\":1}"]""");
        said["responses"].ShouldBe("""["hello world",15]""");
        said["responses-stream"].ShouldBe("""["hello world","hello world",15]""");
        said["refused"].ShouldBe("""["NotFoundError",404,"model_not_allowed"]""");
        if (kind != UpstreamKind.Anthropic)
        {
            said["embeddings"].ShouldBe("[0.5,0.25]");
        }
    }

    [Theory]
    [InlineData(UpstreamKind.OpenAi)]
    [InlineData(UpstreamKind.Anthropic)]
    public async Task Anthropic_client_talks_to_both_kinds_of_upstream(UpstreamKind kind)
    {
        await using ModelServer upstream = new(exchange => kind == UpstreamKind.Anthropic ? MessagesAsync(exchange) : ChatAsync(exchange));
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, kind));

        Dictionary<string, string> said = await RunAsync("anthropic.mjs", host.Url.ToString().TrimEnd('/'), "");

        said["models"].ShouldBe("""["m"]""");
        said["messages"].ShouldBe("""["hello world","end_turn",5]""");
        said["messages-stream"].ShouldBe("""["hello world","hello world","end_turn",5]""");
        said["messages-tools"].ShouldBe("""["tool_use","add",{"a":1}]""");
        said["refused"].ShouldBe("""["NotFoundError",404]""");
    }

    /// <summary>An OpenAI-compatible server: streams when asked, calls a tool when asked.</summary>
    private static async Task ChatAsync(Exchange exchange)
    {
        if (exchange.Head.Contains("/embeddings", StringComparison.Ordinal))
        {
            await exchange.JsonAsync(200, """{"object":"list","model":"real","data":[{"object":"embedding","index":0,"embedding":[0.5,0.25]}],"usage":{"prompt_tokens":2,"total_tokens":2}}""");
            return;
        }

        if (exchange.Head.Contains("/responses", StringComparison.Ordinal))
        {
            await ResponsesAsync(exchange);
            return;
        }

        bool tool = exchange.Body.Contains("use a tool", StringComparison.Ordinal);
        if (exchange.Json["stream"]?.GetValue<bool>() != true)
        {
            await exchange.JsonAsync(200, ModelServer.Chat("hello world"));
            return;
        }

        await exchange.BeginStreamAsync();
        await exchange.SendAsync(tool
            ? """
              data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"add","arguments":""}}]},"finish_reason":null}]}

              data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]},"finish_reason":null}]}

              data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":null}]}

              data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}


              """
            : ModelServer.Chunk("hello") + ModelServer.Chunk(" world") + ModelServer.Finish);
        await exchange.SendAsync(ModelServer.UsageChunk() + ModelServer.Done);
    }

    private static async Task ResponsesAsync(Exchange exchange)
    {
        const string Whole = """{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"real","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello world","annotations":[]}]}],"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}}""";
        if (exchange.Json["stream"]?.GetValue<bool>() != true)
        {
            await exchange.JsonAsync(200, Whole);
            return;
        }

        await exchange.BeginStreamAsync();
        await exchange.SendAsync("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"hello world\"}\n\n");
        await exchange.SendAsync($"event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{Whole}}}\n\n");
    }

    /// <summary>A server of the Messages API.</summary>
    private static async Task MessagesAsync(Exchange exchange)
    {
        exchange.Head.ShouldContain("anthropic-version: 2023-06-01");
        bool tool = exchange.Body.Contains("use a tool", StringComparison.Ordinal);
        if (exchange.Json["stream"]?.GetValue<bool>() != true)
        {
            await exchange.JsonAsync(200, """{"id":"msg_1","type":"message","role":"assistant","model":"real","content":[{"type":"text","text":"hello world"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}""");
            return;
        }

        await exchange.BeginStreamAsync();
        await exchange.SendAsync(Event("""{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"real","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}"""));
        await exchange.SendAsync(tool
            ? Event("""{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"add","input":{}}}""")
                + Event("""{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}""")
                + Event("""{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":":1}"}}""")
            : Event("""{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}""")
                + Event("""{"type":"ping"}""")
                + Event("""{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}""")
                + Event("""{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" world"}}"""));
        await exchange.SendAsync(Event("""{"type":"content_block_stop","index":0}""")
            + Event($$$"""{"type":"message_delta","delta":{"stop_reason":"{{{(tool ? "tool_use" : "end_turn")}}}","stop_sequence":null},"usage":{"output_tokens":5}}""")
            + Event("""{"type":"message_stop"}"""));
    }

    private static string Event(string data) => $"event: {JsonNode.Parse(data)!["type"]}\ndata: {data}\n\n";

    private static async Task<Dictionary<string, string>> RunAsync(string script, params string[] arguments)
    {
        string? modules = NodeModules.Find();
        Assert.SkipWhen(modules is null, "The npm clients are not installed; ./test installs them.");
        using TemporaryDirectory directory = new();
        File.Copy(Path.Combine(AppContext.BaseDirectory, "Clients", script), directory.At(script));
        Directory.CreateSymbolicLink(directory.At("node_modules"), modules);
        using Process node = Process.Start(new ProcessStartInfo("node", [directory.At(script), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true }).ShouldNotBeNull();
        Task<string> errors = node.StandardError.ReadToEndAsync();
        string output = await node.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(1));
        await node.WaitForExitAsync();
        node.ExitCode.ShouldBe(0, $"{await errors}\n{output}");
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)
            .ToDictionary(line => line["check"]!.GetValue<string>(), line => line["value"]!.ToJsonString(Plain));
    }
}

/// <summary>The packages of eng/test-tools, where ./test puts them.</summary>
internal static class NodeModules
{
    /// <summary>Their directory; null when they are not installed.</summary>
    public static string? Find()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            string modules = Path.Combine(directory.FullName, "artifacts", "tools", "node", "node_modules");
            if (File.Exists(Path.Combine(modules, "openai", "package.json")) && File.Exists(Path.Combine(modules, "@anthropic-ai", "sdk", "package.json")))
            {
                return modules;
            }
        }

        return null;
    }
}
