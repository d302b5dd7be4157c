using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Rynxs.Ledger.Canonical;

/// <summary>
/// Reads one record line. A line is accepted only when writing its value canonically gives the same bytes back: everything the original
/// lets slip past its hash (repeated keys, extra keys, whitespace, other escapes) is refused.
/// </summary>
/// <remarks>Not safe for concurrent use: it keeps its buffer between lines.</remarks>
internal sealed class StrictLine
{
    private static readonly JsonDocumentOptions Tokens = new()
    {
        AllowTrailingCommas = false,
        CommentHandling = JsonCommentHandling.Disallow,
        // Depth is checked by the canonical writer, which can name it; a line is too short to exceed this.
        MaxDepth = LedgerLimits.MaxRecordBytes,
    };

    private readonly ArrayBufferWriter<byte> _canonical = new();

    /// <summary>Reads a line without its newline.</summary>
    /// <exception cref="NonCanonicalException">The line is not a record that we accept.</exception>
    public StrictRecord Read(ReadOnlyMemory<byte> line, bool withContent)
    {
        if (line.Length >= LedgerLimits.MaxRecordBytes)
        {
            throw new NonCanonicalException(LineDefect.TooLong, $"The line is longer than {LedgerLimits.MaxRecordBytes} bytes.");
        }

        using JsonDocument document = Tokenise(line);
        _canonical.ResetWrittenCount();
        new CanonicalWriter(_canonical, allowFloats: true).Write(document.RootElement);
        if (!_canonical.WrittenSpan.SequenceEqual(line.Span))
        {
            throw new NonCanonicalException(LineDefect.NonCanonical, "The line is JSON, but not in canonical form.");
        }

        return ReadRecord(document.RootElement, withContent);
    }

    private static JsonDocument Tokenise(ReadOnlyMemory<byte> line)
    {
        try
        {
            return JsonDocument.Parse(line, Tokens);
        }
        catch (JsonException exception)
        {
            // Only the position: the message may quote content.
            throw new NonCanonicalException(LineDefect.NotJson, $"The line is not JSON (at byte {exception.BytePositionInLine}).");
        }
    }

    private static StrictRecord ReadRecord(JsonElement line, bool withContent)
    {
        var top = new Fields(line, "the record", ["event", "event_hash", "prev_hash"]);
        JsonElement content = top.Required("event", JsonValueKind.Object);
        string eventHash = Hash(top.Required("event_hash", JsonValueKind.String), "event_hash");
        string prevHash = Hash(top.Required("prev_hash", JsonValueKind.String), "prev_hash");

        var fields = new Fields(content, "event", ["aggregate_id", "hash_version", "meta", "payload", "seq", "ts", "type"]);
        JsonElement? version = fields.Optional("hash_version", JsonValueKind.String);
        if (version is { } stated && stated.GetString() != "v2")
        {
            throw new NonCanonicalException(LineDefect.InvalidField, "event.hash_version is not 'v2'; version 1 has no such field.");
        }

        JsonElement? meta = version is null
            ? fields.Required("meta", JsonValueKind.Object)
            : fields.Optional("meta", JsonValueKind.Object);
        if (version is not null && meta is { } present && present.GetPropertyCount() == 0)
        {
            throw new NonCanonicalException(LineDefect.NonCanonical, "event.meta is empty; version 2 leaves an empty meta out.");
        }

        JsonElement payload = fields.Required("payload", JsonValueKind.Object);
        string type = fields.Required("type", JsonValueKind.String).GetString() ?? "";
        string aggregateId = fields.Required("aggregate_id", JsonValueKind.String).GetString() ?? "";
        long seq = Integer(fields.Required("seq", JsonValueKind.Number), "event.seq");
        long ts = Integer(fields.Required("ts", JsonValueKind.Number), "event.ts");
        if (seq < 0)
        {
            throw new NonCanonicalException(LineDefect.InvalidField, "event.seq is negative.");
        }

        // The line is canonical, so the bytes of event are the bytes that were hashed.
        string computed = ComputeHash(prevHash, JsonMarshal.GetRawUtf8Value(content));
        return new StrictRecord(seq, eventHash, prevHash, computed, Epoch(meta))
        {
            Content = !withContent ? null : new LedgerRecord
            {
                Seq = seq,
                Type = type,
                AggregateId = aggregateId,
                Ts = ts,
                Payload = payload.Clone(),
                Meta = meta?.Clone() ?? EmptyObject,
                HashVersion = version is null ? 1 : 2,
                EventHash = eventHash,
                PrevHash = prevHash,
            },
        };
    }

