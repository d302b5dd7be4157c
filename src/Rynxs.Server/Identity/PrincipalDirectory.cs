using Rynxs.Resources.Identity;
using Rynxs.Server.Tls;

namespace Rynxs.Server.Identity;

/// <summary>Principals by name, for an administrator's questions: what may that user do?</summary>
internal sealed class PrincipalDirectory(TokenStore tokens, FindServiceAccount findServiceAccount, OidcTokens? oidc)
{
    /// <summary>
    /// The principal that the name and groups stand for. A name that nobody has, with groups that say nothing, stands for somebody without any role: asking
    /// about it is allowed, and every answer is no.
    /// </summary>
    public async ValueTask<Principal> FindAsync(string user, IReadOnlyList<string> groups, CancellationToken cancellationToken)
    {
        if (tokens.Find(user) is { } known)
        {
            return known;
        }

        if (user.StartsWith(ServiceAccount.UserPrefix, StringComparison.Ordinal)
            && user[ServiceAccount.UserPrefix.Length..].Split(':') is [string resourceNamespace, string name]
            && await findServiceAccount(resourceNamespace, name, cancellationToken) is { } account)
        {
            return account.ToPrincipal();
        }

        if (oidc?.PrincipalOfPrefixed(user, groups) is { } member)
        {
            return member;
        }

        HashSet<Role> roles = [.. groups
            .Where(group => group.StartsWith(CertificateAuthority.RolePrefix, StringComparison.Ordinal))
            .Select(group => RoleNames.TryParse(group[CertificateAuthority.RolePrefix.Length..])).OfType<Role>()];
        return new Principal(user, roles, null) { Groups = groups };
    }
}
