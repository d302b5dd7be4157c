using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace Rynxs.Policy.Egress;

/// <summary>A block of addresses, such as <c>10.0.0.0/8</c> or <c>fd00::/8</c>; one address is a block of its full length.</summary>
public sealed record AddressRange
{
    private AddressRange(IPNetwork network) => Network = network;

    private IPNetwork Network { get; }

    /// <summary>Reads <c>ADDRESS</c> or <c>ADDRESS/BITS</c>. Host bits that are set are an error, and so is an IPv4-mapped IPv6 block.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out AddressRange? range)
    {
        range = null;
        if (text is null || text.Length > 64)
        {
            return false;
        }

        // Only the plain forms: the parser also takes 0x7f.1 and 2130706433, which people do not mean and rules must not hide.
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        string written = slash < 0 ? text : text[..slash];
        if (!IPAddress.TryParse(written, out IPAddress? address) || !IsPlain(written, address))
        {
            return false;
        }

        string block = slash < 0 ? $"{address}/{(address.AddressFamily == AddressFamily.InterNetwork ? "32" : "128")}" : text;
        if (!IPNetwork.TryParse(block, out IPNetwork network) || !network.BaseAddress.Equals(address) || address.IsIPv4MappedToIPv6)
        {
            return false;
        }

        range = new AddressRange(network);
        return true;
    }

    /// <summary>Whether the address is in the block.</summary>
    public bool Contains(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return Network.Contains(address);
    }

    /// <inheritdoc/>
    public override string ToString() => Network.ToString();

    private static bool IsPlain(string text, IPAddress address) =>
        address.AddressFamily == AddressFamily.InterNetworkV6
            ? address.ScopeId == 0 && !text.Contains('%', StringComparison.Ordinal)
            : string.Equals(text, address.ToString(), StringComparison.Ordinal);
}
