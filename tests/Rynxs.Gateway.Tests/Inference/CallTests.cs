using System.Net;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Rules;

namespace Rynxs.Gateway.Tests.Inference;

/// <summary>Calls of models through a real HTTP server to an upstream on a raw socket.</summary>
public sealed class CallTests
{
    private static readonly BudgetLimit Plenty = new(BudgetScope.Agent, BudgetPeriod.Day, 1_000_000, 1_000_000_000);

    [Fact]
    public async Task Without_a_policy_everything_is_refused_and_nothing_reaches_an_upstream()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(null);

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());

        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        (await Json(response))["error"]!["code"]!.GetValue<string>().ShouldBe("no_inference_policy");
        (await host.Log.UntilAsync<InferenceRecord.Denied>()).Reason.ShouldBe("no_inference_policy");
    }

    [Fact]
    public async Task Call_goes_on_with_the_models_real_name_and_a_bound_and_is_charged_by_what_the_upstream_reports()
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(200, ModelServer.Chat("hello")));
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await response.Content.ReadAsStringAsync()).ShouldBe(ModelServer.Chat("hello"));
        JsonObject sent = upstream.Requests.Single().Json;
        sent["model"]!.GetValue<string>().ShouldBe("real");
        sent["max_completion_tokens"]!.GetValue<int>().ShouldBe(100);
        (await host.SpentAsync()).ShouldBe(new Spend(15, 10 * 1000 + 5 * 2000));
        InferenceRecord.Completed record = await host.Log.UntilAsync<InferenceRecord.Completed>();
        record.Outcome.ShouldBe("completed");
        record.ChargedInFull.ShouldBeFalse();
        host.Log.Records.OfType<InferenceRecord.Started>().Single().Prompt.ShouldBeNull();
    }

    [Fact]
    public async Task Stream_arrives_piece_by_piece_while_the_upstream_still_writes()
    {
        TaskCompletionSource seen = new();
        await using ModelServer upstream = new(async exchange =>
        {
            await exchange.BeginStreamAsync();
            await exchange.SendAsync(ModelServer.Chunk("one"));
            await seen.Task; // Only when the caller has the first piece does the second leave.
            await exchange.SendAsync(ModelServer.Chunk("two") + ModelServer.Finish + ModelServer.UsageChunk() + ModelServer.Done);
        });
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask(stream: true), HttpCompletionOption.ResponseHeadersRead);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());
        (await reader.ReadLineAsync()).ShouldNotBeNull().ShouldContain("one");
        seen.SetResult();
        string rest = await reader.ReadToEndAsync();

        rest.ShouldContain("two");
        rest.ShouldEndWith(ModelServer.Done);
        rest.ShouldNotContain("usage"); // Nobody asked for it.
        (await host.SpentAsync()).Tokens.ShouldBe(15);
        upstream.Requests.Single().Json["stream_options"]!["include_usage"]!.GetValue<bool>().ShouldBeTrue();
    }

    [Fact]
    public async Task E6_caller_that_leaves_before_usage_is_charged_in_full()
    {
        TaskCompletionSource left = new();
        await using ModelServer upstream = new(async exchange =>
        {
            await exchange.BeginStreamAsync();
            await exchange.SendAsync(ModelServer.Chunk("one"));
            await exchange.UntilClosedAsync();
            left.SetResult();
        });
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));
        using (CancellationTokenSource stop = new())
        {
            HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask(stream: true), HttpCompletionOption.ResponseHeadersRead, stop.Token);
            await (await response.Content.ReadAsStreamAsync()).ReadExactlyAsync(new byte[4]);
            response.Dispose();
        }

        await left.Task.WaitAsync(TimeSpan.FromSeconds(30)); // The upstream is let go, so that it stops working.
        InferenceRecord.Completed record = await host.Log.UntilAsync<InferenceRecord.Completed>();
        record.Outcome.ShouldBe("caller_left");
        record.ChargedInFull.ShouldBeTrue();
        (await host.SpentAsync()).Tokens.ShouldBe(host.Log.Records.OfType<InferenceRecord.Started>().Single().ReservedTokens);
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("error")]
    [InlineData("garbage")]
    [InlineData("huge")]
    public async Task Stream_that_is_not_whole_never_looks_whole_and_is_charged_in_full(string how)
    {
        await using ModelServer upstream = new(async exchange =>
        {
            await exchange.BeginChunkedAsync();
            await exchange.ChunkAsync(ModelServer.Chunk("one"));
            switch (how)
            {
                case "error":
                    await exchange.ChunkAsync("data: {\"error\":{\"message\":\"boom\"}}\n\n");
                    break;
                case "garbage":
                    await exchange.ChunkAsync("data: this is no JSON\n\n");
                    break;
                case "huge":
                    string line = "data: " + new string('x', 64 * 1024);
                    for (int i = 0; i < 20; i++)
                    {
                        await exchange.ChunkAsync(line);
                    }

                    await exchange.UntilClosedAsync();
                    break;
                default:
                    break; // The connection ends without the last chunk.
            }
        });
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask(stream: true), HttpCompletionOption.ResponseHeadersRead);
        string body = await response.Content.ReadAsStringAsync();
        body.ShouldContain("\"error\""); // What clients of the API throw on,
        body.ShouldNotContain("[DONE]"); // and no sign of completion.

        InferenceRecord.Completed record = await host.Log.UntilAsync<InferenceRecord.Completed>();
        record.Outcome.ShouldBe("upstream_failed");
        record.ChargedInFull.ShouldBeTrue();
    }

    [Fact]
    public async Task Answer_shorter_than_its_length_is_a_failure_and_a_longer_one_is_cut_at_its_length()
    {
        await using ModelServer upstream = new(exchange => exchange.SendAsync("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"choices\":[]}"));
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());

        response.StatusCode.ShouldBe(HttpStatusCode.BadGateway);
        (await Json(response))["error"]!["code"]!.GetValue<string>().ShouldBe("upstream_truncated");
    }

    [Fact]
    public async Task Next_upstream_is_asked_after_a_refusal_and_never_after_silence()
    {
        await using ModelServer busy = new(exchange => exchange.JsonAsync(503, "{}"));
        await using ModelServer good = new(exchange => exchange.JsonAsync(200, ModelServer.Chat("second")));
        await using ModelServer broken = new(_ => Task.CompletedTask); // Takes the request and closes: it may be working on it.
        Uri closed = await ClosedAsync();
        await using GatewayHost host = await GatewayHost.StartAsync(
            GatewayHost.Policy([("closed", closed, UpstreamKind.OpenAi), ("busy", busy.BaseUrl, UpstreamKind.OpenAi), ("good", good.BaseUrl, UpstreamKind.OpenAi)], Plenty));

        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());
        (await response.Content.ReadAsStringAsync()).ShouldContain("second");
        (await host.Log.UntilAsync<InferenceRecord.Completed>()).Attempts.ShouldBe(3);
        (await host.SpentAsync()).Tokens.ShouldBe(15);

        host.Gateway.Replace(GatewayHost.Model(GatewayHost.Policy([("broken", broken.BaseUrl, UpstreamKind.OpenAi), ("good", good.BaseUrl, UpstreamKind.OpenAi)], Plenty)));
        using HttpResponseMessage second = await host.ChatAsync(GatewayHost.Ask());
        second.StatusCode.ShouldBe(HttpStatusCode.BadGateway);
        good.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Upstream_that_fails_five_times_is_left_alone_and_the_caller_told_when_to_come_back()
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(500, "{}"));
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl));

        for (int i = 0; i < 7; i++)
        {
            using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());
            response.IsSuccessStatusCode.ShouldBeFalse();
            if (i == 6)
            {
                response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
                response.Headers.RetryAfter.ShouldNotBeNull();
            }
        }

        upstream.Requests.Count.ShouldBe(5);
    }

    [Theory]
    [InlineData("{\"model\":\"other\",\"messages\":[]}", 404, "model_not_allowed")]
    [InlineData("{\"model\":\"m\",\"messages\":[],\"service_tier\":\"priority\"}", 400, "invalid_request")]
    [InlineData("{\"model\":\"m\",\"messages\":[],\"n\":5}", 400, "parameter_not_allowed")]
    [InlineData("{\"model\":\"m\",\"model\":\"other\",\"messages\":[]}", 400, "invalid_request")]
    [InlineData("{\"model\":\"m\",\"messages\":[],\"max_tokens\":-1}", 400, "parameter_not_allowed")]
    [InlineData("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x\"}}]}]}", 403, "images_not_allowed")]
    [InlineData("{\"model\":\"m\",\"messages\":[],\"tools\":[{\"type\":\"web_search\"}]}", 400, "invalid_request")]
    [InlineData("{\"model\":\"m\",\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"shell\"}}]}", 403, "tool_not_allowed")]
    [InlineData("[]", 400, "invalid_request")]
    public async Task E6_what_could_cost_more_than_its_bound_is_refused_before_anything_goes_out(string body, int status, string code)
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(200, ModelServer.Chat("hello")));
        InferencePolicyConfig policy = GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty);
        await using GatewayHost host = await GatewayHost.StartAsync(policy with { Policy = policy.Policy with { ForbiddenTools = [new Glob("shell*")] } });

        using HttpResponseMessage response = await host.ChatAsync(body);

        ((int)response.StatusCode).ShouldBe(status);
        (await Json(response))["error"]!["code"]!.GetValue<string>().ShouldBe(code);
        upstream.Requests.ShouldBeEmpty();
        (await host.SpentAsync()).ShouldBe(Spend.Zero);

        // Positive control: the same host serves what is allowed.
        using HttpResponseMessage fine = await host.ChatAsync(GatewayHost.Ask());
        fine.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task D7_headers_of_the_caller_change_neither_who_it_is_nor_what_goes_on()
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(200, ModelServer.Chat("hello")));
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/chat/completions") { Content = GatewayHost.Body(GatewayHost.Ask()) };
        foreach (string name in (string[])["X-Sandbox-ID", "X-Rynxs-Agent", "X-Forwarded-For", "X-Pod-UID", "Authorization", "x-api-key"])
        {
            request.Headers.TryAddWithoutValidation(name, "other-agent-spoofed");
        }

        using HttpResponseMessage response = await host.Client.SendAsync(request);

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await host.Log.UntilAsync<InferenceRecord.Started>()).Caller.ShouldBe(GatewayHost.Caller);
        upstream.Requests.Single().Head.ShouldNotContain("spoofed");
    }

    [Fact]
    public async Task Eleventh_call_is_stopped_by_the_budget_with_429_and_a_time()
    {
        await using ModelServer upstream = new(exchange => exchange.JsonAsync(200, ModelServer.Chat("hello", 50, 50)));
        InferencePolicyConfig policy = GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, new BudgetLimit(BudgetScope.Agent, BudgetPeriod.Day, 1200, null));
        await using GatewayHost host = await GatewayHost.StartAsync(policy);

        for (int i = 1; i <= 10; i++)
        {
            using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask());
            response.StatusCode.ShouldBe(HttpStatusCode.OK, $"call {i}");
            await host.SpentAsync();
        }

        using HttpResponseMessage eleventh = await host.ChatAsync(GatewayHost.Ask());
        eleventh.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        eleventh.Headers.RetryAfter.ShouldNotBeNull();
        (await Json(eleventh))["error"]!["code"]!.GetValue<string>().ShouldBe("budget_exceeded");
        upstream.Requests.Count.ShouldBe(10);
        (await host.SpentAsync()).Tokens.ShouldBe(1000);
    }

    [Fact]
    public async Task Reload_of_the_policy_leaves_a_running_stream_alone_and_decides_the_next_call()
    {
        TaskCompletionSource reloaded = new();
        await using ModelServer upstream = new(async exchange =>
        {
            await exchange.BeginStreamAsync();
            await exchange.SendAsync(ModelServer.Chunk("one"));
            await reloaded.Task;
            await exchange.SendAsync(ModelServer.Finish + ModelServer.UsageChunk() + ModelServer.Done);
        });
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, Plenty));
        using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask(stream: true), HttpCompletionOption.ResponseHeadersRead);

        host.Gateway.Replace(InferenceModel.Empty);
        reloaded.SetResult();

        (await response.Content.ReadAsStringAsync()).ShouldEndWith(ModelServer.Done);
        using HttpResponseMessage next = await host.ChatAsync(GatewayHost.Ask());
        next.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task Models_are_listed_by_the_names_that_callers_use_and_nothing_of_upstreams_is_told()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(GatewayHost.Policy(new Uri("http://127.0.0.1:1/v1")));

        string list = await host.Client.GetStringAsync("/v1/models");

        JsonNode.Parse(list)!["data"]!.AsArray().Single()!["id"]!.GetValue<string>().ShouldBe("m");
        list.ShouldNotContain("real");
    }

    private static async Task<JsonNode> Json(HttpResponseMessage response) => JsonNode.Parse(await response.Content.ReadAsStringAsync()).ShouldNotBeNull();

    /// <summary>An address at which nobody listens.</summary>
    private static Task<Uri> ClosedAsync()
    {
        using System.Net.Sockets.Socket socket = new(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return Task.FromResult(new Uri($"http://127.0.0.1:{((IPEndPoint)socket.LocalEndPoint!).Port}/v1"));
    }
}
