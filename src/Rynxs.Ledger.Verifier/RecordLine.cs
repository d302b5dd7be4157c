using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Rynxs.Ledger.Verifier;

/// <summary>What one well-formed record line states.</summary>
internal readonly ref struct RecordLine
{
    /// <summary>Longest line, its newline included.</summary>
    public const int MaxBytes = 1024 * 1024;

    private static readonly SearchValues<byte> HexDigits = SearchValues.Create("0123456789abcdef"u8);

    private RecordLine(EventFields fields, ReadOnlySpan<byte> prevHash, ReadOnlySpan<byte> eventHash, ReadOnlySpan<byte> content)
    {
        Seq = fields.Seq;
        Type = fields.Type;
        Payload = fields.Payload;
        PrevHash = prevHash;
        EventHash = eventHash;
        Content = content;
    }

    public long Seq { get; }

    /// <summary>The record's type, with escapes as they stand.</summary>
    public ReadOnlySpan<byte> Type { get; }

    /// <summary>The payload as it stands.</summary>
    public ReadOnlySpan<byte> Payload { get; }

    public ReadOnlySpan<byte> PrevHash { get; }

    public ReadOnlySpan<byte> EventHash { get; }

    /// <summary>The bytes that were hashed: <c>event</c> as it stands in a canonical line.</summary>
    public ReadOnlySpan<byte> Content { get; }

    /// <summary>Reads a line without its newline.</summary>
    /// <param name="line">The line.</param>
    /// <param name="isUtf8">True when the caller has checked that already.</param>
    /// <exception cref="LineDefectException">It is not a record line in canonical form.</exception>
    public static RecordLine Read(ReadOnlySpan<byte> line, bool isUtf8 = false)
    {
        if (line.Length >= MaxBytes)
        {
            throw new LineDefectException(FailureCodes.TooLong, $"The line is longer than {MaxBytes} bytes.");
        }

        var scanner = new CanonicalScanner(line, isUtf8);
        scanner.BeginObject();
        ReadOnlySpan<byte> key = default;
        bool first = true;
        EventFields fields = default;
        ReadOnlySpan<byte> content = default;
        ReadOnlySpan<byte> eventHash = default;
        ReadOnlySpan<byte> prevHash = default;
        LineDefectException? deferred = null;
        while (scanner.NextMember(ref key, ref first))
        {
            int start = scanner.Position;
            if (key.SequenceEqual("event"u8))
            {
                fields = ReadEvent(ref scanner, ref deferred);
                content = scanner.Slice(start, scanner.Position);
            }
            else if (key.SequenceEqual("event_hash"u8))
            {
                eventHash = ReadHash(ref scanner, "event_hash");
            }
            else if (key.SequenceEqual("prev_hash"u8))
            {
                prevHash = ReadHash(ref scanner, "prev_hash");
            }
            else
            {
                // Defects of the form come first: a repeated or misplaced key is named as such even behind an unknown one.
                scanner.Value();
                deferred ??= Unknown("the record");
            }
        }

        scanner.ExpectEnd();
        if (deferred is not null)
        {
            throw deferred;
        }

        if (content.IsEmpty || eventHash.IsEmpty || prevHash.IsEmpty)
        {
            throw new LineDefectException(FailureCodes.MissingField, "The record has no event, event_hash or prev_hash.");
        }

        return new RecordLine(fields, prevHash, eventHash, content);
    }

    /// <summary>Hash of the content as it is, in lowercase hexadecimal, into 64 bytes.</summary>
    public void ComputeHash(Span<byte> hex)
    {
        Span<byte> digest = stackalloc byte[32];
        RecordHash.Of(PrevHash, Content, digest);
        Convert.TryToHexStringLower(digest, hex, out _);
    }

    private static EventFields ReadEvent(scoped ref CanonicalScanner scanner, scoped ref LineDefectException? deferred)
    {
        ExpectKind(scanner.Next, (byte)'{', "event", "an object");
        scanner.BeginObject();
        ReadOnlySpan<byte> key = default;
        bool first = true;
        long seq = -1;
        ReadOnlySpan<byte> type = default;
        ReadOnlySpan<byte> payload = default;
        bool versioned = false;
        bool hasMeta = false;
        bool emptyMeta = false;
        int required = 0;
        while (scanner.NextMember(ref key, ref first))
        {
            int start = scanner.Position;
            if (key.SequenceEqual("aggregate_id"u8) || key.SequenceEqual("type"u8))
            {
                ExpectKind(scanner.Next, (byte)'"', Encoding.ASCII.GetString(key), "a text");
                ReadOnlySpan<byte> text = scanner.Text();
                type = key.Length == 4 ? text : type; // Of the two only "type" has four letters.
                required++;
            }
            else if (key.SequenceEqual("hash_version"u8))
            {
                ExpectKind(scanner.Next, (byte)'"', "hash_version", "a text");
                versioned = scanner.Text().SequenceEqual("v2"u8);
                if (!versioned)
                {
                    deferred ??= new LineDefectException(
                        FailureCodes.InvalidField, "event.hash_version is not 'v2'; version 1 has no such field.");
                }
            }
            else if (key.SequenceEqual("meta"u8))
            {
                ExpectKind(scanner.Next, (byte)'{', "meta", "an object");
                scanner.Value();
                hasMeta = true;
                emptyMeta = scanner.Position - start == 2;
            }
            else if (key.SequenceEqual("payload"u8))
            {
                ExpectKind(scanner.Next, (byte)'{', "payload", "an object");
                scanner.Value();
                payload = scanner.Slice(start, scanner.Position);
                required++;
            }
            else if (key.SequenceEqual("seq"u8))
            {
                seq = ReadInteger(ref scanner, "seq");
                required++;
            }
            else if (key.SequenceEqual("ts"u8))
            {
                ReadInteger(ref scanner, "ts");
                required++;
            }
            else
            {
                scanner.Value();
                deferred ??= Unknown("event");
            }
        }

        deferred ??= (required, versioned, hasMeta, emptyMeta, seq) switch
        {
            ( < 5, _, _, _, _) => new LineDefectException(FailureCodes.MissingField, "event lacks one of aggregate_id, payload, seq, ts, type."),
            (_, false, false, _, _) => new LineDefectException(FailureCodes.MissingField, "event has no meta, which version 1 requires."),
            (_, true, _, true, _) => new LineDefectException(FailureCodes.NonCanonical, "event.meta is empty; version 2 leaves an empty meta out."),
            (_, _, _, _, < 0) => new LineDefectException(FailureCodes.InvalidField, "event.seq is negative."),
            _ => null,
        };
        return new EventFields(seq, type, payload);
    }

    private static long ReadInteger(scoped ref CanonicalScanner scanner, string field)
    {
        if (scanner.Next is not ((byte)'-' or (>= (byte)'0' and <= (byte)'9')))
        {
            throw new LineDefectException(FailureCodes.InvalidField, $"event.{field} is not a whole number.");
        }

        ReadOnlySpan<byte> digits = scanner.Integer();
        return Utf8Parser.TryParse(digits, out long value, out int consumed) && consumed == digits.Length
            ? value
            : throw new LineDefectException(FailureCodes.InvalidField, $"event.{field} is beyond 64 bits.");
    }

    private static ReadOnlySpan<byte> ReadHash(scoped ref CanonicalScanner scanner, string field)
    {
        ExpectKind(scanner.Next, (byte)'"', field, "a text");
        ReadOnlySpan<byte> hash = scanner.Text();
        return hash.Length == 64 && hash.IndexOfAnyExcept(HexDigits) < 0
            ? hash
            : throw new LineDefectException(FailureCodes.InvalidField, $"{field} is not 64 lowercase hexadecimal digits.");
    }

    private static void ExpectKind(byte next, byte expected, string field, string kind)
    {
        if (next != expected)
        {
            // Whitespace and garbage are no kind of value: say what they are.
            throw next is (byte)' ' or (byte)'\t'
                ? new LineDefectException(FailureCodes.NonCanonical, "There is whitespace between tokens.")
                : new LineDefectException(FailureCodes.InvalidField, $"{field} is not {kind}.");
        }
    }

    private readonly ref struct EventFields(long seq, ReadOnlySpan<byte> type, ReadOnlySpan<byte> payload)
    {
        public long Seq { get; } = seq;

        public ReadOnlySpan<byte> Type { get; } = type;

        public ReadOnlySpan<byte> Payload { get; } = payload;
    }

    private static LineDefectException Unknown(string where) =>
        new(FailureCodes.UnknownField, $"{where} has a field that the format does not know.");
}
