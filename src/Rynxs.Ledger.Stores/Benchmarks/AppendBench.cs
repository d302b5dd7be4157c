using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>Durable appends of every store, beside the raw disk and SQLite with a row per transaction.</summary>
internal static class AppendBench
{
    private const int PerRound = 50;
    private const int Writers = 64;

    public static async Task<List<string>> OneWriterAsync(string directory, LedgerBenchmarkOptions options, CancellationToken cancellationToken)
    {
        await using FileLedger files = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = Path.Combine(directory, "files") }, cancellationToken).ConfigureAwait(false);
        await using SqliteLedger sqlite = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Path.Combine(directory, "ledger.db") }, cancellationToken).ConfigureAwait(false);
        ILedgerChain inFiles = await files.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        ILedgerChain inSqlite = await sqlite.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        byte[] line = await SampleLineAsync(inFiles, cancellationToken).ConfigureAwait(false);
        using var raw = new RawDisk(Path.Combine(directory, "raw"), line);
        using var peer = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = Path.Combine(directory, "peer.db"), Pooling = false }.ToString());
        peer.Open();
        SqliteDatabase.Execute(peer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE records (seq INTEGER PRIMARY KEY, line BLOB NOT NULL)");
        using SqliteCommand insert = peer.CreateCommand();
        insert.CommandText = "INSERT INTO records (line) VALUES ($line)";
        insert.Parameters.AddWithValue("$line", line);

        Latencies floor = new(), peerRows = new(), fileAppends = new(), withBlob = new(), sqliteAppends = new();
        for (int round = 0; round < options.Rounds; round++)
        {
            for (int index = 0; index < PerRound; index++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                long start = Stopwatch.GetTimestamp();
                raw.Write();
                Count(round, floor, start);

                LedgerEntry entry = LedgerBenchmark.Entry(index);
                start = Stopwatch.GetTimestamp();
                await inFiles.AppendAsync(entry, cancellationToken).ConfigureAwait(false);
                Count(round, fileAppends, start);

                LedgerEntry large = entry with { Blobs = [SideBlob.Create("preview of a result")] };
                start = Stopwatch.GetTimestamp();
                await inFiles.AppendAsync(large, cancellationToken).ConfigureAwait(false);
                Count(round, withBlob, start);

                start = Stopwatch.GetTimestamp();
                insert.ExecuteNonQuery();
                Count(round, peerRows, start);

                start = Stopwatch.GetTimestamp();
                await inSqlite.AppendAsync(entry, cancellationToken).ConfigureAwait(false);
                Count(round, sqliteAppends, start);
            }
        }

        return
        [
            $"| raw write + fdatasync of {line.Length} bytes (floor; {floor.Count} samples) | {Both(floor)} | 1 | |",
            $"| SQLite, one row per transaction (peer) | {Both(peerRows)} | {Beside(peerRows, floor)} × | |",
            $"| file ledger, one writer | {Both(fileAppends)} | {Beside(fileAppends, floor)} × | ≤ 1.2 × |",
            $"| file ledger, one writer, with a side blob (two syncs) | {Both(withBlob)} | {Beside(withBlob, floor)} × | |",
            $"| SQLite ledger, one writer | {Both(sqliteAppends)} | {Beside(sqliteAppends, floor)} × ({Beside(sqliteAppends, peerRows)} × the peer) | |",
        ];
    }

    public static async Task<List<string>> ManyWritersAsync(string directory, LedgerBenchmarkOptions options, CancellationToken cancellationToken)
    {
        var rows = new List<string>();
        await using (FileLedger files = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = Path.Combine(directory, "many") }, cancellationToken).ConfigureAwait(false))
        {
            rows.Add(await RowAsync("file", files, Path.Combine(directory, "many.raw"), options.Rounds, 300, "≥ 20 ×, p99 ≤ 20 ms", cancellationToken).ConfigureAwait(false));
        }

        await using (SqliteLedger sqlite = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Path.Combine(directory, "many.db") }, cancellationToken).ConfigureAwait(false))
        {
            rows.Add(await RowAsync("SQLite", sqlite, Path.Combine(directory, "many-sqlite.raw"), options.Rounds, 100, "", cancellationToken).ConfigureAwait(false));
        }

        if (options.S3 is { } bucket)
        {
            await using S3Ledger s3 = await S3Ledger.OpenAsync(bucket with { Prefix = $"{S3Keys.Root(bucket.Prefix)}bench-{Guid.NewGuid():N}" }, cancellationToken).ConfigureAwait(false);
            rows.Add(await RowAsync("S3", s3, Path.Combine(directory, "many-s3.raw"), options.Rounds, 20, "≥ 2,000/s", cancellationToken).ConfigureAwait(false));
        }

        return rows;
    }

    /// <summary>Rounds of the disk alone and of all writers take turns; the row gives medians over the rounds.</summary>
    private static async Task<string> RowAsync(
        string name, ILedger ledger, string rawPath, int rounds, int each, string budget, CancellationToken cancellationToken)
    {
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken).ConfigureAwait(false);
        using var raw = new RawDisk(rawPath, await SampleLineAsync(chain, cancellationToken).ConfigureAwait(false));

        // Until the runtime has compiled what runs in every round to its last tier.
        for (int round = 0; round < 3; round++)
        {
            await LoadAsync(chain, each, latency: null, cancellationToken).ConfigureAwait(false);
        }

        var latency = new Latencies();
        List<double> rates = [], ratios = [], processor = [], singles = [];
        for (int round = 0; round < rounds; round++)
        {
            var floor = new Latencies();
            for (int index = 0; index < PerRound; index++)
            {
                long start = Stopwatch.GetTimestamp();
                raw.Write();
                floor.Add(start);
            }

            TimeSpan used = Environment.CpuUsage.TotalTime;
            long begin = Stopwatch.GetTimestamp();
            await LoadAsync(chain, each, latency, cancellationToken).ConfigureAwait(false);
            double rate = Writers * each / Stopwatch.GetElapsedTime(begin).TotalSeconds;
            processor.Add((Environment.CpuUsage.TotalTime - used).TotalMicroseconds / (Writers * each));
            singles.Add(1e6 / floor.Mean);
            rates.Add(rate);
            ratios.Add(rate * floor.Mean / 1e6);
        }

        return $"| {name} ledger, {Writers} writers: {Median(rates):N0} records/s, {Median(processor):0.0} µs of processor time each | {Both(latency)} "
            + $"| {LedgerBenchmark.Ratio(Median(ratios))} × one event per fdatasync ({Median(singles):N0}/s) | {budget} |";
    }

    private static Task LoadAsync(ILedgerChain chain, int each, Latencies? latency, CancellationToken cancellationToken) =>
        Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(
            async () =>
            {
                for (int index = 0; index < each; index++)
                {
                    long start = Stopwatch.GetTimestamp();
                    await chain.AppendAsync(LedgerBenchmark.Entry(index), cancellationToken).ConfigureAwait(false);
                    latency?.Add(start);
                }
            },
            cancellationToken)));

    /// <summary>A line as the chain writes it: the floor writes the same bytes.</summary>
    private static async Task<byte[]> SampleLineAsync(ILedgerChain chain, CancellationToken cancellationToken)
    {
        await chain.AppendAsync(LedgerBenchmark.Entry(0), cancellationToken).ConfigureAwait(false);
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

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static string Both(Latencies latencies) => $"{Latencies.Text(latencies.Median)} | {Latencies.Text(latencies.At(0.99))}";

    private static string Beside(Latencies measured, Latencies floor) => LedgerBenchmark.Ratio(measured.Median / floor.Median);

    /// <summary>The floor: the same bytes, written and synced by nothing but the two calls.</summary>
    private sealed class RawDisk(string path, byte[] line) : IDisposable
    {
        private readonly SafeFileHandle _file = LedgerFile.CreateEmpty(path);
        private long _offset;

        public void Write()
        {
            RandomAccess.Write(_file, line, _offset);
            LinuxFile.SyncData(_file);
            _offset += line.Length;
        }

        public void Dispose() => _file.Dispose();
    }
}
