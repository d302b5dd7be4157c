using System.Diagnostics;
using System.Runtime.CompilerServices;
using Rynxs.Gateway.Budgets;
using Rynxs.Gateway.Spool;
using Rynxs.Policy.Budgets;

namespace Rynxs.Gateway.Tests.Budgets;

/// <summary>Books of a process that is killed while it writes them.</summary>
public sealed class KilledSpoolTests
{
    private const string ChildVariable = "RYNXS_TEST_SPOOL_CHILD";
    private static readonly BudgetCharge[] Account = [new(new BudgetAccount(BudgetScope.Agent, "ns/a", BudgetPeriod.Total, 0), new BudgetLimit(BudgetScope.Agent, BudgetPeriod.Total, long.MaxValue, null))];

    [Fact]
    public async Task E6_after_kill_9_everything_that_was_acknowledged_is_in_the_books_and_what_was_open_is_charged_in_full()
    {
        using TemporaryDirectory directory = new();
        ProcessStartInfo start = new(Environment.ProcessPath.ShouldNotBeNull()) { RedirectStandardOutput = true };
        start.Environment[ChildVariable] = directory;
        int reserved = 0, settled = 0;
        using (Process child = Process.Start(start).ShouldNotBeNull())
        {
            while (settled < 40)
            {
                string? line = await child.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60));
                reserved += line == "R" ? 1 : 0;
                settled += line == "S" ? 1 : 0;
                line.ShouldNotBeNull();
            }

            child.Kill(); // SIGKILL.
            foreach (string line in (await child.StandardOutput.ReadToEndAsync()).Split('\n'))
            {
                reserved += line == "R" ? 1 : 0;
                settled += line == "S" ? 1 : 0;
            }

            await child.WaitForExitAsync();
        }

        long spent = await ReadAsync(directory);
        spent.ShouldBeGreaterThanOrEqualTo(40L * reserved);
        spent.ShouldBeLessThanOrEqualTo((40L * settled) + (100L * (reserved + 1 - settled)));

        // A torn last line is what a kill or a power cut in the middle of a write leaves.
        await File.AppendAllTextAsync(directory.File("spool"), "0123456789abcdef {\"k\":\"r\",\"id\":99");
        (await ReadAsync(directory)).ShouldBe(spent);

        // Damage before the end is no torn write: the books refuse to open.
        byte[] bytes = await File.ReadAllBytesAsync(directory.File("spool"));
        bytes[20] ^= 1;
        await File.WriteAllBytesAsync(directory.File("spool"), [.. bytes, .. "more\nlines\n"u8]);
        await Should.ThrowAsync<SpoolUnavailableException>(ReadAsync(directory));
    }

    [ModuleInitializer]
    internal static void RunAsChild()
    {
        if (Environment.GetEnvironmentVariable(ChildVariable) is not { } directory)
        {
            return;
        }

        (GatewaySpool spool, BudgetLedger ledger) = Open(directory);
        while (true)
        {
            Reservation reservation = ((BudgetAnswer.Granted)ledger.Reserve(Account, new Spend(100, 0), TimeSpan.FromHours(1))).Reservation;
            spool.WhenDurableAsync().GetAwaiter().GetResult();
            Console.WriteLine("R");
            reservation.Settle(new Spend(40, 0));
            spool.WhenDurableAsync().GetAwaiter().GetResult();
            Console.WriteLine("S");
        }
    }

    private static async Task<long> ReadAsync(string directory)
    {
        (GatewaySpool spool, BudgetLedger ledger) = Open(directory);
        await using (spool)
        {
            return ledger.List().Sum(entry => entry.Spent.Tokens + entry.Reserved.Tokens);
        }
    }

    private static (GatewaySpool Spool, BudgetLedger Ledger) Open(string directory)
    {
        List<string> lines = [];
        GatewaySpool spool = GatewaySpool.Open(directory, lines.Add);
        BudgetLedger ledger = new(spool, TimeProvider.System);
        lines.ForEach(line => ledger.TryRestore(line).ShouldBeTrue());
        ledger.FinishRestore();
        spool.Start(ledger.Snapshot_NeedsLock);
        return (spool, ledger);
    }
}
