using System.Diagnostics;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>What to measure.</summary>
public sealed record LedgerBenchmarkOptions
{
    /// <summary>Where; an empty directory is made in it and removed again. It must lie on the device that is to be measured.</summary>
    public required string Directory { get; init; }

    /// <summary>Records of the log that is opened, 200,000 unless told. 10 million take about 4.5 GB.</summary>
    public long OpenRecords { get; init; } = 200_000;

    /// <summary>Rounds of 50 records each per row, 12 unless told; the first is not counted.</summary>
    public int Rounds { get; init; } = 12;

    /// <summary>A bucket to measure as well, or null.</summary>
    public S3LedgerOptions? S3 { get; init; }
}

/// <summary>
/// Durable appends beside their floor (the raw disk) and a peer (SQLite, one row per transaction), taking turns record by record: a device's
/// latency drifts, and only what was measured at the same moment may be divided by each other.
/// </summary>
public static class LedgerBenchmark
{
    private const int PerRound = 50;
    private const int Writers = 64;

    /// <summary>Measures and prints a table in Markdown.</summary>
    /// <exception cref="LedgerUnavailableException">The device or the bucket failed.</exception>
    public static async Task RunAsync(LedgerBenchmarkOptions options, TextWriter output, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(output);
        string directory = System.IO.Directory.CreateDirectory(Path.Combine(options.Directory, $"rynxs-bench-{Guid.NewGuid():N}")).FullName;
        try
        {
            var rows = new List<string>();
            double floor = await OneWriterAsync(directory, options, rows, cancellationToken).ConfigureAwait(false);
            await ManyWritersAsync(directory, options, floor, rows, cancellationToken).ConfigureAwait(false);
            await OpeningAsync(directory, options, rows, cancellationToken).ConfigureAwait(false);
            await output.WriteLineAsync("| what | median | p99 | beside its floor | budget |").ConfigureAwait(false);
            await output.WriteLineAsync("|---|---|---|---|---|").ConfigureAwait(false);
            foreach (string row in rows)
            {
                await output.WriteLineAsync(row).ConfigureAwait(false);
            }
        }
        finally
        {
            System.IO.Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task<double> OneWriterAsync(string directory, LedgerBenchmarkOptions options, List<string> rows, CancellationToken cancellationToken)
    {
        await using FileLedger files = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = Path.Combine(directory, "files") }, cancellationToken).ConfigureAwait(false);
        await using SqliteLedger sqlite = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Path.Combine(directory, "ledger.db") }, cancellationToken).ConfigureAwait(false);
        ILedgerChain inFiles = await files.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        ILedgerChain inSqlite = await sqlite.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        await inFiles.AppendAsync(Entry(0), cancellationToken).ConfigureAwait(false);
        byte[] line = await LastLineAsync(inFiles, cancellationToken).ConfigureAwait(false);
        using SafeFileHandle raw = LedgerFile.CreateEmpty(Path.Combine(directory, "raw"));
        using var peer = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = Path.Combine(directory, "peer.db"), Pooling = false }.ToString());
        peer.Open();
        SqliteDatabase.Execute(peer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE records (seq INTEGER PRIMARY KEY, line BLOB NOT NULL)");
        using SqliteCommand insert = peer.CreateCommand();
        insert.CommandText = "INSERT INTO records (line) VALUES ($line)";
        insert.Parameters.AddWithValue("$line", line);

        Latencies floor = new(), peerRows = new(), fileAppends = new(), sqliteAppends = new();
        long offset = 0;
        for (int round = 0; round < options.Rounds; round++)
        {
            for (int index = 0; index < PerRound; index++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                long start = Stopwatch.GetTimestamp();
                RandomAccess.Write(raw, line, offset);
                LinuxFile.SyncData(raw);
                Count(round, floor, start);
                offset += line.Length;

                LedgerEntry entry = Entry(index);
                start = Stopwatch.GetTimestamp();
                await inFiles.AppendAsync(entry, cancellationToken).ConfigureAwait(false);
                Count(round, fileAppends, start);

                start = Stopwatch.GetTimestamp();
                insert.ExecuteNonQuery();
                Count(round, peerRows, start);

                start = Stopwatch.GetTimestamp();
                await inSqlite.AppendAsync(entry, cancellationToken).ConfigureAwait(false);
                Count(round, sqliteAppends, start);
            }
        }

        rows.Add($"| raw write + fdatasync of {line.Length} bytes (floor; {floor.Count} samples) | {Both(floor)} | 1 | |");
        rows.Add($"| SQLite, one row per transaction (peer) | {Both(peerRows)} | {Ratio(peerRows.Median / floor.Median)} × | |");
        rows.Add($"| file ledger, one writer | {Both(fileAppends)} | {Ratio(fileAppends.Median / floor.Median)} × | ≤ 1.2 × |");
        rows.Add($"| SQLite ledger, one writer | {Both(sqliteAppends)} | {Ratio(sqliteAppends.Median / floor.Median)} × ({Ratio(sqliteAppends.Median / peerRows.Median)} × the peer) | |");
        return floor.Mean;
    }

    private static async Task ManyWritersAsync(string directory, LedgerBenchmarkOptions options, double floorMean, List<string> rows, CancellationToken cancellationToken)
    {
        double single = 1e6 / floorMean;
        await using (FileLedger files = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = Path.Combine(directory, "many") }, cancellationToken).ConfigureAwait(false))
        {
            (double rate, Latencies latency) = await LoadAsync(files, Writers, options.Rounds * 20, cancellationToken).ConfigureAwait(false);
            rows.Add($"| file ledger, {Writers} writers: {rate:N0} records/s | {Both(latency)} | {Ratio(rate / single)} × one event per fdatasync ({single:N0}/s) | ≥ 20 ×, p99 ≤ 20 ms |");
        }

        await using (SqliteLedger sqlite = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Path.Combine(directory, "many.db") }, cancellationToken).ConfigureAwait(false))
        {
            (double rate, Latencies latency) = await LoadAsync(sqlite, Writers, options.Rounds * 20, cancellationToken).ConfigureAwait(false);
            rows.Add($"| SQLite ledger, {Writers} writers: {rate:N0} records/s | {Both(latency)} | {Ratio(rate / single)} × | |");
        }

        if (options.S3 is { } bucket)
        {
            await using S3Ledger s3 = await S3Ledger.OpenAsync(bucket with { Prefix = $"{S3Keys.Root(bucket.Prefix)}bench-{Guid.NewGuid():N}" }, cancellationToken).ConfigureAwait(false);
            (double rate, Latencies latency) = await LoadAsync(s3, Writers, options.Rounds * 5, cancellationToken).ConfigureAwait(false);
            rows.Add($"| S3 ledger, {Writers} writers: {rate:N0} records/s | {Both(latency)} | | ≥ 2,000/s |");
        }
    }

    private static async Task<(double Rate, Latencies Latency)> LoadAsync(ILedger ledger, int writers, int each, CancellationToken cancellationToken)
    {
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        var latency = new Latencies();
        await RunAsync(each / 4, counted: false).ConfigureAwait(false); // Warms up.
        long begin = Stopwatch.GetTimestamp();
        await RunAsync(each, counted: true).ConfigureAwait(false);
        return (writers * each / Stopwatch.GetElapsedTime(begin).TotalSeconds, latency);

        Task RunAsync(int records, bool counted) => Task.WhenAll(Enumerable.Range(0, writers).Select(_ => Task.Run(
            async () =>
            {
                for (int index = 0; index < records; index++)
                {
                    long start = Stopwatch.GetTimestamp();
                    await chain.AppendAsync(Entry(index), cancellationToken).ConfigureAwait(false);
                    if (counted)
                    {
                        latency.Add(start);
                    }
                }
            },
            cancellationToken)));
    }

    private static async Task OpeningAsync(string directory, LedgerBenchmarkOptions options, List<string> rows, CancellationToken cancellationToken)
    {
        var file = new FileLedgerOptions { Directory = Path.Combine(directory, "open") };
        await FillAsync(file, options.OpenRecords, cancellationToken).ConfigureAwait(false);
        double checkpointed = await OpenAsync(file, cancellationToken).ConfigureAwait(false);
        long memory = GC.GetTotalMemory(forceFullCollection: true);
        double whole = await OpenAsync(file with { VerifyEverythingOnOpen = true }, cancellationToken).ConfigureAwait(false);
        rows.Add(string.Create(
            CultureInfo.InvariantCulture,
            $"| opening {options.OpenRecords:N0} records, nothing changed since | {Latencies.Text(checkpointed)} | | {memory / 1024.0 / 1024:N0} MiB of managed memory afterwards | 10 million: < 1 s |"));
        rows.Add(string.Create(CultureInfo.InvariantCulture, $"| opening them and verifying all | {Latencies.Text(whole)} | | {options.OpenRecords / whole * 1e6:N0} records/s | |"));
    }

    private static async Task<double> OpenAsync(FileLedgerOptions options, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        await using FileLedger ledger = await FileLedger.OpenAsync(options, cancellationToken).ConfigureAwait(false);
        await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    /// <summary>Writes a log through the store itself, a full commit at a time.</summary>
    private static async Task FillAsync(FileLedgerOptions options, long records, CancellationToken cancellationToken)
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

    private static async Task<byte[]> LastLineAsync(ILedgerChain chain, CancellationToken cancellationToken)
    {
        await foreach (LedgerRecord record in chain.ReadAsync(chain.Head.Seq, cancellationToken).ConfigureAwait(false))
        {
            return record.ToLine();
        }

        throw new InvalidOperationException("The chain is empty.");
    }

    private static void Count(int round, Latencies latencies, long start)
    {
        if (round > 0)
        {
            latencies.Add(start);
        }
    }

    private static string Both(Latencies latencies) => $"{Latencies.Text(latencies.Median)} | {Latencies.Text(latencies.At(0.99))}";

    private static string Ratio(double ratio) => ratio.ToString("0.00", CultureInfo.InvariantCulture);
}
