using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Remote;

/// <summary>Limits of the protocol between the role <c>ledger</c> and its clients (docs/operations/ledger-stores.md).</summary>
public static class RemoteLimits
{
    /// <summary>Largest body of one request: 32 MiB, for one entry with 8 MiB of blobs as JSON and more of small ones.</summary>
    public const int MaxBodyBytes = 32 * 1024 * 1024;

    /// <summary>Entries of one request.</summary>
    public const int MaxEntries = 1024;

    /// <summary>Records of one answer to a reader.</summary>
    public const int MaxRecords = 4096;
}

/// <summary>A side blob on its way: both values in base64. The commitment is computed where it arrives.</summary>
/// <param name="Salt">32 bytes.</param>
/// <param name="Content">At most 4 MiB.</param>
public sealed record RemoteBlob(byte[] Salt, byte[] Content);

/// <summary>An entry on its way.</summary>
/// <param name="Key">Its idempotency key: required, so that it can be sent again.</param>
/// <param name="Type">Event type.</param>
/// <param name="AggregateId">What it is about.</param>
/// <param name="Principal">On whose behalf.</param>
/// <param name="Payload">JSON object.</param>
/// <param name="Decider">Version of the decider, or null.</param>
/// <param name="TraceId">W3C trace id, or null.</param>
/// <param name="Blobs">Side blobs, or null.</param>
public sealed record RemoteEntry(
    string Key, string Type, string AggregateId, string Principal, JsonElement Payload, string? Decider = null, string? TraceId = null, IReadOnlyList<RemoteBlob>? Blobs = null)
{
    internal static RemoteEntry Of(LedgerEntry entry, string key) => new(
        key, entry.Payload.EventType, entry.AggregateId, entry.Principal, entry.Payload.ToJson(), entry.Decider, entry.TraceId,
        entry.Blobs.Count == 0 ? null : [.. entry.Blobs.Select(blob => new RemoteBlob(blob.Salt.ToArray(), blob.Content.ToArray()))]);

    /// <summary>The entry as a chain takes it.</summary>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public LedgerEntry ToEntry() => new()
    {
        Payload = new ForwardedPayload(Type, Payload),
        AggregateId = AggregateId,
        Principal = Principal,
        Decider = Decider,
        TraceId = TraceId,
        IdempotencyKey = Key,
        Blobs = Blobs is null ? [] : [.. Blobs.Select(blob => SideBlob.Open(blob.Salt, blob.Content))],
    };
}

/// <summary>Body of an append.</summary>
/// <param name="Epoch">The epoch that the writer has claimed.</param>
/// <param name="Entries">1 to 1024, recorded in this order and together.</param>
public sealed record RemoteAppend(long Epoch, IReadOnlyList<RemoteEntry> Entries);

/// <summary>Answer to an append.</summary>
/// <param name="Records">One per entry, in order.</param>
public sealed record RemoteAppended(IReadOnlyList<RemoteRecord> Records);

/// <summary>Where an entry is.</summary>
public sealed record RemoteRecord(long Seq, string EventHash, string PrevHash);

/// <summary>Body of a claim.</summary>
/// <param name="AfterSeq">
/// Null to take the chain from whoever has it. A sequence to go on after the role was restarted: the claim is refused as fenced if a writer has
/// claimed the chain in a later record.
/// </param>
/// <param name="Writer">
/// Name that the writer has given itself, 1 to 64 letters, digits and <c>-</c>: a claim of its own whose answer was lost does not fence it. Null: every
/// claim is another's.
/// </param>
/// <param name="Name">Who the writer is for people, at most 253 characters; stands in the record of a refusal. Null: its <paramref name="Writer"/>.</param>
public sealed record RemoteClaim(long? AfterSeq = null, string? Writer = null, string? Name = null);

/// <summary>A chain as it is.</summary>
/// <param name="Epoch">Its epoch; 0 where that was not asked for.</param>
/// <param name="Seq">Sequence of its last record.</param>
/// <param name="EventHash">Hash of its last record.</param>
public sealed record RemoteHead(long Epoch, long Seq, string EventHash);

/// <summary>The chains of a ledger.</summary>
/// <param name="Chains">Their paths, in ordinal order.</param>
public sealed record RemoteChains(IReadOnlyList<string> Chains);

/// <summary>The part of an error answer (RFC 9457) that programs act on.</summary>
/// <param name="Code">Stable code.</param>
/// <param name="Detail">For people.</param>
public sealed record RemoteProblem(string? Code, string? Detail)
{
    /// <summary>The writer's epoch is not the chain's: claim it again, with <see cref="RemoteClaim.AfterSeq"/>.</summary>
    public const string EpochChanged = "epoch_changed";

    /// <summary>Another writer has claimed the chain.</summary>
    public const string Fenced = "fenced";

    /// <summary>A key was used again with other content.</summary>
    public const string KeyConflict = "key_conflict";
}

/// <summary>Source-generated serialisers of the protocol.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    MaxDepth = LedgerLimits.MaxDepth + 8)]
[JsonSerializable(typeof(RemoteAppend))]
[JsonSerializable(typeof(RemoteAppended))]
[JsonSerializable(typeof(RemoteClaim))]
[JsonSerializable(typeof(RemoteHead))]
[JsonSerializable(typeof(RemoteChains))]
public sealed partial class RemoteJson : JsonSerializerContext;

/// <summary>Apart from the others: an error answer may have any further fields.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(RemoteProblem))]
internal sealed partial class RemoteProblemJson : JsonSerializerContext;
