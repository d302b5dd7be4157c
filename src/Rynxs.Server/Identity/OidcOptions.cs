using System.Diagnostics.CodeAnalysis;
using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity;

/// <summary>Whose tokens of an OpenID provider count, and for what. Settings <c>--oidc-…</c> of <c>rynxs up</c>.</summary>
public sealed record OidcOptions
{
    /// <summary>The issuer, exactly as its tokens and its discovery document name it; https, or http on a loopback address.</summary>
    public required string Issuer { get; init; }

    /// <summary>At least one; a token must be meant for one of them.</summary>
    public required IReadOnlyList<string> Audiences { get; init; }

    /// <summary>Claim with the user's name. Default <c>sub</c>, which no provider lets people choose.</summary>
    public string UsernameClaim { get; init; } = "sub";

    /// <summary>Put before the name, so that it is never one of ours. Default <c>oidc:</c>.</summary>
    public string UsernamePrefix { get; init; } = "oidc:";

    /// <summary>Claim with the groups: a text or a list of texts. Default <c>groups</c>.</summary>
    public string GroupsClaim { get; init; } = "groups";

    /// <summary>Put before each group where groups are told. Default <c>oidc:</c>.</summary>
    public string GroupsPrefix { get; init; } = "oidc:";

    /// <summary>What members of a group may do. A user of no mapped group is nobody.</summary>
    public required IReadOnlyList<OidcGrant> Grants { get; init; }

    /// <summary>PEM file with the authority of the provider's certificate; null for the machine's own.</summary>
    public string? AuthorityFile { get; init; }

    internal IEnumerable<string> Problems()
    {
        if (!Uri.TryCreate(Issuer, UriKind.Absolute, out Uri? uri) || uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0
            || !(uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback)))
        {
            yield return $"--oidc-issuer: '{Issuer}' is not an https address (http is taken on a loopback address alone).";
        }

        if (Audiences.Count == 0 || Audiences.Any(string.IsNullOrEmpty))
        {
            yield return "--oidc-audience: at least one; without it, a token that was made for another service would count here.";
        }

        if (Grants.Count == 0)
        {
            yield return "--oidc-role: at least one GROUP=ROLE; nobody could do anything without.";
        }

        if (UsernameClaim.Length == 0)
        {
            yield return "--oidc-username-claim: a name is required.";
        }

        if (UsernamePrefix.Length == 0 || UsernamePrefix.StartsWith("system:", StringComparison.Ordinal) || UsernamePrefix.StartsWith("agent:", StringComparison.Ordinal)
            || UsernamePrefix.StartsWith("user:", StringComparison.Ordinal) || UsernamePrefix.Any(c => c is <= ' ' or > '~'))
        {
            yield return "--oidc-username-prefix: visible characters, and not 'user:', 'agent:' or 'system:': a provider's user must not pass for one of ours.";
        }

        if (AuthorityFile is not null && !File.Exists(AuthorityFile))
        {
            yield return $"--oidc-ca-file: there is no file '{AuthorityFile}'.";
        }
    }
}

/// <summary>A role for a group.</summary>
/// <param name="Group">As the provider names it, without our prefix.</param>
/// <param name="Role">What its members may do.</param>
/// <param name="Namespaces">Where; null for everywhere.</param>
public sealed record OidcGrant(string Group, Role Role, IReadOnlyList<string>? Namespaces)
{
    /// <summary>Reads <c>GROUP=ROLE</c> or <c>GROUP=ROLE@NAMESPACE,NAMESPACE</c>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out OidcGrant? grant)
    {
        grant = null;
        int equals = text.LastIndexOf('=');
        if (equals <= 0)
        {
            return false;
        }

        string[] right = text[(equals + 1)..].Split('@', 2);
        if (RoleNames.TryParse(right[0]) is not { } role)
        {
            return false;
        }

        string[]? namespaces = right.Length == 1 ? null : right[1].Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (namespaces is [])
        {
            return false;
        }

        grant = new OidcGrant(text[..equals], role, namespaces);
        return true;
    }
}
