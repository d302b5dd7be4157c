using System.CommandLine;
using System.Globalization;
using System.Text;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Output;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Forensics;
using Rynxs.Ledger.Replay;
using Rynxs.Server.Replay;

namespace Rynxs.Cli.Forensics;

/// <summary><c>rynxs forensics</c>: what an investigator should look at in a ledger.</summary>
internal static class ForensicsCommand
{
    private static readonly string[] Forms = ["table", "json", "markdown", "html"];

    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        var output = new Option<string>("--output", "-o") { Description = "Form of the output: table, json, markdown, html.", HelpName = "FORM", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong(Forms);
        var file = new Option<string?>("--out") { Description = "File to write instead of standard output.", HelpName = "FILE" };
        var gap = new Option<string?>("--gap") { Description = "A longer silence of one writer is reported, such as 30m or 2h (default: 1h).", HelpName = "SPAN" };
        var burst = new Option<int>("--burst") { Description = "So many refusals within a minute are a burst, 2 to 1000000.", HelpName = "N", DefaultValueFactory = _ => 20 };
        var command = new Command(
            "forensics",
            "Looks through every chain of a ledger for what should not be. Needs no server, takes no lock. Exit code 0 clean, 2 when an error was found.")
        {
            path, log, output, file, gap, burst,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            int count = parsed.GetValue(burst);
            if (count is < 2 or > 1_000_000)
            {
                throw new CliException($"--burst: {count} is not within 2 to 1000000.", ExitCodes.Usage);
            }

            var options = new ForensicOptions { Gap = SpanOf(parsed.GetValue(gap)), BurstCount = count };
            ForensicReport report = Analyse(LogArguments.OpenAll(LogArguments.PathOf(parsed, path, log)), options, cancellationToken);
            string text = parsed.GetRequiredValue(output) switch
            {
                "json" => Encoding.UTF8.GetString(ForensicJson.Write(report)),
                "markdown" => ForensicMarkdown.Write(report).TrimEnd('\n'),
                "html" => ForensicHtml.Write(report).TrimEnd('\n'),
                _ => Table(report),
            };
            ReportOutput.Write(screen, parsed.GetValue(file), text);
            return Task.FromResult(report.Clean ? ExitCodes.Ok : ExitCodes.VerificationFailed);
        });
        return command;
    }

    private static ForensicReport Analyse(IReadOnlyList<LogSource> sources, ForensicOptions options, CancellationToken cancellationToken)
    {
        var decisions = new DecisionRecheck();
        long reported = 0;
        bool unreadable = false;
        return ForensicAnalysis.Run(
            sources, options,
            (record, report) =>
            {
                if (unreadable)
                {
                    return;
                }

                try
                {
                    decisions.Observe(record);
                }
                catch (LedgerCorruptException)
                {
                    unreadable = true; // Reported as a malformed payload; decisions after it cannot be made again.
                    return;
                }

                if (decisions.Different > reported)
                {
                    reported = decisions.Different;
                    report(new Finding
                    {
                        Kind = FindingKind.DecisionNotReproducible, Severity = FindingSeverity.Error, Chain = "control", FirstSeq = record.Seq, LastSeq = record.Seq,
                        Time = record.Time, Summary = $"The decider {DecisionRecheck.KnownDecider} would not decide this.",
                    });
                }
            },
            cancellationToken);
    }

    private static string Table(ForensicReport report)
    {
        var text = new StringBuilder();
        foreach (ChainSummary chain in report.Chains)
        {
            text.Append(CultureInfo.InvariantCulture, $"chain    {UntrustedText.OneLine(chain.Chain)}  {chain.Records} records, head seq {chain.LastSeq} {chain.LastHash[..12]}, {chain.Epochs.Count} openings\n");
        }

        foreach (Finding finding in report.Findings)
        {
            string place = finding.FirstSeq == finding.LastSeq || finding.FirstSeq < 0 ? $"{finding.LastSeq}" : $"{finding.FirstSeq}-{finding.LastSeq}";
            text.Append(CultureInfo.InvariantCulture, $"{finding.Severity.ToString().ToLowerInvariant(),-8} {finding.Code,-26} {UntrustedText.OneLine(finding.Chain)}:{place}  {UntrustedText.OneLine(finding.Summary, 500)}\n");
        }

        foreach ((FindingKind kind, long more) in report.NotListed)
        {
            text.Append(CultureInfo.InvariantCulture, $"         {more} more of {kind} are not listed\n");
        }

        return text.Append(CultureInfo.InvariantCulture, $"{report.Count(FindingSeverity.Error)} errors, {report.Count(FindingSeverity.Warning)} warnings, {report.Count(FindingSeverity.Info)} notes").ToString();
    }

    private static TimeSpan SpanOf(string? text)
    {
        if (text is null)
        {
            return new ForensicOptions().Gap;
        }

        long unit = text.Length == 0 ? 0 : text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 };
        return unit > 0 && long.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number is > 0 and <= 36_500
            ? TimeSpan.FromSeconds(number * unit)
            : throw new CliException($"--gap: '{text}' is not a span such as 30m, 2h or 1d.", ExitCodes.Usage);
    }
}
