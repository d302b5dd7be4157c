using System.Text;
using System.Text.Json;
using Rynxs.Resources.Client;
using Rynxs.Resources.Manifests;

namespace Rynxs.Resources.Serialization;

/// <summary>JSON text into nodes: strict RFC 8259, no duplicate keys, bounded in depth and nodes.</summary>
internal static class JsonText
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <exception cref="TextSyntaxException">Not JSON, or over a bound.</exception>
    public static TextNode Parse(ReadOnlySpan<byte> utf8, ManifestLimits limits)
    {
        Utf8JsonReader reader = new(utf8, new JsonReaderOptions { MaxDepth = limits.MaxDepth + 1 });
        LineCounter lines = new(utf8);
        int nodes = 0;
        try
        {
            reader.Read();
            TextNode root = ReadValue(ref reader, ref lines, limits, depth: 0, ref nodes);
            return reader.Read()
                ? throw lines.Fail(reader.TokenStartIndex, "", FieldErrorCodes.Invalid, "more than one JSON value")
                : root;
        }
        catch (JsonException e)
        {
            // JsonException's own text is about positions; ours come from the reader.
            throw lines.Fail(reader.BytesConsumed, "", FieldErrorCodes.Invalid, $"not valid JSON: {Reason(e)}");
        }
        catch (InvalidOperationException)
        {
            // GetString on an unpaired surrogate escape or on bytes that are not UTF-8.
            throw lines.Fail(reader.TokenStartIndex, "", FieldErrorCodes.Invalid, "a string is not valid UTF-8 or holds an unpaired surrogate");
        }
    }

    /// <summary>Refuses bytes that are not UTF-8, with the offset of the first.</summary>
    public static void RequireUtf8(ReadOnlySpan<byte> bytes)
    {
        if (System.Text.Unicode.Utf8.IsValid(bytes))
            return;

        int offset = 0;
        while (offset < bytes.Length && Rune.DecodeFromUtf8(bytes[offset..], out _, out int consumed) == System.Buffers.OperationStatus.Done)
            offset += consumed;
        LineCounter lines = new(bytes);
        throw lines.Fail(offset, "", FieldErrorCodes.Invalid, $"the text is not UTF-8 (byte {offset})");
    }

    private static TextNode ReadValue(ref Utf8JsonReader reader, ref LineCounter lines, ManifestLimits limits, int depth, ref int nodes)
    {
        (int line, int column) = lines.At(reader.TokenStartIndex);
        if (++nodes > limits.MaxNodes)
            throw lines.Fail(reader.TokenStartIndex, "", FieldErrorCodes.TooLong, $"more than {limits.MaxNodes} values in one document");
        if (depth > limits.MaxDepth)
            throw lines.Fail(reader.TokenStartIndex, "", FieldErrorCodes.TooLong, $"nested deeper than {limits.MaxDepth} levels");

        switch (reader.TokenType)
        {
            case JsonTokenType.Null:
                return new TextNode(TextNodeKind.Null, "null", line, column);
            case JsonTokenType.True:
                return new TextNode(TextNodeKind.Boolean, "true", line, column);
            case JsonTokenType.False:
                return new TextNode(TextNodeKind.Boolean, "false", line, column);
            case JsonTokenType.Number:
                return new TextNode(TextNodeKind.Number, Encoding.ASCII.GetString(reader.ValueSpan), line, column);
            case JsonTokenType.String:
                return new TextNode(TextNodeKind.String, reader.GetString() ?? "", line, column);
            case JsonTokenType.StartArray:
                TextNode sequence = new(TextNodeKind.Sequence, "", line, column);
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                    sequence.Items.Add(ReadValue(ref reader, ref lines, limits, depth + 1, ref nodes));
                return sequence;
            case JsonTokenType.StartObject:
                return ReadMembers(ref reader, ref lines, limits, depth, ref nodes, new TextNode(TextNodeKind.Mapping, "", line, column));
            default:
                throw lines.Fail(reader.TokenStartIndex, "", FieldErrorCodes.Invalid, "not valid JSON: a value is missing");
        }
    }

    private static TextNode ReadMembers(
        ref Utf8JsonReader reader, ref LineCounter lines, ManifestLimits limits, int depth, ref int nodes, TextNode mapping)
    {
        HashSet<string> seen = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString() ?? "";
            if (!seen.Add(key))
            {
                throw lines.Fail(reader.TokenStartIndex, "", FieldErrorCodes.Duplicate, $"duplicate field {BadValue.Quote(key)}");
            }

            reader.Read();
            mapping.Members.Add(new(key, ReadValue(ref reader, ref lines, limits, depth + 1, ref nodes)));
        }

        return mapping;
    }

    private static string Reason(JsonException e)
    {
        int cut = e.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return BadValue.Escape(cut < 0 ? e.Message : e.Message[..cut], 160);
    }

    /// <summary>Turns growing byte offsets into lines and columns without going over the text twice.</summary>
    private ref struct LineCounter(ReadOnlySpan<byte> text)
    {
        private readonly ReadOnlySpan<byte> _text = text;
        private int _offset;
        private int _line = 1;
        private int _column = 1;

        public (int Line, int Column) At(long offset)
        {
            int target = (int)Math.Min(offset, _text.Length);
            for (; _offset < target; _offset++)
            {
                if (_text[_offset] == (byte)'\n')
                    (_line, _column) = (_line + 1, 1);
                else if ((_text[_offset] & 0xC0) != 0x80) // continuation bytes of UTF-8 are no characters of their own
                    _column++;
            }

            return (_line, _column);
        }

        public TextSyntaxException Fail(long offset, string field, string code, string message)
        {
            (int line, int column) = At(offset);
            return new TextSyntaxException(field, code, message, line, column);
        }
    }
}
