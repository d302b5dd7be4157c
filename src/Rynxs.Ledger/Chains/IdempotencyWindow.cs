using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Rynxs.Ledger.Chains;

/// <summary>The idempotency keys of a chain's newest records, so that an entry that is sent twice is recorded once.</summary>
/// <remarks>One caller at a time: the committer. Bounded: the oldest key is forgotten.</remarks>
internal sealed class IdempotencyWindow
{
    /// <summary>Keys that are remembered, and records that are read for them after an opening: 16,384.</summary>
    public const int Capacity = 16 * 1024;

    /// <summary>Longest key, in characters.</summary>
    public const int MaxKeyLength = 128;

    private readonly Dictionary<string, Remembered> _known = new(StringComparer.Ordinal);
    private readonly Queue<string> _age = [];

    /// <summary>The record that a key made, with its content's fingerprint; null when the key is not known.</summary>
    public (string Content, AppendedRecord Record)? Find(string key) =>
        _known.TryGetValue(key, out Remembered? known) ? (known.Content, known.Record) : null;

    /// <summary>Remembers a committed record.</summary>
    public void Add(string key, string content, AppendedRecord record)
    {
        if (_known.TryAdd(key, new Remembered(content, record)))
        {
            _age.Enqueue(key);
        }

        while (_age.Count > Capacity)
        {
            _known.Remove(_age.Dequeue());
        }
    }

    /// <summary>Remembers a record that was read back, when it has a key.</summary>
    public void Add(LedgerRecord record)
    {
        if (record.Meta.TryGetProperty("idempotency_key"u8, out JsonElement key) && key.ValueKind == JsonValueKind.String)
        {
            // The line was verified to be canonical, so the payload's text is the text that was hashed when it was appended.
            string content = Fingerprint(record.Type, record.AggregateId, Encoding.UTF8.GetBytes(record.Payload.GetRawText()));
            Add(key.GetString() ?? "", content, new AppendedRecord(record.Seq, record.EventHash, record.PrevHash));
        }
    }

    /// <summary>What two entries with the same key must have in common: type, aggregate and canonical payload.</summary>
    public static string Fingerprint(string type, string aggregateId, ReadOnlySpan<byte> payload)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(type + "\n" + aggregateId + "\n"));
        hash.AppendData(payload);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private sealed record Remembered(string Content, AppendedRecord Record);
}
