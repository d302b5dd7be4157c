using System.Text;
using System.Text.Json;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// One record of a log that is read without a writer: its canonical bytes and where their parts lie. It verifies: form, hash and place in
/// the chain were checked before anyone sees it.
/// </summary>
public sealed class LogRecord
{
    private static readonly JsonDocumentOptions Depth = new() { MaxDepth = LedgerLimits.MaxDepth + 2 };
    private static readonly JsonElement EmptyObject = JsonElement.Parse("{}"u8);

    private readonly LogRecordParts _parts;

    internal LogRecord(ReadOnlyMemory<byte> line, LogRecordParts parts) => (Line, _parts) = (line, parts);

    private ReadOnlyMemory<byte> Line { get; }

    /// <summary>Gap-free sequence from 0.</summary>
    public long Seq { get; internal init; }

    /// <summary>Logical time.</summary>
    public long Ts { get; internal init; }

    /// <summary>Event type; unknown ones are kept. Untrusted text.</summary>
    public string Type { get; internal init; } = "";

    /// <summary>Which hash rules apply: 1 or 2.</summary>
    public int HashVersion { get; internal init; }

    /// <summary>The line without its newline, canonical UTF-8.</summary>
    public ReadOnlyMemory<byte> Utf8 => Line;

    /// <summary><c>NAMESPACE/NAME</c> of what the event is about. Untrusted text.</summary>
    public string AggregateId => Encoding.UTF8.GetString(RawJson.Unescape(Line.Span[_parts.Aggregate]));

    /// <summary>Lowercase hexadecimal SHA-256.</summary>
    public string EventHash => Encoding.ASCII.GetString(Line.Span[_parts.EventHash]);

    /// <summary>Hash of the record before.</summary>
    public string PrevHash => Encoding.ASCII.GetString(Line.Span[_parts.PrevHash]);

    /// <summary>When its commit began, by the writer's clock; null when the record states none. It may go backwards.</summary>
    public DateTimeOffset? Time => MetaText("time"u8) is { Length: <= 40 } text
        && DateTimeOffset.TryParse(
            text, System.Globalization.CultureInfo.InvariantCulture,
            System.Globalization.DateTimeStyles.AssumeUniversal | System.Globalization.DateTimeStyles.AdjustToUniversal, out DateTimeOffset time)
        ? time
        : null;

    /// <summary>The writer's epoch; 0 for records of the original, which have none.</summary>
    public long Epoch => RawJson.Integer(RawJson.Get(MetaUtf8, "epoch"u8)) is { } epoch and > 0 ? epoch : 0;

    internal ReadOnlySpan<byte> EventHashUtf8 => Line.Span[_parts.EventHash];

    internal ReadOnlySpan<byte> PrevHashUtf8 => Line.Span[_parts.PrevHash];

    internal ReadOnlySpan<byte> PayloadUtf8 => Line.Span[_parts.Payload];

    internal ReadOnlySpan<byte> MetaUtf8 => Line.Span[_parts.Meta];

    /// <summary>A text of <c>meta</c>; null when there is none of that name.</summary>
    internal string? MetaText(ReadOnlySpan<byte> key) => RawJson.Text(RawJson.Get(MetaUtf8, key));

    /// <summary>A text at the top level of the payload; null when there is none of that name.</summary>
    internal string? PayloadText(ReadOnlySpan<byte> key) => RawJson.Text(RawJson.Get(PayloadUtf8, key));

    /// <summary>The record with its parts as JSON values.</summary>
    public LedgerRecord ToRecord() => new()
    {
        Seq = Seq,
        Type = Type,
        AggregateId = AggregateId,
        Ts = Ts,
        Payload = Element(Line[_parts.Payload]),
        Meta = Line[_parts.Meta].Length == 0 ? EmptyObject : Element(Line[_parts.Meta]),
        HashVersion = HashVersion,
        EventHash = EventHash,
        PrevHash = PrevHash,
    };

    private static JsonElement Element(ReadOnlyMemory<byte> utf8)
    {
        using JsonDocument document = JsonDocument.Parse(utf8, Depth);
        return document.RootElement.Clone();
    }
}

/// <summary>Where the parts of a record lie in its line: texts without their quotes, <c>Meta</c> empty when there is none.</summary>
internal readonly record struct LogRecordParts(Range Aggregate, Range Meta, Range Payload, Range EventHash, Range PrevHash);
