using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Agents.Providers;
using Rynxs.Agents.Tools;

namespace Rynxs.Agents.Tests.Providers;

public sealed class OpenAiProviderTests : IAsyncLifetime
{
    private const string Answer = """{"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}""";

    private FakeChatServer _server = null!; // Set by InitializeAsync, which xunit calls first.

    public async ValueTask InitializeAsync() => _server = await FakeChatServer.StartAsync();

    public async ValueTask DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task A_stream_is_put_together_with_its_calls_and_usage()
    {
        _server.Stream(
            """{"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":"Let "}}]}""",
            """{"choices":[{"index":0,"delta":{"content":"me."}}]}""",
            """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"fs_read","arguments":"{\"pa"}}]}}]}""",
            """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"made_up","arguments":"not json"}}]}}]}""",
            """{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"th\":\"x\"}"}}]}}]}""",
            """{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}""",
            """{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":7}}""",
            "[DONE]");

        ModelReply reply = await AskAsync();

        reply.Text.ShouldBe("Let me.");
        reply.Calls.ShouldBe([("fs.read", """{"path":"x"}"""), ("made_up", "not json")]);
        (reply.Model, reply.PromptTokens, reply.CompletionTokens).ShouldBe(("m-1", 12, 7));
    }

    [Fact]
    public async Task The_request_is_what_the_protocol_says()
    {
        _server.Body(Answer);

        await AskAsync(
            new ConversationTurn.User("hello"),
            new ConversationTurn.Assistant(null, [new ToolRequest("m/1/0", "fs.read", "{}")]),
            new ConversationTurn.Tool("m/1/0", "fs.read", true, "content"));

        _server.Requests.TryDequeue(out (string? Authorization, JsonElement Body) request).ShouldBeTrue();
        request.Authorization.ShouldBe("Bearer sk-very-secret");
        request.Body.GetProperty("stream_options").GetProperty("include_usage").GetBoolean().ShouldBeTrue();
        request.Body.GetProperty("messages").EnumerateArray().Select(message => message.GetProperty("role").GetString()).ShouldBe(["system", "user", "assistant", "tool"]);
        request.Body.GetProperty("messages")[2].GetProperty("tool_calls")[0].GetProperty("function").GetProperty("name").GetString().ShouldBe("fs_read");
        JsonElement function = request.Body.GetProperty("tools")[0].GetProperty("function");
        function.GetProperty("name").GetString().ShouldBe("fs_read");
        function.GetProperty("parameters").GetProperty("required")[0].GetString().ShouldBe("path");
    }

    [Theory]
    [InlineData(HttpStatusCode.RequestTimeout)]
    [InlineData(HttpStatusCode.Conflict)]
    [InlineData(HttpStatusCode.TooManyRequests)]
    [InlineData(HttpStatusCode.BadGateway)]
    public async Task What_may_pass_is_tried_again(HttpStatusCode status)
    {
        _server.Fail(status);
        _server.Body(Answer);

        (await AskAsync()).Text.ShouldBe("hi");
        _server.Requests.Count.ShouldBe(2);
    }

    [Theory]
    [InlineData(HttpStatusCode.Unauthorized)]
    [InlineData(HttpStatusCode.BadRequest)]
    [InlineData(HttpStatusCode.TemporaryRedirect)]
    public async Task What_will_not_pass_is_not_tried_again_and_no_body_leaks(HttpStatusCode status)
    {
        _server.Fail(status, "Location", "http://127.0.0.1:9/steal");

        ModelProviderException failed = await Should.ThrowAsync<ModelProviderException>(AskAsync());

        failed.Code.ShouldBe("model_refused");
        failed.Message.ShouldNotContain("sk-very-secret");
        _server.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Retry_after_is_bounded()
    {
        _server.Fail(HttpStatusCode.TooManyRequests, "Retry-After", "86400");
        _server.Body(Answer);

        (await AskAsync()).Text.ShouldBe("hi");
    }

    [Fact]
    public async Task Retries_end()
    {
        for (int i = 0; i < 10; i++)
        {
            _server.Fail(HttpStatusCode.InternalServerError);
        }

        (await Should.ThrowAsync<ModelProviderException>(AskAsync())).Code.ShouldBe("model_unavailable");
        _server.Requests.Count.ShouldBe(3);
    }

    [Fact]
    public async Task A_stream_that_breaks_off_is_no_answer()
    {
        string half = """{"choices":[{"index":0,"delta":{"content":"hal"}}]}""";
        _server.Stream(half);
        _server.Add(context =>
        {
            context.Abort();
            return Task.CompletedTask;
        });
        _server.Stream("{nonsense");

        (await Should.ThrowAsync<ModelProviderException>(AskAsync())).Code.ShouldBe("model_protocol");
        _server.Requests.Count.ShouldBe(3);
    }

    [Fact]
    public async Task An_endless_answer_is_cut_off()
    {
        _server.Add(async context =>
        {
            context.Response.ContentType = "text/event-stream";
            string chunk = $$$"""data: {"choices":[{"index":0,"delta":{"content":"{{{new string('x', 60_000)}}}"}}]}""" + "\n\n";
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.WriteAsync(chunk, context.RequestAborted);
            }
        });

        (await Should.ThrowAsync<ModelProviderException>(AskAsync())).Message.ShouldContain("larger than allowed");
    }

    [Fact]
    public async Task A_silent_server_times_out()
    {
        _server.Add(async context => await Task.Delay(Timeout.Infinite, context.RequestAborted));

        ModelProviderException failed = await Should.ThrowAsync<ModelProviderException>(
            AskAsync(Provider(_options with { Timeout = TimeSpan.FromMilliseconds(300), MaxRetries = 0, BaseUrl = _server.BaseUrl })));

        failed.Code.ShouldBe("model_timeout");
    }

    [Fact]
    public async Task A_missing_key_sends_nothing()
    {
        using var provider = new OpenAiProvider(
            _options with { BaseUrl = _server.BaseUrl }, _ => ValueTask.FromResult<string?>(null), null, TimeProvider.System, NullLogger.Instance);

        (await Should.ThrowAsync<ModelProviderException>(AskAsync(provider))).Code.ShouldBe("secret_missing");
        _server.Requests.ShouldBeEmpty();
    }

    private readonly OpenAiOptions _options = new()
    {
        BaseUrl = new Uri("http://127.0.0.1/"),
        Model = "m",
        MaxRetries = 2,
        BaseDelay = TimeSpan.FromMilliseconds(5),
        MaxDelay = TimeSpan.FromMilliseconds(50),
        MaxResponseBytes = 256 * 1024,
    };

    private static OpenAiProvider Provider(OpenAiOptions options) =>
        new(options, _ => ValueTask.FromResult<string?>("sk-very-secret"), null, TimeProvider.System, NullLogger.Instance);

    private async Task<ModelReply> AskAsync(params ConversationTurn[] turns)
    {
        using OpenAiProvider provider = Provider(_options with { BaseUrl = _server.BaseUrl });
        return await AskAsync(provider, turns);
    }

    private static async Task<ModelReply> AskAsync(OpenAiProvider provider, params ConversationTurn[] turns) =>
        await provider.CompleteAsync(
            new ModelRequest(
                turns.Length > 0 ? turns : [new ConversationTurn.User("hello")],
                [new ToolDefinition("fs.read", "Reads.", [new ToolParameter("path", ToolParameterType.Text, true, "Where.", 0, 100)])],
                "system"),
            TestContext.Current.CancellationToken);
}
