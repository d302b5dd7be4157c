using System.Buffers;
using System.Globalization;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Replay;

/// <summary>Writes canonical JSON piece by piece. The caller gives keys in ascending order; that is checked by the tests against the reader.</summary>
internal sealed class CanonicalOutput
{
    private readonly ArrayBufferWriter<byte> _output = new(4096);
    private bool _first = true;

    public ReadOnlySpan<byte> Written => _output.WrittenSpan;

    /// <summary>Begins anew, with the memory that is there.</summary>
    public void Clear()
    {
        _output.ResetWrittenCount();
        _first = true;
    }

    public CanonicalOutput Begin(char bracket)
    {
        _output.Write([(byte)bracket]);
        _first = true;
        return this;
    }

    public CanonicalOutput End(char bracket)
    {
        _output.Write([(byte)bracket]);
        _first = false;
        return this;
    }

    /// <summary>A key, unescaped.</summary>
    public CanonicalOutput Key(ReadOnlySpan<byte> key)
    {
        Item();
        new CanonicalWriter(_output, allowFloats: true).WriteUtf8String(key);
        _output.Write(":"u8);
        _first = true;
        return this;
    }

    /// <summary>A value that is canonical already.</summary>
    public CanonicalOutput Raw(ReadOnlySpan<byte> canonical)
    {
        Item();
        _output.Write(canonical.Length == 0 ? "null"u8 : canonical);
        return this;
    }

    public CanonicalOutput Text(ReadOnlySpan<byte> utf8)
    {
        Item();
        new CanonicalWriter(_output, allowFloats: true).WriteUtf8String(utf8);
        return this;
    }

    public CanonicalOutput Number(long value)
    {
        Item();
        Span<byte> digits = stackalloc byte[20];
        value.TryFormat(digits, out int length, default, CultureInfo.InvariantCulture);
        _output.Write(digits[..length]);
        return this;
    }

    public CanonicalOutput Flag(bool value) => Raw(value ? "true"u8 : "false"u8);

    /// <summary>Separates from the value before; needed by callers only before a bracket that is an item of an array.</summary>
    public CanonicalOutput Item()
    {
        if (!_first)
        {
            _output.Write(","u8);
        }

        _first = false;
        return this;
    }
}
