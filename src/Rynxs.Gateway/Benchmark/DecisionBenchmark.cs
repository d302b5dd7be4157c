using System.Collections.Frozen;
using System.Diagnostics;
using System.Globalization;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;
using Rynxs.Policy.Rules;

namespace Rynxs.Gateway.Benchmark;

/// <summary>Pure decisions: no network, no disk.</summary>
internal static class DecisionBenchmark
{
    private const int Calls = 100_000;

    public static async Task RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        BudgetBook book = new();
        BudgetLimit limit = new(BudgetScope.Agent, BudgetPeriod.Total, long.MaxValue, long.MaxValue);
        BudgetCharge[] charges = [.. Enumerable.Range(0, 4).Select(i => new BudgetCharge(new BudgetAccount(BudgetScope.Agent, $"ns/{i}", BudgetPeriod.Total, 0), limit))];
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < Calls; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (book.Decide(charges, new Spend(10, 10), DateTimeOffset.MaxValue) is BudgetVerdict.Granted granted)
            {
                book.Apply(granted.Event);
                book.Apply(new BudgetEvent.Settled(granted.Event.Id, new Spend(5, 5)));
            }
        }

        double micros = Stopwatch.GetElapsedTime(begin).TotalMicroseconds / Calls;
        await output.WriteLineAsync("| pure decision | µs |\n|---|---|").ConfigureAwait(false);
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"| inference: one of 1,000 models, 100 forbidden tool patterns, 8 tools | {PolicyMicros(cancellationToken):0.00} |")).ConfigureAwait(false);
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"| budget: decide, reserve and settle in 4 accounts | {micros:0.00} |")).ConfigureAwait(false);
    }

    private static double PolicyMicros(CancellationToken cancellationToken)
    {
        InferencePolicyModel policy = new()
        {
            Name = "ns/p",
            Digest = "",
            Agents = [new Glob("*")],
            ForbiddenTools = [.. Enumerable.Range(0, 100).Select(i => new Glob($"forbidden-{i}-*"))],
            Models = Enumerable.Range(0, 1000).Select(i => new ModelRule
            {
                Name = $"model-{i}",
                Routes = [new ModelRoute("up", "real")],
                Endpoints = new HashSet<InferenceEndpoint> { InferenceEndpoint.ChatCompletions },
                MaxOutputTokens = 100,
            }).ToFrozenDictionary(model => model.Name, StringComparer.Ordinal),
        };
        InferenceFacts facts = new()
        {
            Endpoint = InferenceEndpoint.ChatCompletions,
            Model = "model-777",
            InputBytes = 1024,
            Tools = [.. Enumerable.Range(0, 8).Select(i => $"tool_{i}")],
        };
        long allowed = 0;
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < Calls; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            allowed += InferencePolicy.Decide(policy, facts) is InferenceVerdict.Allow ? 1 : 0;
        }

        return allowed == Calls ? Stopwatch.GetElapsedTime(begin).TotalMicroseconds / Calls : throw new InvalidOperationException("The policy denies what it must allow.");
    }
}
