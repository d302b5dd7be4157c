using System.Globalization;
using Rynxs.Ledger.Bench;
using Rynxs.Ledger.Stores.Benchmarks;

// Plain program: what is measured is a device, so a harness that repeats until the variance is small would hide what matters.
// Usage: Rynxs.Ledger.Bench [DIRECTORY]   (default: a new directory below the temporary one; it must be on the device to measure)
string root = args is [string given, ..] ? given : Path.GetTempPath();
string directory = Directory.CreateTempSubdirectory("rynxs-bench-").FullName;
if (args.Length > 0)
{
    Directory.Delete(directory);
    directory = Directory.CreateDirectory(Path.Combine(root, "rynxs-bench-" + Environment.ProcessId.ToString(CultureInfo.InvariantCulture))).FullName;
}

try
{
    Console.WriteLine("## Append, durable");
    Console.WriteLine();
    await AppendBench.RunAsync(directory);
    Console.WriteLine();
    Console.WriteLine("## Verify");
    Console.WriteLine();
    await VerifyBench.RunAsync(directory);
    Console.WriteLine();
    Console.WriteLine("## Stores");
    Console.WriteLine();
    await LedgerBenchmark.RunAsync(new LedgerBenchmarkOptions { Directory = directory }, Console.Out, CancellationToken.None);
    Console.WriteLine("## Replay");
    Console.WriteLine();
    await ReplayBench.RunAsync(directory);
}
finally
{
    Directory.Delete(directory, recursive: true);
}
