using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// Walks one line that must be canonical JSON, in a single pass and without allocating: every deviation from the canonical form throws.
/// <see cref="StrictLine"/> gives the same verdicts by writing the value again; it costs several times as much.
/// </summary>
internal ref struct CanonicalCursor(ReadOnlySpan<byte> text)
{
    private static readonly SearchValues<byte> EndOfPlainText = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Select(value => (byte)value), (byte)'"', (byte)'\\']);

    private readonly ReadOnlySpan<byte> _text = text;

    public int At { get; private set; }

    public readonly bool IsAtEnd => At == _text.Length;

    /// <summary>Refuses bytes that are not UTF-8; once for the whole line.</summary>
    public readonly void RequireUtf8()
    {
        if (!Utf8.IsValid(_text))
        {
            throw new NonCanonicalException(LineDefect.InvalidUtf8, "The line is not valid UTF-8.");
        }
    }

    public readonly bool Sees(ReadOnlySpan<byte> expected) => _text[At..].StartsWith(expected);

    /// <summary>Passes a part of the line that the format fixes.</summary>
    public void Expect(ReadOnlySpan<byte> expected)
    {
        if (!Sees(expected))
        {
            throw Bad($"The line does not go on with '{Encoding.ASCII.GetString(expected)}'");
        }

        At += expected.Length;
    }

    /// <summary>Passes a string; its range without the quotes.</summary>
    public Range String()
    {
        Take((byte)'"');
        int start = At;
        while (true)
        {
            int length = _text[At..].IndexOfAny(EndOfPlainText);
            if (length < 0)
            {
                throw Bad("A text does not end");
            }

            At += length;
            byte end = _text[At];
            if (end == '"')
            {
                return start..At++;
            }

            if (end != '\\')
            {
                throw Bad("A control character stands in a text");
            }

            Escape();
        }
    }

    /// <summary>Passes an integer that fits 64 bits.</summary>
    public long Integer()
    {
        int start = At;
        Number();
        return long.TryParse(_text[start..At], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value)
            ? value
            : throw new NonCanonicalException(LineDefect.InvalidField, $"The number at byte {start} is not a 64-bit integer.");
    }

    /// <summary>Passes any value.</summary>
    /// <param name="depth">Level of nesting around it.</param>
    public Range Value(int depth)
    {
        int start = At;
        switch (Peek())
        {
            case (byte)'{':
                Object(depth + 1);
                break;
            case (byte)'[':
                Array(depth + 1);
                break;
            case (byte)'"':
                String();
                break;
            case (byte)'t':
                Expect("true"u8);
                break;
            case (byte)'f':
                Expect("false"u8);
                break;
            case (byte)'n':
                Expect("null"u8);
                break;
            default:
                Number();
                break;
        }

        return start..At;
    }

    /// <summary>Passes an object.</summary>
    public Range Object(int depth)
    {
        int begin = At;
        RequireDepth(depth);
        Take((byte)'{');
        if (Peek() == '}')
        {
            At++;
            return begin..At;
        }

        Range previous = default;
        for (bool first = true; ; first = false)
        {
            Range key = String();
            if (!first)
            {
                RequireAscending(previous, key);
            }

            previous = key;
            Take((byte)':');
            Value(depth);
            if (Peek() == ',')
            {
                At++;
                continue;
            }

            Take((byte)'}');
            return begin..At;
        }
    }

    private void Array(int depth)
    {
        RequireDepth(depth);
        Take((byte)'[');
        if (Peek() == ']')
        {
            At++;
            return;
        }

        while (true)
        {
            Value(depth);
            if (Peek() == ',')
            {
                At++;
                continue;
            }

            Take((byte)']');
            return;
        }
    }

    private static void RequireDepth(int depth)
    {
        if (depth > LedgerLimits.MaxDepth)
        {
            throw new NonCanonicalException(LineDefect.TooDeep, $"Nested deeper than {LedgerLimits.MaxDepth}.");
        }
    }

    private readonly void RequireAscending(Range before, Range key)
    {
        ReadOnlySpan<byte> left = _text[before];
        ReadOnlySpan<byte> right = _text[key];
        // UTF-8 order is code point order; an escape stands for a character that sorts elsewhere, so keys with one are compared unescaped.
        int order = left.Contains((byte)'\\') || right.Contains((byte)'\\')
            ? RawJson.Unescape(left).AsSpan().SequenceCompareTo(RawJson.Unescape(right))
            : left.SequenceCompareTo(right);
        if (order >= 0)
        {
            throw order == 0
                ? new NonCanonicalException(LineDefect.DuplicateKey, $"A key is repeated in one object (at byte {key.Start.Value}).")
                : new NonCanonicalException(LineDefect.NonCanonical, $"The keys of an object do not ascend (at byte {key.Start.Value}).");
        }
    }

    private void Escape()
    {
        ReadOnlySpan<byte> rest = _text[At..];
        if (rest.Length >= 2 && rest[1] is (byte)'"' or (byte)'\\' or (byte)'b' or (byte)'t' or (byte)'n' or (byte)'f' or (byte)'r')
        {
            At += 2;
            return;
        }

        // The other control characters, and only those, as \u00xx in lowercase.
        bool canonical = rest.Length >= 6 && rest.StartsWith("\\u00"u8) && (rest[4] is (byte)'0' or (byte)'1')
            && (rest[5] is (>= (byte)'0' and <= (byte)'9') or (>= (byte)'a' and <= (byte)'f'))
            && !(rest[4] == '0' && (rest[5] is (byte)'8' or (byte)'9' or (byte)'a' or (byte)'c' or (byte)'d'));
        if (!canonical)
        {
            throw Bad("An escape is not in canonical form");
        }

        At += 6;
    }

    private void Number()
    {
        int start = At;
        while (At < _text.Length && _text[At] is (>= (byte)'0' and <= (byte)'9') or (byte)'-' or (byte)'+' or (byte)'.' or (byte)'e' or (byte)'E')
        {
            At++;
        }

        ReadOnlySpan<byte> number = _text[start..At];
        if (!IsInteger(number) && !IsFloat(number))
        {
            At = start;
            throw Bad("A value is not in canonical form");
        }
    }

    private static bool IsInteger(ReadOnlySpan<byte> number)
    {
        ReadOnlySpan<byte> digits = number.Length > 0 && number[0] == '-' ? number[1..] : number;
        return digits.Length > 0 && digits.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0
            && (digits[0] != '0' || (digits.Length == 1 && number.Length == 1));
    }

    /// <summary>Only old records hold floats, so this need not be fast.</summary>
    private static bool IsFloat(ReadOnlySpan<byte> number) =>
        number.Length is > 0 and <= 32
        && double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value)
        && number.SequenceEqual(Encoding.ASCII.GetBytes(PythonFloat.Repr(value)));

    private readonly byte Peek() => At < _text.Length ? _text[At] : throw Bad("The line ends in the middle of a value");

    private void Take(byte expected)
    {
        if (Peek() != expected)
        {
            throw Bad($"'{(char)expected}' is missing");
        }

        At++;
    }

    private readonly NonCanonicalException Bad(string what) => new(LineDefect.NonCanonical, $"{what} (at byte {At}).");
}
