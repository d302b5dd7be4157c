using System.CommandLine;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Cli.Stores;

/// <summary><c>rynxs ledger probe</c>: what a bucket can do, or whether a SQLite file is sound.</summary>
internal static class ProbeCommand
{
    public static Command Create(Screen screen)
    {
        var location = new Argument<string>("location") { Description = "s3://BUCKET/PREFIX or sqlite:PATH." };
        var evidence = new Option<string?>("--evidence-bucket") { Description = "Also tries Object Lock on this bucket; leaves an object there that is locked for 30 seconds.", HelpName = "BUCKET" };
        var head = new Option<bool>("--head-cache") { Description = "The head object is needed, so compare-and-swap is, too." };
        var command = new Command("probe", "Finds out whether a bucket has what a ledger rests on; exit code 1 names what it lacks.") { location, evidence, head };
        command.SetAction((parsed, cancellationToken) => StoreArguments.GuardAsync(() => StoreArguments.Parse(parsed.GetRequiredValue(location)) switch
        {
            LedgerLocation.S3 s3 => ProbeAsync(
                s3.Options with
                {
                    EvidenceBucket = parsed.GetValue(evidence),
                    HeadCache = parsed.GetValue(head) ? S3HeadCache.Required : S3HeadCache.WhereItWorks,
                },
                screen, cancellationToken),
            LedgerLocation.Sqlite sqlite => CheckAsync(sqlite.Path, screen, cancellationToken),
            _ => throw new CliException("give s3://BUCKET/PREFIX or sqlite:PATH; for files there is 'rynxs ledger verify'.", ExitCodes.Usage),
        }));
        return command;
    }

    private static async Task<int> ProbeAsync(S3LedgerOptions options, Screen screen, CancellationToken cancellationToken)
    {
        S3ProbeReport report = await S3Ledger.ProbeAsync(options, cancellationToken);
        foreach (S3Finding finding in report.Findings)
        {
            string verdict = finding.Works ? "ok      " : finding.Needed ? "MISSING " : "absent  ";
            screen.Line($"{verdict} {finding.Property}: {finding.Detail}");
        }

        if (report.Missing.Count > 0)
        {
            throw new CliException($"the bucket {options.Bucket} is unfit: it lacks {string.Join(", ", report.Missing)}.");
        }

        screen.Line(report.ComparesAndSwaps ? "fit, with a head object" : "fit, without a head object: the end of a chain is searched for at opening");
        return ExitCodes.Ok;
    }

    private static async Task<int> CheckAsync(string path, Screen screen, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> problems = await SqliteLedger.CheckIntegrityAsync(path, cancellationToken);
        foreach (string problem in problems)
        {
            screen.Line("damaged  " + problem);
        }

        if (problems.Count > 0)
        {
            return ExitCodes.VerificationFailed;
        }

        screen.Line("ok       SQLite finds nothing wrong; hashes are checked by: rynxs ledger verify sqlite:" + path);
        return ExitCodes.Ok;
    }
}
