using System.Net;
using System.Net.Sockets;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Upstream;

/// <summary>Looks up the addresses of a name that a rule allows.</summary>
public interface INameResolver
{
    /// <summary>The addresses, in the order to try; empty when the name has none or cannot be looked up.</summary>
    ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(HostName host, CancellationToken cancellationToken);
}

/// <summary>The resolver of this host.</summary>
public sealed class SystemNameResolver : INameResolver
{
    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(HostName host, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(host);
        try
        {
            // With its final dot the name is absolute: no search domain of the host is tried.
            return await Dns.GetHostAddressesAsync(host.Text + ".", cancellationToken).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            return [];
        }
    }
}
