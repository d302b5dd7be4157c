using System.Globalization;
using System.Text;

namespace Rynxs.Ledger.Forensics;

/// <summary>A report as Markdown. Text of the log stands in table cells and can neither end a cell nor become markup.</summary>
public static class ForensicMarkdown
{
    /// <summary>The document.</summary>
    public static string Write(ForensicReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var text = new StringBuilder("# Forensic report\n\n");
        text.Append(CultureInfo.InvariantCulture, $"{(report.Clean ? "No errors." : "**Errors were found.**")} {report.Count(FindingSeverity.Error)} errors, ");
        text.Append(CultureInfo.InvariantCulture, $"{report.Count(FindingSeverity.Warning)} warnings, {report.Count(FindingSeverity.Info)} notes.\n\n");
        text.Append("## Chains\n\n| chain | records | head | from | to | openings |\n|---|---:|---|---|---|---:|\n");
        foreach (ChainSummary chain in report.Chains)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {Cell(chain.Chain)} | {chain.Records} | {chain.LastSeq} {chain.LastHash[..12]} | {ForensicJson.Text(chain.From) ?? "-"} | {ForensicJson.Text(chain.To) ?? "-"} | {chain.Epochs.Count} |\n");
        }

        text.Append("\n## Findings\n\n");
        if (report.Findings.Count == 0)
        {
            return text.Append("None.\n").ToString();
        }

        text.Append("| severity | code | chain | seq | time | what |\n|---|---|---|---:|---|---|\n");
        foreach (Finding finding in report.Findings)
        {
            string place = finding.FirstSeq == finding.LastSeq || finding.FirstSeq < 0 ? $"{finding.LastSeq}" : $"{finding.FirstSeq}–{finding.LastSeq}";
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {finding.Severity.ToString().ToLowerInvariant()} | {finding.Code} | {Cell(finding.Chain)} | {place} | {ForensicJson.Text(finding.Time) ?? "-"} | {Cell(finding.Summary)} |\n");
        }

        foreach ((FindingKind kind, long count) in report.NotListed)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n{count} more of {kind} are not listed.\n");
        }

        return text.ToString();
    }

    // Every ASCII punctuation that Markdown or its HTML could give a meaning to is escaped; the format allows that for all of it.
    private static string Cell(string text)
    {
        var cell = new StringBuilder(text.Length + 16);
        foreach (char c in UntrustedText.OneLine(text, 500))
        {
            if (c is '<' or '>' or '&')
            {
                cell.Append(CultureInfo.InvariantCulture, $"&#{(int)c};");
            }
            else
            {
                cell.Append(c is '|' or '\\' or '`' or '*' or '_' or '[' or ']' or '!' or '#' or '~' ? $"\\{c}" : c.ToString());
            }
        }

        return cell.ToString();
    }
}
