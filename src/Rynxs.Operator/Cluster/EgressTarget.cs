using System.Globalization;
using System.Net;
using Rynxs.Policy.Egress;

namespace Rynxs.Operator.Cluster;

/// <summary>One entry of an allow list, or the model's address, as a NetworkPolicy can or cannot say it.</summary>
internal abstract record EgressTarget
{
    private EgressTarget()
    {
    }

    /// <summary>Addresses, which a NetworkPolicy can name.</summary>
    /// <param name="Block">In CIDR form.</param>
    /// <param name="Port">TCP; null for every port.</param>
    public sealed record Addresses(IPNetwork Block, int? Port) : EgressTarget;

    /// <summary>A host name or a pattern of names, which only the gateway can judge.</summary>
    public sealed record Name(string Host) : EgressTarget;

    /// <summary>Reads <c>HOST</c>, <c>HOST:PORT</c>, <c>ADDRESS</c>, <c>ADDRESS/BITS</c>, <c>ADDRESS:PORT</c>, <c>[IPV6]:PORT</c> or a URL.</summary>
    public static EgressTarget Parse(string text)
    {
        if (ReadBlock(text) is { } whole)
        {
            return new Addresses(whole, Port: null);
        }

        // An address with a port, or a URL: both are authorities.
        if (Uri.TryCreate(text.Contains("://", StringComparison.Ordinal) ? text : $"tcp://{text}", UriKind.Absolute, out Uri? uri) && uri.Host.Length > 0)
        {
            int? port = uri.Port > 0 ? uri.Port : null;
            return ReadBlock(uri.Host.Trim('[', ']')) is { } address ? new Addresses(address, port) : new Name(uri.Host);
        }

        return new Name(text);
    }

    // The range's own parser first: it takes only the plain forms, so that 0x7f.1 hides no loopback address.
    private static IPNetwork? ReadBlock(string text) =>
        AddressRange.TryParse(text, out AddressRange? range) && IPNetwork.TryParse(range.ToString(), out IPNetwork network) ? network : null;

    /// <inheritdoc/>
    public sealed override string ToString() => this switch
    {
        Addresses addresses => addresses.Port is { } port ? string.Create(CultureInfo.InvariantCulture, $"{addresses.Block}:{port}") : $"{addresses.Block}",
        Name name => name.Host,
        _ => "",
    };
}
