using System.Globalization;
using Rynxs.Cli.Benchmarks;
using Rynxs.Ledger.Bench;
using Rynxs.Ledger.Stores.Benchmarks;

// Plain program: what is measured is a device, so a harness that repeats until the variance is small would hide what matters.
// Usage: Rynxs.Ledger.Bench [DIRECTORY] [--records N]
//   DIRECTORY  on the device to measure; the temporary directory without it
//   --records  records of the log that is opened, 200000 without it; 10000000 take about 5 GB and a minute
// With Debian's radosgw on the machine it measures the S3 store too.
long records = args is [.., "--records", var number] ? long.Parse(number, CultureInfo.InvariantCulture) : 200_000;
string directory = args is [var given, ..] && given != "--records" ? given : Path.GetTempPath();
await using LocalS3? s3 = await LocalS3.TryStartAsync();
await LedgerBenchmark.RunAsync(
    new LedgerBenchmarkOptions { Directory = directory, OpenRecords = records, S3 = s3?.Bucket }, Console.Out, CancellationToken.None);
await VerifyBench.RunAsync(directory, Console.Out);
