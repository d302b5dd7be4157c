using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Replay;

/// <summary>Turns lines into records: form and hash are checked here, the place in the chain by the caller.</summary>
/// <remarks>Not safe for concurrent use: it keeps its buffers between lines.</remarks>
internal sealed class RecordParser
{
    private const int HashLength = 64;
    private static readonly System.Buffers.SearchValues<byte> HexDigits = System.Buffers.SearchValues.Create("0123456789abcdef"u8);

    // Types are few and repeat; without this each record would allocate its own.
    private readonly List<(byte[] Utf8, string Text)> _types = [];
    private byte[] _hashed = new byte[1024];

    /// <exception cref="NonCanonicalException">The line is not a record that we accept.</exception>
    public LogRecord Parse(ReadOnlyMemory<byte> line)
    {
        if (line.Length >= LedgerLimits.MaxRecordBytes)
        {
            throw new NonCanonicalException(LineDefect.TooLong, $"The line is longer than {LedgerLimits.MaxRecordBytes} bytes.");
        }

        var cursor = new CanonicalCursor(line.Span);
        cursor.RequireUtf8();
        cursor.Expect("{\"event\":"u8);
        int begin = cursor.At;
        cursor.Expect("{\"aggregate_id\":"u8);
        Range aggregate = cursor.String();
        cursor.Expect(","u8);
        bool second = cursor.Sees("\"hash_version\":"u8);
        if (second)
        {
            cursor.Expect("\"hash_version\":\"v2\","u8);
        }

        Range meta = default;
        if (!second || cursor.Sees("\"meta\":"u8))
        {
            cursor.Expect("\"meta\":"u8);
            meta = cursor.Object(depth: 3);
            cursor.Expect(","u8);
            if (second && meta.End.Value - meta.Start.Value == 2)
            {
                throw new NonCanonicalException(LineDefect.NonCanonical, "event.meta is empty; version 2 leaves an empty meta out.");
            }
        }

        cursor.Expect("\"payload\":"u8);
        Range payload = cursor.Object(depth: 3);
        cursor.Expect(",\"seq\":"u8);
        long seq = cursor.Integer();
        cursor.Expect(",\"ts\":"u8);
        long ts = cursor.Integer();
        cursor.Expect(",\"type\":"u8);
        Range type = cursor.String();
        cursor.Expect("}"u8);
        int end = cursor.At;
        cursor.Expect(",\"event_hash\":"u8);
        Range eventHash = Hash(cursor.String(), line.Span);
        cursor.Expect(",\"prev_hash\":"u8);
        Range prevHash = Hash(cursor.String(), line.Span);
        cursor.Expect("}"u8);
        if (!cursor.IsAtEnd)
        {
            throw new NonCanonicalException(LineDefect.NotJson, "Something stands behind the record.");
        }

        if (seq < 0)
        {
            throw new NonCanonicalException(LineDefect.InvalidField, "event.seq is negative.");
        }

        RequireHash(line.Span, prevHash, line.Span[begin..end], eventHash);
        return new LogRecord(line, new LogRecordParts(aggregate, meta, payload, eventHash, prevHash))
        {
            Seq = seq,
            Ts = ts,
            Type = TypeName(line.Span[type]),
            HashVersion = second ? 2 : 1,
        };
    }

    private void RequireHash(ReadOnlySpan<byte> line, Range prevHash, ReadOnlySpan<byte> content, Range eventHash)
    {
        if (_hashed.Length < HashLength + content.Length)
        {
            _hashed = new byte[Math.Max(_hashed.Length * 2, HashLength + content.Length)];
        }

        line[prevHash].CopyTo(_hashed);
        content.CopyTo(_hashed.AsSpan(HashLength));
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(_hashed.AsSpan(0, HashLength + content.Length), digest);
        Span<byte> text = stackalloc byte[HashLength];
        Convert.TryToHexStringLower(digest, text, out _);
        if (!text.SequenceEqual(line[eventHash]))
        {
            throw new HashMismatchException(Encoding.ASCII.GetString(line[eventHash]), Encoding.ASCII.GetString(text));
        }
    }

    private string TypeName(ReadOnlySpan<byte> raw)
    {
        foreach ((byte[] utf8, string text) in _types)
        {
            if (raw.SequenceEqual(utf8))
            {
                return text;
            }
        }

        string name = Encoding.UTF8.GetString(RawJson.Unescape(raw));
        if (_types.Count < 64 && raw.Length <= 256)
        {
            _types.Add((raw.ToArray(), name));
        }

        return name;
    }

    private static Range Hash(Range range, ReadOnlySpan<byte> line) =>
        range.End.Value - range.Start.Value == HashLength && line[range].IndexOfAnyExcept(HexDigits) < 0
            ? range
            : throw new NonCanonicalException(LineDefect.InvalidField, "A hash is not 64 lowercase hexadecimal digits.");
}

/// <summary>A record's content does not have the hash that it states.</summary>
internal sealed class HashMismatchException(string stated, string computed) : Exception("The content does not have the stated event_hash.")
{
    public string Stated { get; } = stated;

    public string Computed { get; } = computed;
}
