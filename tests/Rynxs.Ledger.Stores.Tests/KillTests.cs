using System.Diagnostics;
using System.Globalization;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;
using Rynxs.Ledger.Stores.Tests.S3;
using Rynxs.Ledger.Tests;

namespace Rynxs.Ledger.Stores.Tests;

/// <summary>Writers that are killed, or stopped and continued, at random moments: nothing acknowledged is lost. 1,000 kills in the soak.</summary>
public sealed class KillTests(S3Server server) : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Killed_at_random_moments_a_sqlite_ledger_keeps_every_acknowledged_record()
    {
        foreach (int kills in Rounds(4))
        {
            string path = _directory.At($"{Guid.NewGuid():N}.db");
            await KillAsync(["sqlite", path], async () => await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = path }, Cancelled), kills);
        }
    }

    [Fact]
    public async Task Killed_at_random_moments_an_s3_ledger_keeps_every_acknowledged_record()
    {
        foreach (int kills in Rounds(3))
        {
            S3LedgerOptions options = server.Options(await server.MakeBucketAsync());
            await KillAsync(
                ["s3", options.Endpoint!.ToString(), options.Bucket, options.AccessKey!, options.SecretKey!], // The server's own, so none is null.
                async () => await S3Ledger.OpenAsync(options, Cancelled), kills);
        }
    }

    [Fact]
    public async Task An_s3_writer_that_was_stopped_while_another_took_over_is_fenced_when_it_goes_on()
    {
        S3LedgerOptions options = server.Options(await server.MakeBucketAsync());
        var acknowledged = new Dictionary<long, string>();
        using Process process = Start(["s3", options.Endpoint!.ToString(), options.Bucket, options.AccessKey!, options.SecretKey!]); // As above.
        for (int seen = 0; seen < 10; seen++)
        {
            Note((await process.StandardOutput.ReadLineAsync(Cancelled)).ShouldNotBeNull(), acknowledged);
        }

        await SignalAsync(process, "STOP");
        await using S3Ledger second = await S3Ledger.OpenAsync(options, Cancelled);
        ILedgerChain chain = await second.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
        await SignalAsync(process, "CONT");
        bool fenced = false;
        while (await process.StandardOutput.ReadLineAsync(Cancelled) is { } line)
        {
            fenced |= line == "fenced";
            Note(line, acknowledged);
        }

        fenced.ShouldBeTrue();
        await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        await ExpectAllAsync(chain, acknowledged);
    }

    /// <summary>A thousand kills in the soak, a hundred to each ledger: or reading everything back each time would be all that it does.</summary>
    private static IEnumerable<int> Rounds(int quick) => Soak.Enabled ? Enumerable.Repeat(100, 10) : [quick];

    private static async Task KillAsync(string[] store, Func<Task<ILedger>> openAsync, int kills)
    {
        var random = new Random(42);
        var acknowledged = new Dictionary<long, string>();
        for (int kill = 0; kill < kills; kill++)
        {
            int before = acknowledged.Count;
            using Process process = Start(store);
            int left = random.Next(1, 80);
            while (await process.StandardOutput.ReadLineAsync(Cancelled) is { } line)
            {
                Note(line, acknowledged);
                if (--left == 0)
                {
                    process.Kill(); // SIGKILL; what was printed before it is still read.
                }
            }

            await process.WaitForExitAsync(Cancelled);
            acknowledged.Count.ShouldBeGreaterThan(before, "the writer was killed in the middle of its work");
            await using ILedger ledger = await openAsync();
            await ExpectAllAsync(await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled), acknowledged);
        }
    }

    private static async Task ExpectAllAsync(ILedgerChain chain, Dictionary<long, string> acknowledged)
    {
        var stored = new Dictionary<long, string>();
        await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
        {
            stored.Add(record.Seq, record.EventHash);
        }

        acknowledged.Where(pair => stored.GetValueOrDefault(pair.Key) != pair.Value).ShouldBeEmpty();
    }

    private static void Note(string line, Dictionary<long, string> acknowledged)
    {
        if (line.Split(' ') is [var seq, { Length: 64 } hash])
        {
            acknowledged.Add(long.Parse(seq, CultureInfo.InvariantCulture), hash);
        }
    }

    private static Process Start(string[] store)
    {
        var process = new Process
        {
            StartInfo = new ProcessStartInfo(Environment.ProcessPath ?? "", [StoreWriter.Argument, .. store]) { RedirectStandardOutput = true },
        };
        process.Start();
        return process;
    }

    private static async Task SignalAsync(Process process, string signal) =>
        (await ProcessRun.RunAsync("/bin/kill", ["-" + signal, $"{process.Id}"], Cancelled)).Exit.ShouldBe(0);
}
