using System.Diagnostics;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Bench;

/// <summary>
/// Appends beside their floor, taking turns record by record: a device's latency drifts, and only what was measured at the same moment may
/// be divided by each other.
/// </summary>
internal static class AppendBench
{
    private const int Rounds = 15;
    private const int PerRound = 60;
    private const int Writers = 64;
    private const int PerWriter = 30;

    public static async Task RunAsync(string directory)
    {
        await using FileLedger ledger = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = Path.Combine(directory, "ledger") }, CancellationToken.None);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), CancellationToken.None);
        byte[] line = await SampleLineAsync(chain, directory);
        using SafeFileHandle raw = File.OpenHandle(
            Path.Combine(directory, "raw"), FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite);
        long offset = 0;

        var floor = new Samples();
        var one = new Samples();
        var withBlob = new Samples();
        var grouped = new List<double>();
        var single = new List<double>();
        var processorPerRecord = new List<double>();
        for (int round = 0; round <= Rounds; round++)
        {
            bool warm = round > 0; // The first round is not counted.
            var rawOnly = new Samples();
            for (int index = 0; index < PerRound; index++)
            {
                long start = Stopwatch.GetTimestamp();
                RandomAccess.Write(raw, line, offset);
                LinuxFile.SyncData(raw);
                rawOnly.Add(start);
                Count(warm, floor, start);
                offset += line.Length;

                start = Stopwatch.GetTimestamp();
                await chain.AppendAsync(Entry(index), CancellationToken.None);
                Count(warm, one, start);

                LedgerEntry entry = Entry(index) with { Blobs = [SideBlob.Create("preview of a result")] };
                start = Stopwatch.GetTimestamp();
                await chain.AppendAsync(entry, CancellationToken.None);
                Count(warm, withBlob, start);
            }

            TimeSpan processor = Environment.CpuUsage.TotalTime;
            long begin = Stopwatch.GetTimestamp();
            await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(async () =>
            {
                for (int index = 0; index < PerWriter; index++)
                {
                    await chain.AppendAsync(Entry(index), CancellationToken.None);
                }
            })));
            if (warm)
            {
                grouped.Add(Writers * PerWriter / Stopwatch.GetElapsedTime(begin).TotalSeconds);
                single.Add(1e6 / rawOnly.Mean);
                processorPerRecord.Add((Environment.CpuUsage.TotalTime - processor).TotalMicroseconds / (Writers * PerWriter));
            }
        }

        double groupedRate = Median(grouped);
        double singleRate = Median(single);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Line of {line.Length} bytes; {floor.Count} samples per row, {Rounds} rounds, taking turns record by record."));
        Console.WriteLine();
        Console.WriteLine("| what | median | p95 | beside its floor | budget |");
        Console.WriteLine("|---|---|---|---|---|");
        Console.WriteLine($"| raw write + fdatasync (floor) | {Samples.Us(floor.Median)} | {Samples.Us(floor.P95)} | 1 | |");
        Console.WriteLine($"| one writer, append | {Samples.Us(one.Median)} | {Samples.Us(one.P95)} | {Ratio(one.Median / floor.Median)} × | ≤ 1.2 × |");
        Console.WriteLine($"| one writer, append with a side blob (two syncs) | {Samples.Us(withBlob.Median)} | {Samples.Us(withBlob.P95)} | {Ratio(withBlob.Median / floor.Median)} × | |");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| 64 writers, processor time per record | {Median(processorPerRecord):0.0} µs | | | |"));
        Console.WriteLine($"| 64 writers, records/s (median of rounds) | {groupedRate:N0} | | {Ratio(groupedRate / singleRate)} × one event per fdatasync ({singleRate:N0}/s) | ≥ 20 × |");
    }

    private static LedgerEntry Entry(int number) => new()
    {
        Payload = new ToolOutcome
        {
            CallId = string.Create(CultureInfo.InvariantCulture, $"call-{number:D6}"),
            Tool = "sandbox.shell",
            Status = "ok",
            ExitCode = 0,
            TerminationReason = "completed",
            DurationMs = 12,
        },
        AggregateId = "rynxs/my-agent",
        Principal = "agent:rynxs/my-agent",
    };

    /// <summary>A line as the chain writes it: the floor writes the same bytes.</summary>
    private static async Task<byte[]> SampleLineAsync(ILedgerChain chain, string directory)
    {
        await chain.AppendAsync(Entry(0), CancellationToken.None);
        string path = Directory.GetFiles(Path.Combine(directory, "ledger", "control"), "records-*").Single();
        byte[] all = await File.ReadAllBytesAsync(path);
        return all[(all.AsSpan(0, all.Length - 1).LastIndexOf((byte)'\n') + 1)..];
    }

    private static void Count(bool counted, Samples samples, long start)
    {
        if (counted)
        {
            samples.Add(start);
        }
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static string Ratio(double ratio) => ratio.ToString("0.00", CultureInfo.InvariantCulture);
}
