using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;

namespace Rynxs.Server.LedgerRole;

/// <summary>Lets in who has a token. Only health is open; it tells nothing but that the process answers.</summary>
internal sealed class LedgerRoleGuard(RequestDelegate next, TokenStore tokens)
{
    private const string Scheme = "Bearer ";

    public async Task InvokeAsync(HttpContext context)
    {
        if (context.Request.Path.Value is "/livez" or "/readyz")
        {
            await next(context);
            return;
        }

        string authorization = context.Request.Headers.Authorization.ToString();
        Principal? principal = authorization.Length <= 512 && authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            ? tokens.Authenticate(authorization[Scheme.Length..].Trim())
            : null;
        if (principal is null)
        {
            await RequestAccess.Unauthenticated.ExecuteAsync(context);
            return;
        }

        RequestAccess.SetPrincipal(context, principal);
        await next(context);
    }
}
