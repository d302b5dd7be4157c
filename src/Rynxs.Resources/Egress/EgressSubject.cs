using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Resources.Egress;

/// <summary>
/// What an approval of egress is about: SHA-256 over the lines <c>egress</c>, <c>NAMESPACE/AGENT</c>, the time to live in seconds, and one
/// <c>PROTOCOL HOST:PORT</c> for each host, sorted. Another host, agent or time is another subject (E5).
/// </summary>
public static class EgressSubject
{
    /// <summary>Lowercase hexadecimal, 64 characters.</summary>
    /// <param name="resourceNamespace">Of the approval and its agent.</param>
    /// <param name="spec">Its spec; the reason and the requester are no part of the subject.</param>
    public static string Hash(string resourceNamespace, EgressApprovalSpec spec)
    {
        ArgumentNullException.ThrowIfNull(resourceNamespace);
        ArgumentNullException.ThrowIfNull(spec);
        string text = string.Join('\n',
        [
            "egress",
            $"{resourceNamespace}/{spec.Agent}",
            spec.TtlSeconds.ToString(CultureInfo.InvariantCulture),
            .. spec.Hosts.Select(host => string.Create(CultureInfo.InvariantCulture, $"{host.Protocol} {host.Host.ToLowerInvariant()}:{host.Port}")).Order(StringComparer.Ordinal),
        ]);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }
}
