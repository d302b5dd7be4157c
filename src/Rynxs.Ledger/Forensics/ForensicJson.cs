using System.Globalization;
using System.Text.Json;

namespace Rynxs.Ledger.Forensics;

/// <summary>A report as JSON, for programs.</summary>
public static class ForensicJson
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>UTF-8, indented.</summary>
    public static byte[] Write(ForensicReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Indented))
        {
            json.WriteStartObject();
            json.WriteBoolean("clean", report.Clean);
            json.WriteStartObject("counts");
            foreach (FindingSeverity severity in Enum.GetValues<FindingSeverity>().Reverse())
            {
                json.WriteNumber(JsonNamingPolicy.SnakeCaseLower.ConvertName(severity.ToString()), report.Count(severity));
            }

            json.WriteEndObject();
            json.WriteStartArray("chains");
            foreach (ChainSummary chain in report.Chains)
            {
                Write(json, chain);
            }

            json.WriteEndArray();
            json.WriteStartArray("findings");
            foreach (Finding finding in report.Findings)
            {
                Write(json, finding);
            }

            json.WriteEndArray();
            json.WriteStartObject("not_listed");
            foreach ((FindingKind kind, long count) in report.NotListed)
            {
                json.WriteNumber(JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString()), count);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    internal static string? Text(DateTimeOffset? time) => time?.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    private static void Write(Utf8JsonWriter json, ChainSummary chain)
    {
        json.WriteStartObject();
        json.WriteString("chain", chain.Chain);
        json.WriteNumber("records", chain.Records);
        json.WriteNumber("last_seq", chain.LastSeq);
        json.WriteString("last_hash", chain.LastHash);
        json.WriteString("from", Text(chain.From));
        json.WriteString("to", Text(chain.To));
        json.WriteStartArray("epochs");
        foreach (EpochMark epoch in chain.Epochs)
        {
            json.WriteStartObject();
            json.WriteNumber("epoch", epoch.Epoch);
            json.WriteNumber("seq", epoch.Seq);
            json.WriteString("time", Text(epoch.Time));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, Finding finding)
    {
        json.WriteStartObject();
        json.WriteString("severity", JsonNamingPolicy.SnakeCaseLower.ConvertName(finding.Severity.ToString()));
        json.WriteString("code", finding.Code);
        json.WriteString("chain", finding.Chain);
        json.WriteNumber("first_seq", finding.FirstSeq);
        json.WriteNumber("last_seq", finding.LastSeq);
        json.WriteString("time", Text(finding.Time));
        json.WriteString("summary", finding.Summary);
        json.WriteEndObject();
    }
}
