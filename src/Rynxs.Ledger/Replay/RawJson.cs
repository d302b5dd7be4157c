using System.Text;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// Reads values inside lines that <see cref="CanonicalCursor"/> has accepted. It relies on the canonical form: no whitespace, ascending
/// keys, and strings that hold no unescaped quote.
/// </summary>
internal static class RawJson
{
    /// <summary>The members of a canonical object, in order; none for any other value.</summary>
    public static Members Of(ReadOnlySpan<byte> canonicalObject) => new(canonicalObject);

    /// <summary>The items of a canonical array, in order; none for any other value.</summary>
    public static Items ItemsOf(ReadOnlySpan<byte> canonicalArray) => new(canonicalArray);

    /// <summary>The value of a member; empty when the object has none of that name.</summary>
    public static ReadOnlySpan<byte> Get(ReadOnlySpan<byte> canonicalObject, ReadOnlySpan<byte> key)
    {
        foreach (Member member in Of(canonicalObject))
        {
            if (member.Key.SequenceEqual(key))
            {
                return member.Value;
            }
        }

        return default;
    }

    public static bool IsObject(ReadOnlySpan<byte> value) => value.Length > 0 && value[0] == '{';

    public static bool IsArray(ReadOnlySpan<byte> value) => value.Length > 0 && value[0] == '[';

    public static bool IsString(ReadOnlySpan<byte> value) => value.Length > 1 && value[0] == '"';

    /// <summary>The text of a string value in UTF-8; null when the value is no string.</summary>
    public static byte[]? Utf8(ReadOnlySpan<byte> value) => IsString(value) ? Unescape(value[1..^1]) : null;

    /// <summary>The text of a string value; null when the value is no string.</summary>
    public static string? Text(ReadOnlySpan<byte> value) => IsString(value)
        ? value.Contains((byte)'\\') ? Encoding.UTF8.GetString(Unescape(value[1..^1])) : Encoding.UTF8.GetString(value[1..^1])
        : null;

    /// <summary>An integer value; null when it is none or does not fit.</summary>
    public static long? Integer(ReadOnlySpan<byte> value) =>
        System.Buffers.Text.Utf8Parser.TryParse(value, out long number, out int used) && used == value.Length && value.Length > 0 ? number : null;

    /// <summary>Unescapes the inside of a canonical string.</summary>
    public static byte[] Unescape(ReadOnlySpan<byte> inside)
    {
        if (!inside.Contains((byte)'\\'))
        {
            return inside.ToArray();
        }

        byte[] text = new byte[inside.Length];
        int length = 0;
        for (int index = 0; index < inside.Length; index++)
        {
            if (inside[index] != '\\')
            {
                text[length++] = inside[index];
                continue;
            }

            index++;
            text[length++] = inside[index] switch
            {
                (byte)'b' => 0x08,
                (byte)'f' => 0x0C,
                (byte)'n' => 0x0A,
                (byte)'r' => 0x0D,
                (byte)'t' => 0x09,
                (byte)'u' => (byte)((Digit(inside[index + 3]) << 4) | Digit(inside[index + 4])),
                byte itself => itself,
            };
            if (inside[index] == 'u')
            {
                index += 4;
            }
        }

        return text[..length];
    }

    private static int Digit(byte hex) => hex <= '9' ? hex - '0' : hex - 'a' + 10;

    /// <summary>Length of the value at the start of canonical bytes.</summary>
    private static int LengthOfValue(ReadOnlySpan<byte> text)
    {
        switch (text[0])
        {
            case (byte)'"':
                return LengthOfString(text);
            case (byte)'{' or (byte)'[':
                int depth = 0;
                for (int at = 0; ;)
                {
                    int step = text[at..].IndexOfAny("\"{}[]"u8);
                    at += step;
                    switch (text[at])
                    {
                        case (byte)'"':
                            at += LengthOfString(text[at..]);
                            continue;
                        case (byte)'{' or (byte)'[':
                            depth++;
                            break;
                        default:
                            depth--;
                            break;
                    }

                    at++;
                    if (depth == 0)
                    {
                        return at;
                    }
                }

            default:
                int end = text.IndexOfAny((byte)',', (byte)'}', (byte)']');
                return end < 0 ? text.Length : end;
        }
    }

    private static int LengthOfString(ReadOnlySpan<byte> text)
    {
        for (int at = 1; ;)
        {
            at += text[at..].IndexOfAny((byte)'"', (byte)'\\');
            if (text[at] == '"')
            {
                return at + 1;
            }

            at += 2;
        }
    }

    /// <summary>One member; the key without quotes and as written, which for keys without an escape is the key itself.</summary>
    public readonly ref struct Member(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        public ReadOnlySpan<byte> Key { get; } = key;

        public ReadOnlySpan<byte> Value { get; } = value;
    }

    public ref struct Members(ReadOnlySpan<byte> canonicalObject)
    {
        private ReadOnlySpan<byte> _rest = IsObject(canonicalObject) ? canonicalObject[1..] : default;

        public Member Current { get; private set; }

        public readonly Members GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_rest.Length < 2)
            {
                return false;
            }

            int key = LengthOfString(_rest);
            ReadOnlySpan<byte> after = _rest[(key + 1)..];
            int value = LengthOfValue(after);
            Current = new Member(_rest[1..(key - 1)], after[..value]);
            _rest = after[(value + 1)..];
            return true;
        }
    }

    public ref struct Items(ReadOnlySpan<byte> canonicalArray)
    {
        private ReadOnlySpan<byte> _rest = IsArray(canonicalArray) ? canonicalArray[1..] : default;

        public ReadOnlySpan<byte> Current { get; private set; }

        public readonly Items GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_rest.Length < 2)
            {
                return false;
            }

            int value = LengthOfValue(_rest);
            Current = _rest[..value];
            _rest = _rest[(value + 1)..];
            return true;
        }
    }
}
