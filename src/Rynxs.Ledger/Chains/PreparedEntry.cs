using System.Buffers;
using System.Text.Json;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Chains;

/// <summary>
/// An entry in the form in which the commit loop needs it: everything that does not depend on its place in the chain is already
/// canonical bytes, made on the caller's thread.
/// </summary>
/// <remarks>
/// The record is cut where the chain puts its own values: <c>Head EPOCH Middle TIME Tail SEQ ,"ts": TS Type</c>. The idempotency key, being
/// named between epoch and principal, belongs to the middle.
/// </remarks>
internal sealed class PreparedEntry
{
    /// <summary>Largest sum of side blobs of one entry, 8 MiB: a commit's memory stays bounded.</summary>
    public const int MaxBlobBytes = 8 * 1024 * 1024;

    /// <summary>What the chain adds at most: two 19-digit numbers, epoch, time, the hashes and their keys.</summary>
    private const int AddedBytes = 320;

    /// <summary>A scratch buffer that grew beyond this is not kept.</summary>
    private const int KeptBytes = 64 * 1024;

    // Entries are prepared on their callers' threads, one at a time each; what is kept of an entry is an array of its exact length.
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? t_scratch;

    private readonly byte[] _text;
    private readonly int _middle;
    private readonly int _tail;
    private readonly int _type;

    private PreparedEntry(byte[] text, int middle, int tail, int type, IReadOnlyList<BlobLine> blobs, string? key, string content)
    {
        (_text, _middle, _tail, _type) = (text, middle, tail, type);
        (Key, Content) = (key, content);
        Blobs = blobs;
        Bytes = text.Length + AddedBytes + (blobs.Count == 0 ? 0 : blobs.Sum(blob => (long)blob.Line.Length));
    }

    public ReadOnlySpan<byte> Head => _text.AsSpan(.._middle);

    public ReadOnlySpan<byte> Middle => _text.AsSpan(_middle.._tail);

    public ReadOnlySpan<byte> Tail => _text.AsSpan(_tail.._type);

    public ReadOnlySpan<byte> Type => _text.AsSpan(_type..);

    public IReadOnlyList<BlobLine> Blobs { get; }

    /// <summary>The idempotency key, or null.</summary>
    public string? Key { get; }

    /// <summary>Fingerprint of what entries with the same key must have in common; empty without a key.</summary>
    public string Content { get; }

    /// <summary>Upper bound of what it adds to a commit.</summary>
    public long Bytes { get; }

    /// <summary>Where its commit recorded it; set by the commit.</summary>
    public AppendedRecord Place { get; set; }

    /// <exception cref="ArgumentException">The entry has no canonical form, or is too large.</exception>
    public static PreparedEntry Prepare(LedgerEntry entry, string writerId)
    {
        ArgumentException.ThrowIfNullOrEmpty(entry.AggregateId);
        ArgumentException.ThrowIfNullOrEmpty(entry.Principal);
        if (entry.IdempotencyKey is { Length: 0 or > IdempotencyWindow.MaxKeyLength })
        {
            throw new ArgumentException($"IdempotencyKey: 1 to {IdempotencyWindow.MaxKeyLength} characters.", nameof(entry));
        }

        ArrayBufferWriter<byte> text = t_scratch ??= new ArrayBufferWriter<byte>(1024);
        text.ResetWrittenCount();
        try
        {
            var json = new CanonicalWriter(text, allowFloats: false);
            text.Write("{\"event\":{\"aggregate_id\":"u8);
            json.WriteString(entry.AggregateId);
            text.Write(",\"hash_version\":\"v2\",\"meta\":{"u8);
            if (entry.Decider is not null)
            {
                text.Write("\"decider\":"u8);
                json.WriteString(entry.Decider);
                text.Write(","u8);
            }

            text.Write("\"epoch\":"u8);
            int middle = text.WrittenCount;
            if (entry.IdempotencyKey is not null)
            {
                text.Write(",\"idempotency_key\":"u8);
                json.WriteString(entry.IdempotencyKey);
            }

            text.Write(",\"principal\":"u8);
            json.WriteString(entry.Principal);
            text.Write(",\"time\":\""u8);
            int tail = text.WrittenCount;
            text.Write("\""u8);
            if (entry.TraceId is not null)
            {
                text.Write(",\"trace_id\":"u8);
                json.WriteString(entry.TraceId);
            }

            if (writerId.Length > 0)
            {
                text.Write(",\"writer_id\":"u8);
                json.WriteString(writerId);
            }

            text.Write("},\"payload\":"u8);
            int payload = text.WrittenCount;
            json.Write(PayloadJson(entry.Payload));
            string content = entry.IdempotencyKey is null
                ? ""
                : IdempotencyWindow.Fingerprint(entry.Payload.EventType, entry.AggregateId, text.WrittenSpan[payload..]);
            text.Write(",\"seq\":"u8);
            int type = text.WrittenCount;
            text.Write(",\"type\":"u8);
            json.WriteString(entry.Payload.EventType);
            text.Write("}"u8);
            if (text.WrittenCount + AddedBytes > LedgerLimits.MaxRecordBytes)
            {
                throw new ArgumentException(
                    $"The record of {entry.Payload.EventType} would have {text.WrittenCount + AddedBytes} bytes; "
                    + $"at most {LedgerLimits.MaxRecordBytes} are allowed. Put long text into a side blob.", nameof(entry));
            }

            return new PreparedEntry(text.WrittenSpan.ToArray(), middle, tail, type, PrepareBlobs(entry.Blobs), entry.IdempotencyKey, content);
        }
        catch (NonCanonicalException exception)
        {
            throw new ArgumentException($"{entry.Payload.EventType}: {exception.Message}", nameof(entry), exception);
        }
        finally
        {
            t_scratch = text.Capacity > KeptBytes ? null : text;
        }
    }

    private static JsonElement PayloadJson(LedgerPayload payload)
    {
        try
        {
            return payload.ToJson();
        }
        catch (Exception exception) when (exception is InvalidOperationException or JsonException)
        {
            // A JSON value inside the payload that cannot be written: an escaped lone surrogate, or nested too deep.
            throw new ArgumentException($"{payload.EventType}: {exception.Message}", nameof(payload), exception);
        }
    }

    private static IReadOnlyList<BlobLine> PrepareBlobs(IReadOnlyList<SideBlob> blobs)
    {
        if (blobs.Count == 0)
        {
            return [];
        }

        long total = blobs.Sum(blob => (long)blob.Content.Length);
        if (total > MaxBlobBytes)
        {
            throw new ArgumentException($"The side blobs of one entry have {total} bytes; at most {MaxBlobBytes} are allowed.", nameof(blobs));
        }

        return [.. blobs.Select(BlobLine.Of)];
    }
}
