using System.Globalization;
using System.Text;
using Rynxs.Ledger.Forensics;

namespace Rynxs.Ledger.Export;

/// <summary>
/// CEF in RFC 5424 messages with octet counting (RFC 6587, section 3.4.1; RFC 5425 over TLS). Facility 13 (log audit). Chain, sequence and leaf
/// index stand in the structured data and in the CEF extension, because receivers keep the one or the other.
/// </summary>
/// <param name="hostName">HOSTNAME of the messages.</param>
/// <param name="version">Version of the product.</param>
public sealed class CefSyslogFormat(string hostName, string version)
{
    /// <summary>Longest message that every receiver of RFC 5425 takes is 2048, and 8192 is recommended: ours stay below that.</summary>
    public const int MaxMessageBytes = 8192;

    private const int MaxPayloadChars = 4096;
    private readonly string _host = Printable(hostName, 255);

    /// <summary>The framed message: its length in octets, a space, the message.</summary>
    public byte[] Frame(ExportedEvent exported)
    {
        byte[] message = Encoding.UTF8.GetBytes(Format(exported));
        return [.. Encoding.ASCII.GetBytes(message.Length.ToString(CultureInfo.InvariantCulture)), (byte)' ', .. message];
    }

    /// <summary>The message without its frame.</summary>
    public string Format(ExportedEvent exported)
    {
        ArgumentNullException.ThrowIfNull(exported);
        int priority = (13 * 8) + (exported.Severity switch
        {
            ExportSeverity.Critical => 2,
            ExportSeverity.High => 3,
            ExportSeverity.Medium => 4,
            ExportSeverity.Low => 5,
            _ => 6,
        });
        string time = exported.Record.Time?.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture) ?? "-";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"<{priority}>1 {time} {_host} rynxs - {Printable(exported.Record.Type, 32)} {StructuredData(exported)} {Cef(exported)}");
    }

    // 32473 is the enterprise number for examples and documentation (RFC 5612); we have none of our own.
    private static string StructuredData(ExportedEvent exported) => string.Create(
        CultureInfo.InvariantCulture,
        $"[rynxs@32473 chain=\"{Parameter(exported.Chain)}\" seq=\"{exported.Record.Seq}\" leaf=\"{exported.LeafIndex}\" hash=\"{exported.Record.EventHash}\" prev=\"{exported.Record.PrevHash}\"]");

    private string Cef(ExportedEvent exported)
    {
        string payload = exported.Payload;
        bool cut = payload.Length > MaxPayloadChars / 2;
        var text = new StringBuilder("CEF:0|Rynxs|Rynxs|");
        text.Append(Header(version)).Append('|').Append(Header(exported.Record.Type)).Append('|').Append(Header(exported.Record.Type)).Append('|')
            .Append((int)exported.Severity switch { 4 => 10, 3 => 8, 2 => 5, 1 => 3, _ => 1 });
        text.Append(CultureInfo.InvariantCulture, $"|rt={exported.Time.ToUnixTimeMilliseconds()} externalId={exported.Record.EventHash}");
        text.Append(CultureInfo.InvariantCulture, $" cs1Label=chain cs1={Extension(exported.Chain, 300)} cn1Label=seq cn1={exported.Record.Seq} cn2Label=leafIndex cn2={exported.LeafIndex}");
        text.Append(CultureInfo.InvariantCulture, $" cs2Label=prevHash cs2={exported.Record.PrevHash} suser={Extension(exported.Principal, 300)} duid={Extension(exported.Record.AggregateId, 300)}");
        text.Append(" outcome=").Append(exported.Failed ? "failure" : "success");
        text.Append(cut ? " cs3Label=payloadCut cs3=true" : "").Append(" msg=").Append(Extension(payload, MaxPayloadChars / 2));
        return text.ToString();
    }

    /// <summary>A name of RFC 5424: printable ASCII without spaces.</summary>
    private static string Printable(string text, int length)
    {
        string name = new([.. text.Where(c => c is > ' ' and <= '~').Take(length)]);
        return name.Length == 0 ? "-" : name;
    }

    private static string Parameter(string text) => UntrustedText.OneLine(text, 300)
        .Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("]", "\\]", StringComparison.Ordinal);

    private static string Header(string text) => UntrustedText.OneLine(text, 100)
        .Replace("\\", "\\\\", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal);

    private static string Extension(string text, int length) => UntrustedText.OneLine(text, length)
        .Replace("\\", "\\\\", StringComparison.Ordinal).Replace("=", "\\=", StringComparison.Ordinal);
}
