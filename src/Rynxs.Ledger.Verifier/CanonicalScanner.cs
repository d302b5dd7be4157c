using System.Buffers;
using System.Text.Unicode;

namespace Rynxs.Ledger.Verifier;

/// <summary>A defect of one line; thrown and caught inside the verifier only.</summary>
internal sealed class LineDefectException(string code, string message) : Exception(message)
{
    public string Code { get; } = code;
}

/// <summary>
/// A scanner that accepts canonical JSON and nothing else, in one pass and without building a tree. It knows the canonical form by its
/// grammar (the writer's reader, by contrast, rewrites the value and compares), so the two can disagree only by a defect in one of them.
/// </summary>
internal ref struct CanonicalScanner
{
    private const int MaxDepth = 64;

    /// <summary>What ends a run of plain characters inside a text.</summary>
    private static readonly SearchValues<byte> NotPlain =
        SearchValues.Create([.. Enumerable.Range(0, 0x20).Select(value => (byte)value), (byte)'"', (byte)'\\']);

    private static readonly SearchValues<byte> NumberBytes = SearchValues.Create("+-.0123456789eE"u8);

    private readonly ReadOnlySpan<byte> _text;
    private int _at;
    private int _depth;

    /// <summary>Begins at the start of a text, which must be UTF-8.</summary>
    /// <param name="text">The text.</param>
    /// <param name="isUtf8">True when the caller has checked that already.</param>
    public CanonicalScanner(ReadOnlySpan<byte> text, bool isUtf8 = false)
    {
        if (!isUtf8 && !Utf8.IsValid(text))
        {
            throw new LineDefectException(FailureCodes.InvalidUtf8, "The line is not valid UTF-8.");
        }

        _text = text;
    }

    /// <summary>Offset of the next byte.</summary>
    public readonly int Position => _at;

    /// <summary>The bytes between two positions.</summary>
    public readonly ReadOnlySpan<byte> Slice(int from, int to) => _text[from..to];

    /// <summary>First byte of the next value; 0 at the end.</summary>
    public readonly byte Next => _at < _text.Length ? _text[_at] : (byte)0;

    public readonly void ExpectEnd()
    {
        if (_at != _text.Length)
        {
            throw NotCanonicalOrNotJson("something follows the record");
        }
    }

    public void BeginObject() => Begin((byte)'{');

    /// <summary>Moves to the next member; false at the end of the object. Checks that keys ascend strictly by code point.</summary>
    /// <param name="key">In: the key before (empty before the first). Out: this key, with its escapes as they stand.</param>
    /// <param name="first">True before the first member.</param>
    public bool NextMember(ref ReadOnlySpan<byte> key, ref bool first)
    {
        if (Next == (byte)'}')
        {
            _at++;
            _depth--;
            return false;
        }

        if (!first)
        {
            Expect((byte)',');
        }

        ReadOnlySpan<byte> next = Text();
        if (!first)
        {
            int order = KeyOrder.Compare(key, next);
            if (order == 0)
            {
                throw new LineDefectException(FailureCodes.DuplicateKey, "A key is repeated in one object.");
            }

            if (order > 0)
            {
                throw new LineDefectException(FailureCodes.NonCanonical, "The keys of an object are not in code point order.");
            }
        }

        key = next;
        first = false;
        Expect((byte)':');
        return true;
    }

    /// <summary>A text value; returns its inside, with escapes as they stand.</summary>
    public ReadOnlySpan<byte> Text()
    {
        Expect((byte)'"');
        int start = _at;

        // Names of fields and short values are not worth setting up a vector for.
        for (int end = Math.Min(_at + 8, _text.Length); _at < end; _at++)
        {
            byte next = _text[_at];
            if (next == (byte)'"')
            {
                return _text[start.._at++];
            }

            if (next is < 0x20 or (byte)'\\')
            {
                break;
            }
        }

        while (true)
        {
            int run = _text[_at..].IndexOfAny(NotPlain);
            if (run < 0)
            {
                throw new LineDefectException(FailureCodes.InvalidJson, "A text does not end.");
            }

            _at += run;
            switch (_text[_at])
            {
                case (byte)'"':
                    return _text[start.._at++];
                case (byte)'\\':
                    Escape();
                    break;
                default:
                    throw new LineDefectException(FailureCodes.InvalidJson, "A control character stands unescaped in a text.");
            }
        }
    }

    /// <summary>A whole number; returns its digits.</summary>
    public ReadOnlySpan<byte> Integer()
    {
        int start = _at;
        Number();
        ReadOnlySpan<byte> digits = _text[start.._at];
        return digits.IndexOfAny((byte)'.', (byte)'e') < 0
            ? digits
            : throw new LineDefectException(FailureCodes.InvalidField, "A number that must be whole is not.");
    }

    /// <summary>Passes over one value of any kind.</summary>
    public void Value()
    {
        switch (Next)
        {
            case (byte)'{':
                ObjectValue();
                break;
            case (byte)'[':
                ArrayValue();
                break;
            case (byte)'"':
                Text();
                break;
            case (byte)'t':
                Literal("true"u8);
                break;
            case (byte)'f':
                Literal("false"u8);
                break;
            case (byte)'n':
                Literal("null"u8);
                break;
            case (byte)'-' or (>= (byte)'0' and <= (byte)'9'):
                Number();
                break;
            default:
                throw NotCanonicalOrNotJson("no value begins here");
        }
    }

    private void ObjectValue()
    {
        BeginObject();
        ReadOnlySpan<byte> key = default;
        bool first = true;
        while (NextMember(ref key, ref first))
        {
            Value();
        }
    }

    private void ArrayValue()
    {
        Begin((byte)'[');
        for (bool first = true; Next != (byte)']'; first = false)
        {
            if (!first)
            {
                Expect((byte)',');
            }

            Value();
        }

        _at++;
        _depth--;
    }

    private void Begin(byte bracket)
    {
        Expect(bracket);
        if (++_depth > MaxDepth)
        {
            throw new LineDefectException(FailureCodes.TooDeep, $"Nested deeper than {MaxDepth}.");
        }
    }

    private void Literal(ReadOnlySpan<byte> literal)
    {
        if (!_text[_at..].StartsWith(literal))
        {
            throw NotCanonicalOrNotJson("an unknown literal");
        }

        _at += literal.Length;
    }

    private void Number()
    {
        int start = _at;
        int at = start;
        while (at < _text.Length && (uint)(_text[at] - '0') <= 9)
        {
            at++;
        }

        // Nearly all are plain digits; what else there may be is for the long way to judge.
        if (at > start && at < _text.Length && _text[at] is (byte)',' or (byte)'}' or (byte)']' && (_text[start] != (byte)'0' || at == start + 1))
        {
            _at = at;
            return;
        }

        int end = _text[_at..].IndexOfAnyExcept(NumberBytes);
        _at = end < 0 ? _text.Length : _at + end;
        NumberForm.Check(_text[start.._at]);
    }

    private void Escape()
    {
        ReadOnlySpan<byte> rest = _text[(_at + 1)..];
        if (rest.Length > 0 && "\"\\bfnrt"u8.Contains(rest[0]))
        {
            _at += 2;
            return;
        }

        // Only the controls without a short form: 00-07, 0b, 0e-1f, in lowercase.
        bool control = rest.Length >= 5 && rest.StartsWith("u00"u8)
            && rest[3] switch
            {
                (byte)'0' => "01234567be"u8.Contains(rest[4]) || rest[4] == (byte)'f',
                (byte)'1' => "0123456789abcdef"u8.Contains(rest[4]),
                _ => false,
            };
        if (!control)
        {
            throw new LineDefectException(FailureCodes.NonCanonical, "A text holds an escape that the canonical form does not use.");
        }

        _at += 6;
    }

    private void Expect(byte expected)
    {
        if (Next != expected || _at >= _text.Length)
        {
            throw NotCanonicalOrNotJson($"'{(char)expected}' was expected");
        }

        _at++;
    }

    private readonly LineDefectException NotCanonicalOrNotJson(string what) =>
        _at < _text.Length && _text[_at] is (byte)' ' or (byte)'\t' or (byte)'\r'
            ? new LineDefectException(FailureCodes.NonCanonical, "There is whitespace between tokens.")
            : new LineDefectException(FailureCodes.InvalidJson, $"Not JSON at byte {_at}: {what}.");
}
