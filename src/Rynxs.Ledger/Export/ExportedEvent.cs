using System.Text;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Export;

/// <summary>How grave an event is to whoever watches.</summary>
public enum ExportSeverity
{
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// <summary>One record on its way out. Chain, sequence and hashes go with it, so that a gap shows at the receiver (catalogue F7).</summary>
/// <param name="Chain"><c>control</c> or <c>agents/NAMESPACE/NAME</c>.</param>
/// <param name="Record">The record, verified.</param>
public sealed record ExportedEvent(string Chain, LogRecord Record)
{
    /// <summary>Index of the record's leaf in the Merkle tree of its chain: its sequence, because every record is a leaf.</summary>
    public long LeafIndex => Record.Seq;

    /// <summary>When its commit began; the Unix epoch for records that state no time.</summary>
    public DateTimeOffset Time => Record.Time ?? DateTimeOffset.UnixEpoch;

    /// <summary>On whose behalf; untrusted text.</summary>
    public string Principal => Record.MetaText("principal"u8) ?? "-";

    /// <summary>The payload as canonical JSON: names, codes and commitments, never free text.</summary>
    public string Payload => Encoding.UTF8.GetString(Record.PayloadUtf8);

    /// <summary>W3C trace id; null when there is none.</summary>
    public string? TraceId => Record.MetaText("trace_id"u8) is { Length: 32 } id && id.All(char.IsAsciiHexDigitLower) ? id : null;

    /// <summary>By the kind of event, and for violations by what they state themselves.</summary>
    public ExportSeverity Severity => Record.Type switch
    {
        nameof(SandboxViolation) => Record.PayloadText("severity"u8) switch
        {
            "critical" => ExportSeverity.Critical,
            "high" => ExportSeverity.High,
            "medium" => ExportSeverity.Medium,
            _ => ExportSeverity.Low,
        },
        nameof(WriterFenced) => ExportSeverity.High,
        nameof(RequestDenied) or nameof(EgressDenied) => ExportSeverity.Medium,
        nameof(PolicyDecided) when Record.PayloadText("verdict"u8) == "deny" => ExportSeverity.Medium,
        nameof(ToolOutcome) when Record.PayloadText("status"u8) == "unknown" => ExportSeverity.Medium,
        nameof(ActionFailed) or nameof(LeadershipLost) or nameof(CredentialDisclosed) => ExportSeverity.Low,
        _ => ExportSeverity.Informational,
    };

    /// <summary>True when the record tells of a refusal or a failure.</summary>
    public bool Failed => Record.Type is nameof(RequestDenied) or nameof(EgressDenied) or nameof(ActionFailed) or nameof(WriterFenced)
        || (Record.Type == nameof(PolicyDecided) && Record.PayloadText("verdict"u8) == "deny")
        || (Record.Type == nameof(ToolOutcome) && Record.PayloadText("status"u8) != "ok");
}
