using System.CommandLine;
using Rynxs.Cli.Stores;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Stores.Benchmarks;
using Rynxs.Ledger.Stores.Copying;

namespace Rynxs.Cli.Benchmarks;

/// <summary><c>rynxs bench ledger</c>: the device's floor, a peer and the ledger, in one run.</summary>
internal static class BenchCommand
{
    public static Command Create(Screen screen) => new("bench", "Measures parts of Rynxs on this machine, beside their floors.") { Ledger(screen), SandboxBenchCommand.Create(screen), GatewayBenchCommand.Create(screen) };

    private static Command Ledger(Screen screen)
    {
        var directory = new Option<string>("--directory") { Description = "On the device that is to be measured; a directory is made in it and removed.", HelpName = "DIR", DefaultValueFactory = _ => "." };
        var records = new Option<long>("--records") { Description = "Records of the log that is opened; 10000000 takes about 5 GB.", HelpName = "N", DefaultValueFactory = _ => 200_000 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds of 50 records per row.", HelpName = "N", DefaultValueFactory = _ => 12 };
        var bucket = new Option<string?>("--s3") { Description = "Also measures a bucket; its objects stay.", HelpName = "s3://BUCKET/PREFIX" };
        var command = new Command("ledger", "Appends of every store beside raw write + fdatasync and SQLite with a row per transaction; hashing, opening, memory, replay and verification.") { directory, records, rounds, bucket };
        command.SetAction((parsed, cancellationToken) => StoreArguments.GuardAsync(async () =>
        {
            if (parsed.GetValue(records) is < 1 or > 100_000_000 || parsed.GetValue(rounds) is < 2 or > 1000)
            {
                throw new CliException("--records: 1 to 100000000; --rounds: 2 to 1000.", ExitCodes.Usage);
            }

            LedgerLocation.S3? s3 = parsed.GetValue(bucket) is { } text
                ? StoreArguments.Parse(text) as LedgerLocation.S3 ?? throw new CliException("--s3: give s3://BUCKET/PREFIX.", ExitCodes.Usage)
                : null;
            await LedgerBenchmark.RunAsync(
                new LedgerBenchmarkOptions
                {
                    Directory = parsed.GetRequiredValue(directory),
                    OpenRecords = parsed.GetValue(records),
                    Rounds = parsed.GetValue(rounds),
                    S3 = s3?.Options,
                },
                screen.Output, cancellationToken);
            await VerifyBench.RunAsync(parsed.GetRequiredValue(directory), screen.Output);
            return ExitCodes.Ok;
        }));
        return command;
    }
}
