using System.Buffers.Binary;

namespace Rynxs.ResourceServer.Protobuf;

/// <summary>Reads the fields of one protobuf message from untrusted bytes: nothing is allocated before its length is known to be there.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    /// <summary>Number of the current field.</summary>
    public int Number { get; private set; }

    /// <summary>0 varint, 1 eight bytes, 2 a length and bytes, 5 four bytes.</summary>
    public int WireType { get; private set; }

    /// <summary>The next field; false at the end.</summary>
    /// <exception cref="FormatException">The bytes are no message.</exception>
    public bool Next()
    {
        if (_rest.IsEmpty)
            return false;
        ulong tag = Varint();
        WireType = (int)(tag & 7);
        ulong number = tag >> 3;
        Number = number is > 0 and <= 536_870_911 ? (int)number : throw new FormatException("a field has no valid number");
        return true;
    }

    public ulong Varint()
    {
        ulong value = 0;
        for (int i = 0; i < 10; i++)
        {
            if (i >= _rest.Length)
                throw new FormatException("a number is cut off");
            byte part = _rest[i];
            value |= (ulong)(part & 0x7f) << (7 * i);
            if (part < 0x80)
            {
                _rest = _rest[(i + 1)..];
                return value;
            }
        }

        throw new FormatException("a number is longer than ten bytes");
    }

    public ReadOnlySpan<byte> Bytes()
    {
        ulong length = Varint();
        return length <= (ulong)_rest.Length ? Take((int)length) : throw new FormatException("a field is longer than what is left");
    }

    public double Number64() => BinaryPrimitives.ReadDoubleLittleEndian(Take(8));

    /// <summary>Passes over a field that nobody knows.</summary>
    public void Skip()
    {
        switch (WireType)
        {
            case 0:
                Varint();
                break;
            case 1:
                Take(8);
                break;
            case 2:
                Bytes();
                break;
            case 5:
                Take(4);
                break;
            default:
                throw new FormatException("groups are not used by Kubernetes");
        }
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length)
            throw new FormatException("a field is cut off");
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
