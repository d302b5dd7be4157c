namespace Rynxs.Sandbox.Violations;

/// <summary>
/// Reads protobuf's wire format from memory it does not own, without allocating. A malformed message ends the reading: <see cref="Failed"/>
/// stays true and nothing more is returned.
/// </summary>
internal ref struct ProtobufReader(ReadOnlySpan<byte> message)
{
    private const int MaxVarintBytes = 10;
    private ReadOnlySpan<byte> _rest = message;

    /// <summary>Truncated, overlong varint, length beyond the message, field number 0, or a group.</summary>
    public bool Failed { get; private set; }

    /// <summary>
    /// Next field. <paramref name="number"/> holds a varint or fixed value, <paramref name="bytes"/> a length-delimited one
    /// (<paramref name="isBytes"/>). False at the end or when malformed.
    /// </summary>
    public bool TryRead(out uint field, out ulong number, out ReadOnlySpan<byte> bytes, out bool isBytes)
    {
        field = 0;
        number = 0;
        bytes = default;
        isBytes = false;
        if (Failed || _rest.IsEmpty)
        {
            return false;
        }

        if (!TryReadVarint(out ulong tag) || tag > uint.MaxValue || tag >> 3 == 0)
        {
            return Fail();
        }

        field = (uint)(tag >> 3);
        switch (tag & 7)
        {
            case 0:
                return TryReadVarint(out number) || Fail();
            case 1:
                return TryReadFixed(8, out number) || Fail();
            case 5:
                return TryReadFixed(4, out number) || Fail();
            case 2:
                if (!TryReadVarint(out ulong length) || length > (ulong)_rest.Length)
                {
                    return Fail();
                }

                isBytes = true;
                bytes = _rest[..(int)length];
                _rest = _rest[(int)length..];
                return true;
            default:
                return Fail();
        }
    }

    private bool TryReadVarint(out ulong value)
    {
        value = 0;
        for (int i = 0; i < MaxVarintBytes && i < _rest.Length; i++)
        {
            byte part = _rest[i];
            if (i == MaxVarintBytes - 1 && part > 1)
            {
                return false; // more than 64 bits
            }

            value |= (ulong)(part & 0x7f) << (7 * i);
            if (part < 0x80)
            {
                _rest = _rest[(i + 1)..];
                return true;
            }
        }

        return false;
    }

    private bool TryReadFixed(int size, out ulong value)
    {
        value = 0;
        if (_rest.Length < size)
        {
            return false;
        }

        for (int i = size - 1; i >= 0; i--)
        {
            value = (value << 8) | _rest[i];
        }

        _rest = _rest[size..];
        return true;
    }

    private bool Fail()
    {
        Failed = true;
        _rest = default;
        return false;
    }
}
