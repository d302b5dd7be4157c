using System.Diagnostics;
using System.Globalization;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>Opening a log, and what memory a log and one of ten times its length need.</summary>
internal static class OpeningBench
{
    public static async Task<IReadOnlyList<string>> RunAsync(string directory, LedgerBenchmarkOptions options, CancellationToken cancellationToken)
    {
        long tenth = Math.Max(1, options.OpenRecords / 10);
        var small = new FileLedgerOptions { Directory = Path.Combine(directory, "open-tenth") };
        var whole = new FileLedgerOptions { Directory = Path.Combine(directory, "open") };
        await LedgerBenchmark.FillAsync(small, tenth, cancellationToken).ConfigureAwait(false);
        await LedgerBenchmark.FillAsync(whole, options.OpenRecords, cancellationToken).ConfigureAwait(false);
        (double smallOpen, long smallMemory) = await OpenAsync(small, cancellationToken).ConfigureAwait(false);
        (double open, long memory) = await OpenAsync(whole, cancellationToken).ConfigureAwait(false);
        long smallReading = await ReadAsync(small, cancellationToken).ConfigureAwait(false);
        long reading = await ReadAsync(whole, cancellationToken).ConfigureAwait(false);
        (double verified, _) = await OpenAsync(whole with { VerifyEverythingOnOpen = true }, cancellationToken).ConfigureAwait(false);
        return
        [
            Row($"opening {tenth:N0} records, nothing changed since", smallOpen, smallMemory, ""),
            Row($"opening {options.OpenRecords:N0} records, nothing changed since", open, memory, "10 million: < 1 s; memory as with a tenth"),
            Row($"opening them and verifying all: {options.OpenRecords / verified * 1e6:N0} records/s", verified, null, ""),
            Row($"in the middle of reading {tenth:N0} records", null, smallReading, ""),
            Row($"in the middle of reading {options.OpenRecords:N0} records", null, reading, "constant in the log's length"),
        ];
    }

    private static async Task<(double Microseconds, long Memory)> OpenAsync(FileLedgerOptions options, CancellationToken cancellationToken)
    {
        long before = GC.GetTotalMemory(forceFullCollection: true);
        long start = Stopwatch.GetTimestamp();
        await using FileLedger ledger = await FileLedger.OpenAsync(options, cancellationToken).ConfigureAwait(false);
        await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        double elapsed = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        return (elapsed, GC.GetTotalMemory(forceFullCollection: true) - before);
    }

    /// <summary>What lives while half of a log has been read.</summary>
    private static async Task<long> ReadAsync(FileLedgerOptions options, CancellationToken cancellationToken)
    {
        long before = GC.GetTotalMemory(forceFullCollection: true);
        await using FileLedger ledger = await FileLedger.OpenAsync(options, cancellationToken).ConfigureAwait(false);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        await foreach (LedgerRecord record in chain.ReadAsync(0, cancellationToken).ConfigureAwait(false))
        {
            if (record.Seq >= chain.Head.Seq / 2)
            {
                return GC.GetTotalMemory(forceFullCollection: true) - before;
            }
        }

        throw new InvalidOperationException("The chain is empty.");
    }

    private static string Row(string what, double? microseconds, long? bytes, string budget)
    {
        string memory = bytes is { } used ? (used / 1024.0).ToString("N0", CultureInfo.InvariantCulture) + " KiB" : "";
        return $"| {what} | {(microseconds is { } time ? Latencies.Text(time) : "")} | {memory} | {budget} |";
    }
}
