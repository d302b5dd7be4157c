using System.Buffers.Binary;
using System.Text;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Tunnels;

/// <summary>The two messages of a SOCKS version 5 client (RFC 1928) that we serve: no authentication, CONNECT, a domain name.</summary>
internal abstract record SocksRequest
{
    /// <summary>Version byte that starts both messages.</summary>
    public const byte Version = 5;

    /// <summary>Longest message: a greeting of 255 methods, or a request with a name of 255 bytes.</summary>
    public const int MaxBytes = 4 + 1 + 255 + 2;

    private SocksRequest()
    {
    }

    /// <summary>More bytes are needed.</summary>
    public sealed record Incomplete : SocksRequest;

    /// <summary>Not SOCKS 5; the connection is closed.</summary>
    public sealed record Malformed : SocksRequest;

    /// <summary>The greeting.</summary>
    /// <param name="OffersNoAuthentication">Whether method 0 is offered: the only one served. The channel itself says who it is.</param>
    /// <param name="Length">Its bytes.</param>
    public sealed record Greeting(bool OffersNoAuthentication, int Length) : SocksRequest;

    /// <summary>A request that is answered with an error.</summary>
    public sealed record Refused(SocksReply Reply, EgressDenial Denial, int Port) : SocksRequest;

    /// <summary>A tunnel is asked for.</summary>
    public sealed record Tunnel(HostName Host, int Port, int Length) : SocksRequest;

    /// <summary>Asks whether a name may be reached at all (command F0, as Tor's RESOLVE): what DNS inside the sandbox answers by. No address is told.</summary>
    public sealed record Resolve(HostName Host, int Length) : SocksRequest;

    /// <summary>Reads the first message.</summary>
    public static SocksRequest ReadGreeting(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 0 && bytes[0] != Version)
        {
            return new Malformed();
        }

        if (bytes.Length < 2 || bytes.Length < 2 + bytes[1])
        {
            return new Incomplete();
        }

        return new Greeting(bytes.Slice(2, bytes[1]).Contains((byte)0), 2 + bytes[1]);
    }

    /// <summary>Reads the second message.</summary>
    public static SocksRequest ReadRequest(ReadOnlySpan<byte> bytes)
    {
        const byte Connect = 1;
        const byte ResolveName = 0xf0;
        const byte AddressV4 = 1;
        const byte DomainName = 3;
        const byte AddressV6 = 4;
        if (bytes.Length > 0 && bytes[0] != Version || bytes.Length > 2 && bytes[2] != 0)
        {
            return new Malformed();
        }

        if (bytes.Length < 5)
        {
            return new Incomplete();
        }

        if (bytes[1] != Connect && !(bytes[1] == ResolveName && bytes[3] == DomainName))
        {
            // BIND and UDP ASSOCIATE: nothing may listen, and datagrams carry no name that could be checked.
            return new Refused(SocksReply.CommandNotSupported, EgressDenial.Malformed, 0);
        }

        int address = bytes[3] switch { AddressV4 => 4, DomainName => 1 + bytes[4], AddressV6 => 16, _ => -1 };
        if (address < 0)
        {
            return new Refused(SocksReply.AddressTypeNotSupported, EgressDenial.Malformed, 0);
        }

        int length = 4 + address + 2;
        if (bytes.Length < length)
        {
            return new Incomplete();
        }

        int port = BinaryPrimitives.ReadUInt16BigEndian(bytes[(length - 2)..]);
        if (bytes[3] != DomainName)
        {
            return new Refused(SocksReply.NotAllowed, EgressDenial.RawAddress, port);
        }

        ReadOnlySpan<byte> name = bytes.Slice(5, bytes[4]);
        if (!Ascii.IsValid(name) || port == 0 && bytes[1] == Connect)
        {
            return new Refused(SocksReply.NotAllowed, EgressDenial.Malformed, port);
        }

        string text = Encoding.ASCII.GetString(name);
        if (bytes[1] == ResolveName)
        {
            return HostName.TryParse(text, out HostName? asked) ? new Resolve(asked, length) : new Refused(SocksReply.NotAllowed, EgressDenial.Name, 0);
        }

        if (HostName.TryParse(text, out HostName? host))
        {
            return new Tunnel(host, port, length);
        }

        return new Refused(SocksReply.NotAllowed, System.Net.IPAddress.TryParse(text, out _) ? EgressDenial.RawAddress : EgressDenial.Malformed, port);
    }
}

/// <summary>Reply codes of RFC 1928 section 6.</summary>
internal enum SocksReply : byte
{
    Succeeded = 0,
    GeneralFailure = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}
