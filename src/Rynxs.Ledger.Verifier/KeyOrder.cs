namespace Rynxs.Ledger.Verifier;

/// <summary>Order of object keys by code point, on keys whose escapes still stand.</summary>
internal static class KeyOrder
{
    /// <summary>Negative, zero or positive as for any comparison.</summary>
    public static int Compare(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        // Most neighbours differ in their first letter already.
        if (left.Length > 0 && right.Length > 0 && left[0] != right[0] && left[0] != (byte)'\\' && right[0] != (byte)'\\')
        {
            return left[0] - right[0];
        }

        if (!left.Contains((byte)'\\') && !right.Contains((byte)'\\'))
        {
            // UTF-8 byte order is code point order.
            return left.SequenceCompareTo(right);
        }

        int leftAt = 0;
        int rightAt = 0;
        while (leftAt < left.Length && rightAt < right.Length)
        {
            int order = NextByte(left, ref leftAt) - NextByte(right, ref rightAt);
            if (order != 0)
            {
                return order;
            }
        }

        return (left.Length - leftAt) - (right.Length - rightAt);
    }

    /// <summary>The next byte of the text that a key stands for. Canonical escapes stand for one ASCII byte each.</summary>
    private static int NextByte(ReadOnlySpan<byte> key, ref int at)
    {
        byte first = key[at++];
        if (first != '\\')
        {
            return first;
        }

        byte kind = key[at++];
        switch (kind)
        {
            case (byte)'b':
                return 8;
            case (byte)'t':
                return 9;
            case (byte)'n':
                return 10;
            case (byte)'f':
                return 12;
            case (byte)'r':
                return 13;
            case (byte)'u':
                int value = (HexDigit(key[at + 2]) << 4) | HexDigit(key[at + 3]);
                at += 4;
                return value;
            default:
                return kind;
        }
    }

    private static int HexDigit(byte digit) => digit <= '9' ? digit - '0' : digit - 'a' + 10;
}
