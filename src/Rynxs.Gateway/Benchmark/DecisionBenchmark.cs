using System.Diagnostics;
using System.Globalization;
using Rynxs.Policy.Budgets;

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
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"budget: decide, reserve and settle in 4 accounts | {micros:0.00} µs")).ConfigureAwait(false);
    }
}
