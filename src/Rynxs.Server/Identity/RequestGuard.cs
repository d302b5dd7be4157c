using System.Net;

using Rynxs.Resources.Identity;
using Rynxs.Server.Audit;
using Rynxs.Server.Metrics;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Identity;

/// <summary>
/// Lets in whom it knows. On a loopback listener it also refuses foreign Host and Origin headers: a web page that a person on this
/// machine visits must not reach the server through a rebound name or a blind post. There is no CORS.
/// </summary>
internal sealed class RequestGuard(RequestDelegate next, TokenStore tokens, DeniedRequestLog denied, ServerMetrics metrics, RequestGuardOptions options)
{
    /// <summary>Answered without a token: they tell only whether the server works.</summary>
    private static readonly HashSet<string> OpenPaths = new(StringComparer.Ordinal) { "/health", "/livez", "/readyz" };

    private static readonly Principal Anonymous = new("user:anonymous", new HashSet<Role> { Role.Admin }, null);

    public async Task InvokeAsync(HttpContext context)
    {
        if (options.Loopback && !IsLocalHost(context.Request.Host.Host))
        {
            await DenyAsync(context, "unknown", new Problem(
                StatusCodes.Status403Forbidden, "host_not_allowed", "The Host header does not name this machine's loopback address."));
            return;
        }

        string origin = context.Request.Headers.Origin.ToString();
        if (origin.Length > 0 && !string.Equals(origin, $"{context.Request.Scheme}://{context.Request.Host}", StringComparison.OrdinalIgnoreCase))
        {
            await DenyAsync(context, "unknown", new Problem(
                StatusCodes.Status403Forbidden, "origin_not_allowed", "Requests from web pages of another origin are refused."));
            return;
        }

        string authorization = context.Request.Headers.Authorization.ToString();
        Principal? principal = null;
        if (authorization.Length > 0)
        {
            // A wrong token is refused even where none would do: it shows a mistake that should not pass silently.
            principal = Authenticate(authorization);
            if (principal is null)
            {
                await DenyAsync(context, "unknown", RequestAccess.Unauthenticated);
                return;
            }
        }
        else if (options.AllowAnonymous)
        {
            principal = Anonymous;
        }
        else if (!OpenPaths.Contains(context.Request.Path.Value ?? ""))
        {
            await DenyAsync(context, "unknown", RequestAccess.Unauthenticated);
            return;
        }

        if (principal is not null)
        {
            RequestAccess.SetPrincipal(context, principal);
        }

        await next(context);
        if (context.Response.StatusCode == StatusCodes.Status403Forbidden)
        {
            metrics.RequestDenied("forbidden");
            denied.Record(principal?.Name ?? "unknown", context.Request.Method, Route(context), "forbidden");
        }
    }

    private Principal? Authenticate(string authorization)
    {
        const string Scheme = "Bearer ";
        return authorization.Length <= 512 && authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            ? tokens.Authenticate(authorization[Scheme.Length..].Trim())
            : null;
    }

    private async Task DenyAsync(HttpContext context, string principal, Problem problem)
    {
        metrics.RequestDenied(problem.Code);
        denied.Record(principal, context.Request.Method, Route(context), problem.Code);
        await problem.ExecuteAsync(context);
    }

    // The route's pattern and never the path: paths are free text of whoever asks.
    private static string Route(HttpContext context) =>
        (context.GetEndpoint() as Microsoft.AspNetCore.Routing.RouteEndpoint)?.RoutePattern.RawText ?? "unmatched";

    private static bool IsLocalHost(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));
}

/// <summary>How strict the door is.</summary>
/// <param name="Loopback">The listener is a loopback address.</param>
/// <param name="AllowAnonymous">A request without a token acts as an administrator.</param>
internal sealed record RequestGuardOptions(bool Loopback, bool AllowAnonymous);
