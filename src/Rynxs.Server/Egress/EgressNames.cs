using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using Rynxs.Gateway.Egress.Upstream;
using Rynxs.Policy.Egress;

namespace Rynxs.Server.Egress;

/// <summary>Names that the operator gave addresses, then the host's own resolver.</summary>
internal sealed class EgressNames(IReadOnlyList<string> given) : INameResolver
{
    private readonly FrozenDictionary<string, IReadOnlyList<IPAddress>> _table = given.Select(Parse)
        .GroupBy(pair => pair.Host.Text, pair => pair.Address, StringComparer.Ordinal)
        .ToFrozenDictionary(group => group.Key, group => (IReadOnlyList<IPAddress>)[.. group], StringComparer.Ordinal);

    private readonly SystemNameResolver _system = new();

    public ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(HostName host, CancellationToken cancellationToken) =>
        _table.TryGetValue(host.Text, out IReadOnlyList<IPAddress>? addresses) ? new(addresses) : _system.ResolveAsync(host, cancellationToken);

    /// <summary>Reads <c>NAME=ADDRESS</c>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out HostName? host, [NotNullWhen(true)] out IPAddress? address)
    {
        int at = text.IndexOf('=', StringComparison.Ordinal);
        (host, address) = (null, null);
        return at > 0 && HostName.TryParse(text[..at], out host) && IPAddress.TryParse(text[(at + 1)..], out address);
    }

    private static (HostName Host, IPAddress Address) Parse(string text) =>
        TryParse(text, out HostName? host, out IPAddress? address) ? (host, address) : throw new FormatException(text);
}
