using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger;

/// <summary>
/// What a caller wants recorded. The chain adds the rest when it commits: <c>seq</c>, <c>ts</c> (logical), <c>meta.time</c>
/// (RFC 3339 UTC), <c>meta.epoch</c> and the hashes.
/// </summary>
public sealed record LedgerEntry
{
    /// <summary>The typed payload; its <see cref="LedgerPayload.EventType"/> becomes the record's <c>type</c>.</summary>
    public required LedgerPayload Payload { get; init; }

    /// <summary><c>NAMESPACE/NAME</c> of what the event is about.</summary>
    public required string AggregateId { get; init; }

    /// <summary>Name of the principal on whose behalf this happens; recorded as <c>meta.principal</c>.</summary>
    public required string Principal { get; init; }

    /// <summary>Version of the pure decider that produced the event; recorded as <c>meta.decider</c>. Null outside control decisions.</summary>
    public string? Decider { get; init; }

    /// <summary>W3C trace id, recorded as <c>meta.trace_id</c>.</summary>
    public string? TraceId { get; init; }

    /// <summary>
    /// Makes appending safe to repeat: an entry with the key of one of the chain's newest records (16,384 keys are remembered) is not recorded
    /// again; the answer is the record that is there. 1 to 128 characters, recorded as <c>meta.idempotency_key</c>. Null when the caller never
    /// repeats. The repeated entry must have the same type, aggregate and payload, so the same side blobs too: a new salt is another payload.
    /// </summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>Side blobs that the payload commits to. They are durable before the record is.</summary>
    public IReadOnlyList<SideBlob> Blobs { get; init; } = [];
}

/// <summary>Where an entry ended up.</summary>
/// <param name="Seq">Gap-free sequence from 0.</param>
/// <param name="EventHash">Lowercase hexadecimal SHA-256, 64 characters.</param>
/// <param name="PrevHash">Hash of the record before; 64 zeros for the first.</param>
public readonly record struct AppendedRecord(long Seq, string EventHash, string PrevHash);

/// <summary>The last committed record of a chain.</summary>
/// <param name="Seq">Its sequence; -1 for an empty chain.</param>
/// <param name="EventHash">Its hash; 64 zeros for an empty chain.</param>
public readonly record struct ChainHead(long Seq, string EventHash);
