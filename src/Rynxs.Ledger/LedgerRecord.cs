using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Rynxs.Ledger;

/// <summary>A record as stored: one canonical JSON line, read back and verified.</summary>
public sealed record LedgerRecord
{
    /// <summary>Gap-free sequence from 0.</summary>
    public required long Seq { get; init; }

    /// <summary>Event type, such as <c>ToolIntent</c>. Unknown types are kept.</summary>
    public required string Type { get; init; }

    /// <summary><c>NAMESPACE/NAME</c> of what the event is about.</summary>
    public required string AggregateId { get; init; }

    /// <summary>Logical time.</summary>
    public required long Ts { get; init; }

    /// <summary>The payload object.</summary>
    public required JsonElement Payload { get; init; }

    /// <summary>The meta object; empty when the record has none.</summary>
    public required JsonElement Meta { get; init; }

    /// <summary>Which hash rules apply: 1 (no <c>hash_version</c> field) or 2.</summary>
    public required int HashVersion { get; init; }

    /// <summary>Lowercase hexadecimal SHA-256.</summary>
    public required string EventHash { get; init; }

    /// <summary>Hash of the record before.</summary>
    public required string PrevHash { get; init; }

    /// <summary>The record's line as it is stored, newline included: canonical, so its hash can be recomputed from it.</summary>
    public byte[] ToLine()
    {
        var text = new ArrayBufferWriter<byte>(512);
        var json = new Canonical.CanonicalWriter(text, allowFloats: true);
        text.Write("{\"event\":{\"aggregate_id\":"u8);
        json.WriteString(AggregateId);
        text.Write(HashVersion == 1 ? ",\"meta\":"u8 : ",\"hash_version\":\"v2\""u8);
        if (HashVersion == 1)
        {
            json.Write(Meta);
        }
        else if (Meta.GetPropertyCount() > 0)
        {
            text.Write(",\"meta\":"u8);
            json.Write(Meta);
        }

        text.Write(",\"payload\":"u8);
        json.Write(Payload);
        text.Write(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $",\"seq\":{Seq},\"ts\":{Ts},\"type\":")));
        json.WriteString(Type);
        text.Write(Encoding.ASCII.GetBytes($"}},\"event_hash\":\"{EventHash}\",\"prev_hash\":\"{PrevHash}\"}}\n"));
        return text.WrittenSpan.ToArray();
    }
}
