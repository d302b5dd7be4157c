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
}
