using System.Globalization;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.S3;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>What to measure.</summary>
public sealed record LedgerBenchmarkOptions
{
    /// <summary>Where; an empty directory is made in it and removed again. It must lie on the device that is to be measured.</summary>
    public required string Directory { get; init; }

    /// <summary>Records of the log that is opened, 200,000 unless told. 10 million take about 5 GB.</summary>
    public long OpenRecords { get; init; } = 200_000;

    /// <summary>Rounds of 50 records each per row, 12 unless told; the first is not counted.</summary>
    public int Rounds { get; init; } = 12;

    /// <summary>A bucket to measure as well, or null.</summary>
    public S3LedgerOptions? S3 { get; init; }
}

/// <summary>
/// The ledger beside its floors (the raw disk, raw SHA-256) and a peer (SQLite, one row per transaction). What is divided by each other takes
/// turns: a device's latency drifts, and only what was measured at the same moment may be compared.
/// </summary>
public static class LedgerBenchmark
{
    /// <summary>Measures and prints tables in Markdown.</summary>
    /// <exception cref="LedgerUnavailableException">The device or the bucket failed.</exception>
    public static async Task RunAsync(LedgerBenchmarkOptions options, TextWriter output, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(output);
        string directory = System.IO.Directory.CreateDirectory(Path.Combine(options.Directory, $"rynxs-bench-{Guid.NewGuid():N}")).FullName;
        try
        {
            await TableAsync(
                output, "Append, durable", "| what | median | p99 | beside its floor | budget |",
                [
                    .. await AppendBench.OneWriterAsync(directory, options, cancellationToken).ConfigureAwait(false),
                    .. await AppendBench.ManyWritersAsync(directory, options, cancellationToken).ConfigureAwait(false),
                ]).ConfigureAwait(false);
            await TableAsync(
                output, "Canonical form and hash", "| what | events per second of processor time, median | beside its floor | budget |",
                CanonicalBench.Run(cancellationToken)).ConfigureAwait(false);
            await TableAsync(
                output, "Opening and memory", "| what | time | managed memory | budget |",
                await OpeningBench.RunAsync(directory, options, cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
            await TableAsync(
                output, "Replay", "| records | read and verified, median | replayed into both states, median | replayed records/s | budget |",
                [await ReplayBench.RunAsync(directory).ConfigureAwait(false)]).ConfigureAwait(false);
        }
        finally
        {
            System.IO.Directory.Delete(directory, recursive: true);
        }
    }

    internal static LedgerEntry Entry(int number) => new()
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

    internal static string Ratio(double ratio) => ratio.ToString("0.00", CultureInfo.InvariantCulture);

    /// <summary>Writes a log through the store itself, a full commit at a time.</summary>
    internal static async Task FillAsync(FileLedgerOptions options, long records, CancellationToken cancellationToken)
    {
        await using FileLedger ledger = await FileLedger.OpenAsync(options, cancellationToken).ConfigureAwait(false);
        (FileChainStore store, FoundChain found) = await ledger.OpenStoreAsync(ChainId.Control, cancellationToken).ConfigureAwait(false);
        await using (store.ConfigureAwait(false))
        {
            var buffer = new CommitBuffer();
            PreparedEntry entry = PreparedEntry.Prepare(Entry(1), "");
            ChainHead head = found.Head;
            for (long done = 0; done < records;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                buffer.Begin(head, TimeProvider.System.GetUtcNow());
                for (int count = 0; count < Committer.CommitRecords && done < records; count++, done++)
                {
                    buffer.Add(entry, epoch: 1);
                }

                await store.CommitAsync(new ChainCommit { Before = head, Head = buffer.Head, EpochBefore = 1, Epoch = 1, Lines = buffer.Lines, Blobs = [] }).ConfigureAwait(false);
                head = buffer.Head;
            }
        }
    }

    private static async Task TableAsync(TextWriter output, string title, string header, IReadOnlyList<string> rows)
    {
        string rule = "|" + string.Concat(Enumerable.Repeat("---|", header.Count(letter => letter == '|') - 1));
        await output.WriteLineAsync(string.Join('\n', ["## " + title, "", header, rule, .. rows, ""])).ConfigureAwait(false);
    }
}