    private static readonly JsonElement EmptyObject = JsonElement.Parse("{}"u8);

    private static string ComputeHash(string prevHash, ReadOnlySpan<byte> content)
    {
        Span<byte> prev = stackalloc byte[64];
        Encoding.ASCII.GetBytes(prevHash, prev);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(prev);
        hash.AppendData(content);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Epoch of the writer; 0 for records of the original, which have none.</summary>
    private static long Epoch(JsonElement? meta) =>
        meta is { } fields && fields.TryGetProperty("epoch"u8, out JsonElement epoch)
            && epoch.ValueKind == JsonValueKind.Number && epoch.TryGetInt64(out long value) && value > 0
            ? value
            : 0;

    private static string Hash(JsonElement value, string field)
    {
        string text = value.GetString() ?? "";
        bool valid = text.Length == 64 && text.All(c => c is (>= '0' and <= '9') or (>= 'a' and <= 'f'));
        return valid
            ? text
            : throw new NonCanonicalException(LineDefect.InvalidField, $"{field} is not 64 lowercase hexadecimal digits.");
    }

    private static long Integer(JsonElement value, string field) => value.TryGetInt64(out long number)
        ? number
        : throw new NonCanonicalException(LineDefect.InvalidField, $"{field} is not a 64-bit integer.");

    /// <summary>The fields of one object whose set of keys is closed.</summary>
    private readonly struct Fields
    {
        private readonly JsonElement _object;
        private readonly string _name;

        public Fields(JsonElement value, string name, ReadOnlySpan<string> known)
        {
            if (value.ValueKind != JsonValueKind.Object)
            {
                throw new NonCanonicalException(LineDefect.InvalidField, $"{name} is not an object.");
            }

            foreach (JsonProperty property in value.EnumerateObject())
            {
                if (!known.Contains(property.Name))
                {
                    throw new NonCanonicalException(LineDefect.UnknownField, $"{name} has a field that the format does not know.");
                }
            }

            (_object, _name) = (value, name);
        }

        public JsonElement Required(string key, JsonValueKind kind) => Optional(key, kind)
            ?? throw new NonCanonicalException(LineDefect.MissingField, $"{_name} has no field '{key}'.");

        public JsonElement? Optional(string key, JsonValueKind kind)
        {
            if (!_object.TryGetProperty(key, out JsonElement value))
            {
                return null;
            }

            return value.ValueKind == kind
                ? value
                : throw new NonCanonicalException(LineDefect.InvalidField, $"{_name}.{key} is not of type {kind}.");
        }
    }
}

/// <summary>What the chain needs of a line that is well formed; whether it is in its place is for the caller to check.</summary>
/// <param name="Seq">Stated sequence.</param>
/// <param name="EventHash">Stated hash.</param>
/// <param name="PrevHash">Stated hash of the record before.</param>
/// <param name="ComputedHash">Hash of the content as it is.</param>
/// <param name="Epoch">Epoch of its writer; 0 when it states none.</param>
internal readonly record struct StrictRecord(long Seq, string EventHash, string PrevHash, string ComputedHash, long Epoch)
{
    /// <summary>The whole record; null when it was not asked for.</summary>
    public LedgerRecord? Content { get; init; }
}
