using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Rynxs.Ledger.Canonical;

/// <summary>
/// Writes JSON values in canonical form. System.Text.Json only tokenises here: its encoders and its key order differ from the format
/// (it escapes more, and ordinal string order is by UTF-16 unit, which puts U+1F600 before U+FFFD).
/// </summary>
internal readonly struct CanonicalWriter(ArrayBufferWriter<byte> output, bool allowFloats)
{
    /// <summary>Bytes that the format escapes: the quote, the backslash and the C0 controls.</summary>
    private static readonly SearchValues<byte> Escaped = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Select(value => (byte)value), (byte)'"', (byte)'\\']);

    public void Write(JsonElement value) => Write(value, depth: 0);

    /// <summary>Writes a string value with its quotes.</summary>
    /// <exception cref="NonCanonicalException">The text holds a lone surrogate.</exception>
    public void WriteString(string text)
    {
        // Straight into the output, between its quotes; only a text that needs an escape is written a second time.
        Span<byte> space = output.GetSpan(Encoding.UTF8.GetMaxByteCount(text.Length) + 2);
        if (Utf8.FromUtf16(text, space[1..^1], out _, out int written, replaceInvalidSequences: false) != OperationStatus.Done)
        {
            throw new NonCanonicalException(LineDefect.InvalidUtf8, "A text holds a lone surrogate, which has no UTF-8 form.");
        }

        ReadOnlySpan<byte> utf8 = space.Slice(1, written);
        if (utf8.ContainsAny(Escaped))
        {
            WriteEscaped(utf8.ToArray());
            return;
        }

        space[0] = space[written + 1] = (byte)'"';
        output.Advance(written + 2);
    }

    /// <summary>Writes a string value with its quotes; the text is valid UTF-8.</summary>
    public void WriteUtf8String(ReadOnlySpan<byte> text) => WriteEscaped(text);

    private void Write(JsonElement value, int depth)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                WriteObject(value, NextDepth(depth));
                break;
            case JsonValueKind.Array:
                WriteArray(value, NextDepth(depth));
                break;
            case JsonValueKind.String:
                WriteRawString(JsonMarshal.GetRawUtf8Value(value)[1..^1]);
                break;
            case JsonValueKind.Number:
                WriteNumber(JsonMarshal.GetRawUtf8Value(value));
                break;
            case JsonValueKind.True:
                output.Write("true"u8);
                break;
            case JsonValueKind.False:
                output.Write("false"u8);
                break;
            case JsonValueKind.Null:
                output.Write("null"u8);
                break;
            case JsonValueKind.Undefined:
            default:
                throw new NonCanonicalException(LineDefect.NotJson, "An undefined value has no canonical form.");
        }
    }

    private static int NextDepth(int depth) => depth < LedgerLimits.MaxDepth
        ? depth + 1
        : throw new NonCanonicalException(LineDefect.TooDeep, $"Nested deeper than {LedgerLimits.MaxDepth}.");

    private void WriteArray(JsonElement array, int depth)
    {
        output.Write("["u8);
        bool first = true;
        foreach (JsonElement item in array.EnumerateArray())
        {
            if (!first)
            {
                output.Write(","u8);
            }

            first = false;
            Write(item, depth);
        }

        output.Write("]"u8);
    }

    private void WriteObject(JsonElement value, int depth)
    {
        int count = value.GetPropertyCount();
        JsonProperty[] members = ArrayPool<JsonProperty>.Shared.Rent(count);
        try
        {
            int next = 0;
            bool escaped = false;
            foreach (JsonProperty member in value.EnumerateObject())
            {
                escaped |= JsonMarshal.GetRawUtf8PropertyName(member).Contains((byte)'\\');
                members[next++] = member;
            }

            if (escaped)
            {
                WriteEscapedMembers(members.AsSpan(0, count), depth);
            }
            else
            {
                WriteMembers(members.AsSpan(0, count), depth);
            }
        }
        finally
        {
            ArrayPool<JsonProperty>.Shared.Return(members, clearArray: true);
        }
    }

    /// <summary>The usual case: no key holds an escape, so the keys as they stand are the keys that are meant.</summary>
    private void WriteMembers(Span<JsonProperty> members, int depth)
    {
        // UTF-8 order is code point order. What was canonical before is in order already.
        if (!AreInOrder(members))
        {
            members.Sort(static (left, right) =>
                JsonMarshal.GetRawUtf8PropertyName(left).SequenceCompareTo(JsonMarshal.GetRawUtf8PropertyName(right)));
        }

        output.Write("{"u8);
        for (int index = 0; index < members.Length; index++)
        {
            ReadOnlySpan<byte> key = JsonMarshal.GetRawUtf8PropertyName(members[index]);
            bool repeated = index > 0 && key.SequenceEqual(JsonMarshal.GetRawUtf8PropertyName(members[index - 1]));
            WriteKey(key, first: index == 0, repeated, plain: true);
            Write(members[index].Value, depth);
        }

        output.Write("}"u8);
    }

    private static bool AreInOrder(ReadOnlySpan<JsonProperty> members)
    {
        for (int index = 1; index < members.Length; index++)
        {
            if (JsonMarshal.GetRawUtf8PropertyName(members[index - 1]).SequenceCompareTo(JsonMarshal.GetRawUtf8PropertyName(members[index])) > 0)
            {
                return false;
            }
        }

        return true;
    }

    private void WriteEscapedMembers(Span<JsonProperty> members, int depth)
    {
        var unescaped = new (byte[] Key, JsonElement Value)[members.Length];
        for (int index = 0; index < members.Length; index++)
        {
            unescaped[index] = (Unescape(JsonMarshal.GetRawUtf8PropertyName(members[index])), members[index].Value);
        }

        Array.Sort(unescaped, static (left, right) => left.Key.AsSpan().SequenceCompareTo(right.Key));
        output.Write("{"u8);
        for (int index = 0; index < unescaped.Length; index++)
        {
            (byte[] key, JsonElement value) = unescaped[index];
            bool repeated = index > 0 && key.AsSpan().SequenceEqual(unescaped[index - 1].Key);
            WriteKey(key, first: index == 0, repeated, plain: false);
            Write(value, depth);
        }

        output.Write("}"u8);
    }

    private void WriteKey(ReadOnlySpan<byte> key, bool first, bool repeated, bool plain)
    {
        if (repeated)
        {
            throw new NonCanonicalException(
                LineDefect.DuplicateKey, $"The key '{Encoding.UTF8.GetString(key)}' is repeated in one object.");
        }

        if (!first)
        {
            output.Write(","u8);
        }

        if (plain)
        {
            WriteRawString(key);
        }
        else
        {
            WriteEscaped(key);
        }

        output.Write(":"u8);
    }

    private void WriteNumber(ReadOnlySpan<byte> raw)
    {
        if (raw.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0)
        {
            output.Write(raw.SequenceEqual("-0"u8) ? "0"u8 : raw);
            return;
        }

        if (!allowFloats)
        {
            throw new NonCanonicalException(
                LineDefect.BadNumber, "A number with a fraction or an exponent is not allowed in new records; write it as a text or scale it.");
        }

        double number = double.Parse(raw, NumberStyles.Float, CultureInfo.InvariantCulture);
        if (!double.IsFinite(number))
        {
            throw new NonCanonicalException(LineDefect.BadNumber, "A number is beyond the range of a double.");
        }

        output.Write(Encoding.ASCII.GetBytes(PythonFloat.Repr(number)));
    }

    private void WriteRawString(ReadOnlySpan<byte> raw)
    {
        if (raw.Contains((byte)'\\'))
        {
            WriteEscaped(Unescape(raw));
            return;
        }

        ThrowIfNotUtf8(raw);
        Span<byte> space = output.GetSpan(raw.Length + 2);
        space[0] = space[raw.Length + 1] = (byte)'"';
        raw.CopyTo(space[1..]);
        output.Advance(raw.Length + 2);
    }

    /// <summary>Unescapes the inside of a JSON string that the tokeniser accepted.</summary>
    private static byte[] Unescape(ReadOnlySpan<byte> raw)
    {
        ThrowIfNotUtf8(raw);
        if (!raw.Contains((byte)'\\'))
        {
            return raw.ToArray();
        }

        // An escape is never shorter than the UTF-8 that it stands for.
        byte[] text = new byte[raw.Length];
        int length = 0;
        for (int index = 0; index < raw.Length; index++)
        {
            if (raw[index] != '\\')
            {
                text[length++] = raw[index];
                continue;
            }

            index++;
            if (raw[index] != 'u')
            {
                text[length++] = raw[index] switch
                {
                    (byte)'b' => 0x08,
                    (byte)'f' => 0x0C,
                    (byte)'n' => 0x0A,
                    (byte)'r' => 0x0D,
                    (byte)'t' => 0x09,
                    byte itself => itself,
                };
                continue;
            }

            int scalar = HexUnit(raw.Slice(index + 1, 4));
            index += 4;
            if (char.IsHighSurrogate((char)scalar) && raw[(index + 1)..].StartsWith("\\u"u8))
            {
                int low = HexUnit(raw.Slice(index + 3, 4));
                if (char.IsLowSurrogate((char)low))
                {
                    scalar = char.ConvertToUtf32((char)scalar, (char)low);
                    index += 6;
                }
            }

            if (!Rune.TryCreate(scalar, out Rune rune))
            {
                throw new NonCanonicalException(LineDefect.InvalidUtf8, "An escape names a lone surrogate, which has no UTF-8 form.");
            }

            length += rune.EncodeToUtf8(text.AsSpan(length));
        }

        return text[..length];
    }

    private static int HexUnit(ReadOnlySpan<byte> digits) =>
        int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static void ThrowIfNotUtf8(ReadOnlySpan<byte> text)
    {
        if (!Utf8.IsValid(text))
        {
            throw new NonCanonicalException(LineDefect.InvalidUtf8, "A text is not valid UTF-8.");
        }
    }

    private void WriteEscaped(ReadOnlySpan<byte> text)
    {
        output.Write("\""u8);
        while (text.IndexOfAny(Escaped) is int at and >= 0)
        {
            output.Write(text[..at]);
            WriteEscape(text[at]);
            text = text[(at + 1)..];
        }

        output.Write(text);
        output.Write("\""u8);
    }

    private void WriteEscape(byte value)
    {
        switch (value)
        {
            case (byte)'"':
                output.Write("\\\""u8);
                break;
            case (byte)'\\':
                output.Write("\\\\"u8);
                break;
            case 0x08:
                output.Write("\\b"u8);
                break;
            case 0x0C:
                output.Write("\\f"u8);
                break;
            case 0x0A:
                output.Write("\\n"u8);
                break;
            case 0x0D:
                output.Write("\\r"u8);
                break;
            case 0x09:
                output.Write("\\t"u8);
                break;
            default:
                Span<byte> escape = output.GetSpan(6);
                "\\u00"u8.CopyTo(escape);
                escape[4] = (byte)(value >> 4 == 0 ? '0' : '1');
                escape[5] = "0123456789abcdef"u8[value & 0xF];
                output.Advance(6);
                break;
        }
    }
}
