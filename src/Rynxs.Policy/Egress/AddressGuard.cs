using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Rynxs.Policy.Egress;

/// <summary>
/// Which addresses a name may resolve to. Everything that is not a global unicast address is refused, whatever a rule says of the name: a
/// record under somebody else's control must not open the host, its network or a cloud's metadata service (SSRF, DNS rebinding).
/// </summary>
/// <remarks>
/// Sources: IANA special-purpose address registries for IPv4 and IPv6; RFC 1918, 6598 (CGNAT, also Alibaba's 100.100.100.200), 3927 (link-local,
/// 169.254.169.254), 4193, 4291, 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo), 6666 (discard). 168.63.129.16 is Azure's host
/// agent: public by registry, private in fact. fd00:ec2::254 is in fc00::/7.
/// </remarks>
public static class AddressGuard
{
    private static readonly AddressRange[] Refused4 =
    [
        Range("0.0.0.0/8"), Range("10.0.0.0/8"), Range("100.64.0.0/10"), Range("127.0.0.0/8"), Range("169.254.0.0/16"), Range("172.16.0.0/12"),
        Range("192.0.0.0/24"), Range("192.0.2.0/24"), Range("192.31.196.0/24"), Range("192.52.193.0/24"), Range("192.88.99.0/24"),
        Range("192.168.0.0/16"), Range("192.175.48.0/24"), Range("198.18.0.0/15"), Range("198.51.100.0/24"), Range("203.0.113.0/24"),
        Range("224.0.0.0/4"), Range("240.0.0.0/4"), Range("168.63.129.16/32"),
    ];

    /// <summary>Inside 2000::/3, the only block of global unicast addresses; all outside is refused.</summary>
    private static readonly AddressRange[] Refused6 =
        [Range("2001::/23"), Range("2001:db8::/32"), Range("2002::/16"), Range("2620:4f:8000::/48"), Range("3fff::/20")];

    private static readonly AddressRange GlobalUnicast6 = Range("2000::/3");

    /// <summary>Whether a connection may go there. Addresses that carry an IPv4 address inside are judged as refused, never unwrapped.</summary>
    /// <param name="address">What the name resolved to.</param>
    /// <param name="exceptions">Blocks that the operator of the host opened on purpose, such as one internal mirror. Loopback can be among them for tests.</param>
    public static bool Permits(IPAddress address, IReadOnlyList<AddressRange> exceptions)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(exceptions);
        if (address.IsIPv4MappedToIPv6 || IsIPv4Compatible(address) || address.AddressFamily is not (AddressFamily.InterNetwork or AddressFamily.InterNetworkV6))
        {
            return false;
        }

        // A zone index would choose the interface.
        if (address.AddressFamily == AddressFamily.InterNetworkV6 && address.ScopeId != 0)
        {
            return false;
        }

        return exceptions.Any(range => range.Contains(address)) || IsGlobal(address);
    }

    private static bool IsGlobal(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork
        ? !Refused4.Any(range => range.Contains(address))
        : GlobalUnicast6.Contains(address) && !Refused6.Any(range => range.Contains(address));

    /// <summary><c>::a.b.c.d</c> (RFC 4291 2.5.5.1, deprecated); <c>::1</c> and <c>::</c> are not of this form.</summary>
    private static bool IsIPv4Compatible(IPAddress address)
    {
        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return false;
        }

        Span<byte> bytes = stackalloc byte[16];
        return address.TryWriteBytes(bytes, out _)
            && bytes[..12].IndexOfAnyExcept((byte)0) < 0
            && BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]) > 1;
    }

    private static AddressRange Range(string text) =>
        AddressRange.TryParse(text, out AddressRange? range) ? range : throw new FormatException(text);
}
