using System.Net;
using Rynxs.Gateway.Inference;
using Rynxs.Policy.Budgets;

namespace Rynxs.Gateway.Tests.Inference;

/// <summary>E6: budgets under many calls at once, aborts and kills.</summary>
public sealed class RaceTests
{
    [Fact]
    public async Task E6_hundred_streams_at_once_never_pass_the_budget_and_the_books_are_exact()
    {
        await using ModelServer upstream = new(async exchange =>
        {
            await exchange.BeginStreamAsync();
            await exchange.SendAsync(ModelServer.Chunk("hello") + ModelServer.Finish + ModelServer.UsageChunk(40, 10) + ModelServer.Done);
        });

        // Each call sets about 240 tokens aside and uses 50.
        InferencePolicyConfig policy = GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, new BudgetLimit(BudgetScope.Team, BudgetPeriod.Total, 3000, null))
            with { RequestsPerMinute = 60_000, MaxConcurrent = 200, MaxQueued = 200 };
        await using GatewayHost host = await GatewayHost.StartAsync(policy);
        long highest = 0;
        int served = 0, refused = 0;

        await Task.WhenAll(Enumerable.Range(0, 100).Select(async _ =>
        {
            using HttpResponseMessage response = await host.ChatAsync(GatewayHost.Ask(stream: true));
            foreach ((BudgetAccount _, Spend spent, Spend reserved) in host.Gateway.Budgets())
            {
                InterlockedMax(ref highest, spent.Tokens + reserved.Tokens);
            }

            if (response.StatusCode == HttpStatusCode.OK)
            {
                Interlocked.Increment(ref served);
            }
            else
            {
                response.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
                Interlocked.Increment(ref refused);
            }
        }));

        Spend spent = await host.SpentAsync(BudgetScope.Team);
        served.ShouldBeGreaterThan(10); // Positive control: it is not simply shut.
        refused.ShouldBeGreaterThan(0);
        spent.Tokens.ShouldBe(served * 50);
        upstream.Requests.Count.ShouldBe(served);
        highest.ShouldBeLessThanOrEqualTo(3000);
    }

    [Fact]
    public async Task Greedy_agent_does_not_keep_another_waiting_behind_all_its_own()
    {
        FairGate gate = new(2);
        List<IDisposable> taken = [];
        for (int i = 0; i < 2; i++)
        {
            taken.Add((await gate.EnterAsync("greedy", 100, 1000, TimeSpan.FromMinutes(1), CancellationToken.None)).ShouldNotBeNull());
        }

        List<ValueTask<IDisposable?>> waiting = [.. Enumerable.Range(0, 500).Select(_ => gate.EnterAsync("greedy", 100, 1000, TimeSpan.FromMinutes(1), CancellationToken.None))];
        ValueTask<IDisposable?> modest = gate.EnterAsync("modest", 100, 1000, TimeSpan.FromMinutes(1), CancellationToken.None);

        taken[0].Dispose();
        taken[1].Dispose();

        (await modest.AsTask().WaitAsync(TimeSpan.FromSeconds(10))).ShouldNotBeNull();
        gate.Waiting.ShouldBe(499);
        (await gate.EnterAsync("greedy", 100, 10, TimeSpan.FromMinutes(1), CancellationToken.None)).ShouldBeNull(); // Its queue is bounded.
        waiting.Count.ShouldBe(500);
    }

    [Fact]
    public async Task Books_survive_a_restart_and_what_was_set_aside_is_charged_in_full()
    {
        using TemporaryDirectory directory = new();
        TaskCompletionSource never = new();
        await using ModelServer upstream = new(async exchange =>
        {
            if (exchange.Body.Contains("hang", StringComparison.Ordinal))
            {
                await never.Task.WaitAsync(exchange.Stop);
            }

            await exchange.JsonAsync(200, ModelServer.Chat("hello", 7, 3));
        });
        InferencePolicyConfig policy = GatewayHost.Policy(upstream.BaseUrl, UpstreamKind.OpenAi, new BudgetLimit(BudgetScope.Agent, BudgetPeriod.Total, 10_000, null));
        string copy = directory.At("copy");
        long reserved;
        await using (GatewayHost host = await GatewayHost.StartAsync(policy, directory.At("spool")))
        {
            using HttpResponseMessage done = await host.ChatAsync(GatewayHost.Ask());
            (await host.SpentAsync()).Tokens.ShouldBe(10);
            using CancellationTokenSource stop = new();
            Task<HttpResponseMessage> hanging = host.ChatAsync(GatewayHost.Ask("hang"), cancellationToken: stop.Token);
            await GatewayHost.UntilAsync(() => upstream.Requests.Count == 2);
            reserved = host.Gateway.Budgets().Sum(entry => entry.Reserved.Tokens);

            // What the disk holds at this moment is what a killed process leaves.
            Directory.CreateDirectory(copy);
            File.Copy(directory.At("spool", "spool"), Path.Combine(copy, "spool"));
            await stop.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(hanging);
        }

        await using GatewayHost next = await GatewayHost.StartAsync(policy, copy);
        reserved.ShouldBeGreaterThan(0);
        (await next.SpentAsync()).Tokens.ShouldBe(10 + reserved);
    }

    private static void InterlockedMax(ref long target, long value)
    {
        long seen = Volatile.Read(ref target);
        while (value > seen)
        {
            long before = Interlocked.CompareExchange(ref target, value, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
}
