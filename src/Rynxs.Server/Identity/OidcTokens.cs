using System.Text.Json;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity;

/// <summary>
/// Bearer tokens of an OpenID provider. Asymmetric algorithms alone: neither <c>none</c> nor an HMAC keyed with a public key can pass (RFC 8725, 2.1 and 3.1).
/// </summary>
internal sealed class OidcTokens(OidcOptions options, OidcKeys keys, TimeProvider timeProvider) : IDisposable
{
    /// <summary>Difference of clocks that is tolerated, at both ends of a token's life.</summary>
    internal static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(60);

    private const int MaxGroups = 1000;

    private static readonly string[] Algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
        SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
        SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false, MaximumTokenSizeInBytes = Authenticator.MaxAuthorizationLength };

    public string Issuer => options.Issuer;

    /// <summary>Whom a token stands for.</summary>
    public async ValueTask<Authentication> AuthenticateAsync(string token, CancellationToken cancellationToken)
    {
        JsonWebToken unverified = new(token);
        if (!Algorithms.Contains(unverified.Alg))
        {
            return new Authentication.Refused("algorithm");
        }

        IReadOnlyCollection<SecurityKey> known = await keys.ForAsync(unverified.Kid, cancellationToken);
        TokenValidationResult result = await _handler.ValidateTokenAsync(unverified, new TokenValidationParameters
        {
            ValidIssuer = options.Issuer,
            ValidAudiences = options.Audiences,
            IssuerSigningKeys = known,
            // A token that names a key is judged by that key, not by whichever fits.
            TryAllIssuerSigningKeys = string.IsNullOrEmpty(unverified.Kid),
            ValidAlgorithms = Algorithms,
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            LifetimeValidator = (notBefore, expires, _, _) => Counts(notBefore, expires),
        });
        if (!result.IsValid)
        {
            return new Authentication.Refused(result.Exception is SecurityTokenInvalidLifetimeException ? "expired" : "token");
        }

        if (Texts(unverified, options.UsernameClaim) is not [{ Length: > 0 and <= 128 } name] || name.Any(c => c is <= ' ' or > '~'))
        {
            return new Authentication.Refused("username");
        }

        IReadOnlyList<string> groups = Texts(unverified, options.GroupsClaim);
        if (groups.Count > MaxGroups || PrincipalOf(options.UsernamePrefix + name, groups) is not { } principal)
        {
            return new Authentication.Refused("groups");
        }

        DateTime end = unverified.ValidTo;
        return new Authentication.Known(principal, _ => ValueTask.FromResult(timeProvider.GetUtcNow().UtcDateTime < end + ClockSkew));
    }

    public void Dispose() => keys.Dispose();

    /// <summary>
    /// The roles of all groups together, and the namespaces together. A principal has one set of namespaces for all of its roles, so grants that differ in
    /// their namespaces are not mixed: those of the widest reach count, and of these the first in the order of the settings decides the namespaces.
    /// </summary>
    internal Principal? PrincipalOf(string name, IReadOnlyList<string> groups)
    {
        OidcGrant[] grants = [.. options.Grants.Where(grant => groups.Contains(grant.Group, StringComparer.Ordinal))];
        if (grants.Length == 0)
        {
            return null;
        }

        // Mixing "auditor everywhere" with "admin in team-a" into one principal would make an administrator of everything.
        OidcGrant leading = grants.FirstOrDefault(grant => grant.Namespaces is null) ?? grants[0];
        HashSet<string>? namespaces = leading.Namespaces?.ToHashSet(StringComparer.Ordinal);
        HashSet<Role> roles = [.. grants
            .Where(grant => namespaces is null ? grant.Namespaces is null : grant.Namespaces is { } own && namespaces.SetEquals(own))
            .Select(grant => grant.Role)];
        return new Principal(name, roles, namespaces)
        {
            Groups = [.. groups.Select(group => options.GroupsPrefix + group), "system:authenticated"],
        };
    }

    /// <summary>The same for names and groups as they are told, with our prefixes; null when they are not the provider's.</summary>
    internal Principal? PrincipalOfPrefixed(string name, IReadOnlyList<string> groups) =>
        name.StartsWith(options.UsernamePrefix, StringComparison.Ordinal)
            ? PrincipalOf(name, [.. groups.Where(group => group.StartsWith(options.GroupsPrefix, StringComparison.Ordinal)).Select(group => group[options.GroupsPrefix.Length..])])
            : null;

    private bool Counts(DateTime? notBefore, DateTime? expires)
    {
        DateTime now = timeProvider.GetUtcNow().UtcDateTime;
        return expires is { } end && now < end + ClockSkew && (notBefore is null || now >= notBefore.Value - ClockSkew);
    }

    private static IReadOnlyList<string> Texts(JsonWebToken token, string claim)
    {
        // The payload itself: the library's typed access takes a text for no JSON value.
        using JsonDocument payload = JsonDocument.Parse(Base64UrlEncoder.DecodeBytes(token.EncodedPayload));
        if (payload.RootElement.ValueKind != JsonValueKind.Object || !payload.RootElement.TryGetProperty(claim, out JsonElement value))
        {
            return [];
        }

        return value.ValueKind switch
        {
            JsonValueKind.String => [value.GetString() ?? ""],
            JsonValueKind.Array => [.. value.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString() ?? "")],
            _ => [],
        };
    }
}
