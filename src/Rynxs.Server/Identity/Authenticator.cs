using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Rynxs.Server.Identity;

/// <summary>
/// Finds out who sends a request: a bearer token of ours, of a service account or of the OpenID provider, else a client certificate. A request that shows two
/// credentials is judged by its token, and by that alone. No header but Authorization says anything about identity.
/// </summary>
internal sealed class Authenticator(TokenStore tokens, ClientCertificates certificates, ServiceAccountTokens serviceAccounts, OidcTokens? oidc)
{
    /// <summary>Longest Authorization header that is looked at: room for a token with many groups.</summary>
    internal const int MaxAuthorizationLength = 16 * 1024;

    private const string Scheme = "Bearer ";

    public async ValueTask<Authentication> AuthenticateAsync(HttpContext context, CancellationToken cancellationToken)
    {
        string authorization = context.Request.Headers.Authorization.ToString();
        if (authorization.Length > 0)
        {
            return authorization.Length <= MaxAuthorizationLength && authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
                ? await AuthenticateTokenAsync(authorization[Scheme.Length..].Trim(), audiences: null, cancellationToken)
                : new Authentication.Refused("malformed");
        }

        if (context.Connection.ClientCertificate is not { } certificate)
        {
            return new Authentication.None();
        }

        return certificates.Authenticate(certificate) is { } principal
            ? new Authentication.Known(principal, _ => ValueTask.FromResult(certificates.Authenticate(certificate) is not null))
            : new Authentication.Refused("certificate");
    }

    /// <summary>Whom a bearer token stands for.</summary>
    /// <param name="token">The token's text.</param>
    /// <param name="audiences">For whom a service account's token must be meant; null for this server.</param>
    /// <param name="cancellationToken">Stops asking the provider.</param>
    public async ValueTask<Authentication> AuthenticateTokenAsync(string token, IReadOnlyList<string>? audiences, CancellationToken cancellationToken)
    {
        if (token.StartsWith(TokenStore.Prefix, StringComparison.Ordinal) || token.Count(c => c == '.') != 2)
        {
            return tokens.Authenticate(token) is { } principal
                ? new Authentication.Known(principal, _ => ValueTask.FromResult(tokens.Authenticate(token) is not null))
                : new Authentication.Refused("token");
        }

        // The issuer that an unverified token claims only chooses who verifies it; each verifier takes its own keys and its own algorithm alone.
        string? issuer;
        try
        {
            issuer = new JsonWebToken(token).Issuer;
        }
        catch (Exception exception) when (exception is ArgumentException or SecurityTokenException)
        {
            return new Authentication.Refused("malformed");
        }

        if (issuer == ServiceAccountTokens.Issuer)
        {
            return await serviceAccounts.AuthenticateAsync(token, audiences, cancellationToken);
        }

        return oidc is not null && issuer == oidc.Issuer && audiences is null
            ? await oidc.AuthenticateAsync(token, cancellationToken)
            : new Authentication.Refused("issuer");
    }
}
