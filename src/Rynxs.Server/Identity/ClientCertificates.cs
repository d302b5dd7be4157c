using System.Security.Cryptography.X509Certificates;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tls;

namespace Rynxs.Server.Identity;

/// <summary>
/// Clients known by a certificate of our authority: CN is the name, each O of the form <c>rynxs:ROLE</c> a role. Both must also stand in the state's records,
/// which hold the namespaces and the end, and whose removal revokes it at once. A certificate counts for what it says and the record allows, no more.
/// </summary>
internal sealed class ClientCertificates(CertificateAuthority authority, TokenStore tokens)
{
    private const string CommonName = "2.5.4.3";
    private const string Organization = "2.5.4.10";

    /// <summary>Whom it stands for; null when it does not count.</summary>
    public Principal? Authenticate(X509Certificate2 certificate)
    {
        if (!authority.Signed(certificate) || tokens.FindCertificate(certificate) is not { } recorded || Text(certificate, CommonName) is not [string name] || name != recorded.Name)
        {
            return null;
        }

        HashSet<Role> roles = [.. Text(certificate, Organization).Select(ParseRole).OfType<Role>().Where(recorded.Roles.Contains)];
        return roles.Count == 0 ? null : recorded with { Roles = roles, Groups = Text(certificate, Organization) };
    }

    private static Role? ParseRole(string organization) =>
        organization.StartsWith(CertificateAuthority.RolePrefix, StringComparison.Ordinal) ? RoleNames.TryParse(organization[CertificateAuthority.RolePrefix.Length..]) : null;

    private static string[] Text(X509Certificate2 certificate, string oid) =>
        [.. certificate.SubjectName.EnumerateRelativeDistinguishedNames()
            .Where(part => !part.HasMultipleElements && part.GetSingleElementType().Value == oid)
            .Select(part => part.GetSingleElementValue() ?? "")];
}
