using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Forensics;

/// <summary>
/// A report as one HTML file with a timeline: no script, nothing loaded from anywhere, and a content security policy that says so. All text
/// of the log is escaped, with controls and invisible characters made visible.
/// </summary>
public static class ForensicHtml
{
    private const string Style = """
        body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1f24;background:#fff}
        h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
        table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #d8dee4}
        td.n{text-align:right;font-variant-numeric:tabular-nums}code{font:12px ui-monospace,monospace}
        .error{color:#b3261e;font-weight:600}.warning{color:#8a5300;font-weight:600}.info{color:#57606a}
        svg{width:100%;height:auto;background:#f6f8fa;border:1px solid #d8dee4;border-radius:6px}svg text{font:11px system-ui,sans-serif;fill:#57606a}
        .bar{fill:#9db7d5}.epoch{stroke:#57606a;stroke-dasharray:2 2}.mark.error{fill:#b3261e}.mark.warning{fill:#c77700}.mark.info{fill:#8c959f}
        @media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}svg{background:#161b22;border-color:#30363d}.bar{fill:#3d5a80}.error{color:#ff8a80}.warning{color:#f2b866}}
        """;

    private const int Left = 170;
    private const int Width = 1000;
    private const int Row = 46;

    /// <summary>The document.</summary>
    public static string Write(ForensicReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        string style = Style.ReplaceLineEndings("\n");
        string hash = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(style)));
        var html = new StringBuilder();
        html.Append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
        html.Append(CultureInfo.InvariantCulture, $"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n");
        html.Append("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\"><title>Forensic report</title>\n");
        html.Append("<style>").Append(style).Append("</style></head><body>\n<h1>Forensic report</h1>\n");
        html.Append(CultureInfo.InvariantCulture, $"<p class=\"{(report.Clean ? "info" : "error")}\">{report.Count(FindingSeverity.Error)} errors, {report.Count(FindingSeverity.Warning)} warnings, {report.Count(FindingSeverity.Info)} notes.</p>\n");
        Timeline(html, report);
        Chains(html, report);
        Findings(html, report);
        return html.Append("</body></html>\n").ToString();
    }

    private static void Timeline(StringBuilder html, ForensicReport report)
    {
        DateTimeOffset? from = report.Chains.Min(chain => chain.From);
        DateTimeOffset? to = report.Chains.Max(chain => chain.To);
        if (from is not { } begin || to is not { } end)
        {
            html.Append("<p class=\"info\">No record states a time, so there is no timeline.</p>\n");
            return;
        }

        double span = Math.Max(1, (end - begin).TotalSeconds);
        double X(DateTimeOffset time) => Left + (Math.Clamp((time - begin).TotalSeconds / span, 0, 1) * (Width - Left - 20));
        int height = (report.Chains.Count * Row) + 30;
        html.Append("<h2>Timeline</h2>\n");
        html.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-label=\"Records and findings over time\">\n");
        for (int index = 0; index < report.Chains.Count; index++)
        {
            ChainSummary chain = report.Chains[index];
            int bottom = ((index + 1) * Row) - 6;
            html.Append(CultureInfo.InvariantCulture, $"<text x=\"8\" y=\"{bottom - 8}\">{Text(Short(chain.Chain))}</text>\n");
            long most = Math.Max(1, chain.Activity.Count == 0 ? 1 : chain.Activity.Max(bucket => bucket.Records));
            foreach (ActivityBucket bucket in chain.Activity)
            {
                double x = X(bucket.From);
                double barWidth = Math.Max(1, X(bucket.From + bucket.Length) - x);
                double barHeight = Math.Max(1, (Row - 16) * Math.Log(1 + bucket.Records) / Math.Log(1 + most));
                html.Append(CultureInfo.InvariantCulture, $"<rect class=\"bar\" x=\"{x:0.##}\" y=\"{bottom - barHeight:0.##}\" width=\"{barWidth:0.##}\" height=\"{barHeight:0.##}\"><title>{ForensicJson.Text(bucket.From)}: {bucket.Records} records</title></rect>\n");
            }

            foreach (EpochMark epoch in chain.Epochs.Where(epoch => epoch.Time is not null).Take(200))
            {
                double x = X(epoch.Time ?? begin);
                html.Append(CultureInfo.InvariantCulture, $"<line class=\"epoch\" x1=\"{x:0.##}\" x2=\"{x:0.##}\" y1=\"{bottom - Row + 10}\" y2=\"{bottom}\"><title>epoch {epoch.Epoch} begins at {epoch.Seq}</title></line>\n");
            }

            foreach (Finding finding in report.Findings.Where(finding => finding.Chain == chain.Chain && finding.Time is not null).OrderBy(finding => finding.Severity).Take(1_000))
            {
                html.Append(CultureInfo.InvariantCulture, $"<circle class=\"mark {Class(finding)}\" cx=\"{X(finding.Time ?? begin):0.##}\" cy=\"{bottom - Row + 16}\" r=\"4\"><title>{Text($"{finding.Code} at {finding.FirstSeq}: {finding.Summary}")}</title></circle>\n");
            }
        }

        html.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"{height - 8}\">{ForensicJson.Text(begin)}</text><text x=\"{Width - 20}\" y=\"{height - 8}\" text-anchor=\"end\">{ForensicJson.Text(end)}</text>\n</svg>\n");
    }

    private static void Chains(StringBuilder html, ForensicReport report)
    {
        html.Append("<h2>Chains</h2>\n<table><tr><th>chain</th><th>records</th><th>head</th><th>from</th><th>to</th><th>openings</th></tr>\n");
        foreach (ChainSummary chain in report.Chains)
        {
            html.Append(
                CultureInfo.InvariantCulture,
                $"<tr><td>{Text(chain.Chain)}</td><td class=\"n\">{chain.Records}</td><td><code>{chain.LastSeq} {chain.LastHash}</code></td><td>{ForensicJson.Text(chain.From) ?? "–"}</td><td>{ForensicJson.Text(chain.To) ?? "–"}</td><td class=\"n\">{chain.Epochs.Count}</td></tr>\n");
        }

        html.Append("</table>\n");
    }

    private static void Findings(StringBuilder html, ForensicReport report)
    {
        html.Append("<h2>Findings</h2>\n");
        if (report.Findings.Count == 0)
        {
            html.Append("<p class=\"info\">None.</p>\n");
            return;
        }

        html.Append("<table><tr><th>severity</th><th>code</th><th>chain</th><th>seq</th><th>time</th><th>what</th></tr>\n");
        foreach (Finding finding in report.Findings)
        {
            string place = finding.FirstSeq == finding.LastSeq || finding.FirstSeq < 0 ? $"{finding.LastSeq}" : $"{finding.FirstSeq}–{finding.LastSeq}";
            html.Append(
                CultureInfo.InvariantCulture,
                $"<tr><td class=\"{Class(finding)}\">{Class(finding)}</td><td><code>{finding.Code}</code></td><td>{Text(finding.Chain)}</td><td class=\"n\">{place}</td><td>{ForensicJson.Text(finding.Time) ?? "–"}</td><td>{Text(finding.Summary)}</td></tr>\n");
        }

        html.Append("</table>\n");
        foreach ((FindingKind kind, long count) in report.NotListed)
        {
            html.Append(CultureInfo.InvariantCulture, $"<p class=\"info\">{count} more of {kind} are not listed.</p>\n");
        }
    }

    private static string Class(Finding finding) => finding.Severity switch
    {
        FindingSeverity.Error => "error",
        FindingSeverity.Warning => "warning",
        _ => "info",
    };

    private static string Short(string chain) => chain.Length <= 24 ? chain : "…" + chain[^23..];

    private static string Text(string text) => WebUtility.HtmlEncode(UntrustedText.OneLine(text, 1_000));
}
