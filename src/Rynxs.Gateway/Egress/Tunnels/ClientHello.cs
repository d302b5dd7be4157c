using System.Buffers.Binary;
using System.Text;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Tunnels;

/// <summary>What the first bytes inside a tunnel are.</summary>
internal abstract record ClientHello
{
    /// <summary>Longest first message that is looked at: 16 KiB of handshake in records of at most 16 KiB (RFC 8446 5.1), with their headers.</summary>
    public const int MaxBytes = 17 * 1024;

    private const byte HandshakeRecord = 22;
    private const byte ClientHelloMessage = 1;
    private const int RecordHeader = 5;
    private const int MaxRecord = 16 * 1024;
    private const ushort ServerNameExtension = 0;
    private const ushort EncryptedClientHelloExtension = 0xfe0d;

    private ClientHello()
    {
    }

    /// <summary>More bytes are needed.</summary>
    public sealed record Incomplete : ClientHello;

    /// <summary>No TLS.</summary>
    public sealed record NotTls : ClientHello;

    /// <summary>TLS, and broken.</summary>
    public sealed record Malformed : ClientHello;

    /// <summary>TLS.</summary>
    /// <param name="ServerName">The name it asks for (RFC 6066 3); null without one, or with one that is no host name.</param>
    /// <param name="HasEncryptedHello">It carries another, encrypted hello (ECH), or pretends to: the two look alike by design (RFC 9849).</param>
    public sealed record Hello(HostName? ServerName, bool HasEncryptedHello) : ClientHello;

    /// <summary>Looks at the bytes received so far; at most <see cref="MaxBytes"/> of them.</summary>
    public static ClientHello Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return new Incomplete();
        }

        if (bytes[0] != HandshakeRecord || (bytes.Length > 1 && bytes[1] != 3))
        {
            return new NotTls();
        }

        // A hello may be cut over several records; they are joined first.
        Span<byte> message = new byte[MaxBytes];
        int length = 0;
        while (true)
        {
            if (length >= 4)
            {
                if (message[0] != ClientHelloMessage)
                {
                    return new Malformed();
                }

                int body = (message[1] << 16) | (message[2] << 8) | message[3];
                if (body > MaxRecord)
                {
                    return new Malformed();
                }

                if (length >= 4 + body)
                {
                    return ReadBody(message.Slice(4, body));
                }
            }

            if (bytes.Length < RecordHeader)
            {
                return new Incomplete();
            }

            int record = BinaryPrimitives.ReadUInt16BigEndian(bytes[3..]);
            if (bytes[0] != HandshakeRecord || bytes[1] != 3 || record is 0 or > MaxRecord || length + record > message.Length)
            {
                return new Malformed();
            }

            if (bytes.Length < RecordHeader + record)
            {
                return new Incomplete();
            }

            bytes.Slice(RecordHeader, record).CopyTo(message[length..]);
            length += record;
            bytes = bytes[(RecordHeader + record)..];
        }
    }

    /// <summary>legacy_version, random, session id, cipher suites, compression methods, extensions (RFC 8446 4.1.2).</summary>
    private static ClientHello ReadBody(ReadOnlySpan<byte> body)
    {
        TlsReader reader = new(body);
        if (!reader.TrySkip(2 + 32) || !reader.TryTake8(out _) || !reader.TryTake16(out _) || !reader.TryTake8(out _))
        {
            return new Malformed();
        }

        if (reader.IsAtEnd)
        {
            return new Hello(null, HasEncryptedHello: false);
        }

        if (!reader.TryTake16(out ReadOnlySpan<byte> extensions) || !reader.IsAtEnd)
        {
            return new Malformed();
        }

        HostName? name = null;
        bool named = false, encrypted = false;
        TlsReader rest = new(extensions);
        while (!rest.IsAtEnd)
        {
            if (!rest.TryReadNumber16(out ushort type) || !rest.TryTake16(out ReadOnlySpan<byte> data))
            {
                return new Malformed();
            }

            if (type == ServerNameExtension)
            {
                // Twice the same extension is forbidden, and would be read differently by the other side.
                if (named || !TryReadServerName(data, out name))
                {
                    return new Malformed();
                }

                named = true;
            }

            encrypted |= type == EncryptedClientHelloExtension;
        }

        return new Hello(name, encrypted);
    }

    private static bool TryReadServerName(ReadOnlySpan<byte> data, out HostName? name)
    {
        name = null;
        TlsReader outer = new(data);
        if (!outer.TryTake16(out ReadOnlySpan<byte> list) || !outer.IsAtEnd)
        {
            return false;
        }

        TlsReader reader = new(list);
        const byte HostNameType = 0;
        if (!reader.TryReadNumber8(out byte type) || type != HostNameType || !reader.TryTake16(out ReadOnlySpan<byte> text) || !reader.IsAtEnd)
        {
            return false;
        }

        // Not a host name: known as TLS without a name, and refused as such.
        _ = text.Length <= HostName.MaxLength && Ascii.IsValid(text) && HostName.TryParse(Encoding.ASCII.GetString(text), out name);
        return true;
    }

    /// <summary>Length-prefixed vectors of TLS, each read checked against what is left.</summary>
    private ref struct TlsReader(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> _rest = bytes;

        public readonly bool IsAtEnd => _rest.IsEmpty;

        public bool TrySkip(int count)
        {
            if (_rest.Length < count)
            {
                return false;
            }

            _rest = _rest[count..];
            return true;
        }

        public bool TryReadNumber8(out byte number)
        {
            number = _rest.IsEmpty ? (byte)0 : _rest[0];
            return TrySkip(1);
        }

        public bool TryReadNumber16(out ushort number)
        {
            number = _rest.Length < 2 ? (ushort)0 : BinaryPrimitives.ReadUInt16BigEndian(_rest);
            return TrySkip(2);
        }

        public bool TryTake8(out ReadOnlySpan<byte> vector)
        {
            vector = default;
            return TryReadNumber8(out byte length) && TryTake(length, out vector);
        }

        public bool TryTake16(out ReadOnlySpan<byte> vector)
        {
            vector = default;
            return TryReadNumber16(out ushort length) && TryTake(length, out vector);
        }

        private bool TryTake(int length, out ReadOnlySpan<byte> vector)
        {
            vector = length <= _rest.Length ? _rest[..length] : default;
            return TrySkip(length);
        }
    }
}
