using System.Net;
using Rynxs.Resources.Identity;
using Rynxs.Server.Audit;
using Rynxs.Server.Metrics;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Identity;

/// <summary>
/// Lets in whom it knows. On a plain loopback listener it also refuses foreign Host and Origin headers: a web page that a person on this machine visits must
/// not reach the server through a rebound name or a blind post. There is no CORS. Over TLS a rebound name fails at the certificate.
/// </summary>
internal sealed class RequestGuard(RequestDelegate next, RequestGuardServices services, DeniedRequestLog denied, ServerMetrics metrics, RequestGuardOptions options)
{
    /// <summary>Answered without a token: they tell only whether the server works.</summary>
    private static readonly HashSet<string> OpenPaths = new(StringComparer.Ordinal) { "/health", "/livez", "/readyz" };

    private static readonly Principal Anonymous = new("user:anonymous", new HashSet<Role> { Role.Admin }, null) { Groups = ["system:unauthenticated"] };

    public async Task InvokeAsync(HttpContext context)
    {
        if (options.Loopback && !context.Request.IsHttps && !IsLocalHost(context.Request.Host.Host))
        {
            await DenyAsync(context, new Problem(
                StatusCodes.Status403Forbidden, "host_not_allowed", "The Host header does not name this machine's loopback address."));
            return;
        }

        string origin = context.Request.Headers.Origin.ToString();
        if (origin.Length > 0 && !string.Equals(origin, $"{context.Request.Scheme}://{context.Request.Host}", StringComparison.OrdinalIgnoreCase))
        {
            await DenyAsync(context, new Problem(
                StatusCodes.Status403Forbidden, "origin_not_allowed", "Requests from web pages of another origin are refused."));
            return;
        }

        // A wrong credential is refused even where none would do: it shows a mistake that should not pass silently.
        switch (await services.Authenticator.AuthenticateAsync(context, context.RequestAborted))
        {
            case Authentication.Known known:
                await ServeKnownAsync(context, known);
                return;
            case Authentication.None when options.AllowAnonymous:
                await ServeAsync(context, Anonymous);
                return;
            case Authentication.None when OpenPaths.Contains(context.Request.Path.Value ?? ""):
                await ServeAsync(context, principal: null);
                return;
            default:
                await DenyAsync(context, RequestAccess.Unauthenticated);
                return;
        }
    }

    private async Task ServeKnownAsync(HttpContext context, Authentication.Known known)
    {
        if (!services.Rates.TryBegin(known.Principal))
        {
            context.Response.Headers.RetryAfter = "1";
            await DenyAsync(context, new Problem(StatusCodes.Status429TooManyRequests, "too_many_requests", "This principal sends too many requests; try again."), known.Principal.Name);
            return;
        }

        (Principal? principal, KubernetesStatus? refusal) = await services.Impersonation.ApplyAsync(context, known.Principal);
        if (refusal is not null)
        {
            Note(context, known.Principal.Name, "impersonation");
            await refusal.WriteAsync(context);
            return;
        }

        services.Live.Begin(context, known);
        try
        {
            await ServeAsync(context, principal);
        }
        finally
        {
            services.Live.End(context);
        }
    }

    private async Task ServeAsync(HttpContext context, Principal? principal)
    {
        if (principal is not null)
        {
            RequestAccess.SetPrincipal(context, principal);
        }

        await next(context);
        if (context.Response.StatusCode == StatusCodes.Status403Forbidden)
        {
            Note(context, principal?.Name ?? "unknown", "forbidden");
        }
        else if (RequestAccess.IsHidden(context))
        {
            Note(context, principal?.Name ?? "unknown", "invisible");
        }
    }

    private async Task DenyAsync(HttpContext context, Problem problem, string principal = "unknown")
    {
        Note(context, principal, problem.Code);
        if (!KubernetesEndpoint.Serves(context))
        {
            await problem.ExecuteAsync(context);
            return;
        }

        KubernetesStatus status = problem.Status switch
        {
            StatusCodes.Status401Unauthorized => KubernetesStatus.Unauthorized,
            StatusCodes.Status429TooManyRequests => new KubernetesStatus(problem.Detail, "TooManyRequests", problem.Status),
            _ => new KubernetesStatus(problem.Detail, "Forbidden", problem.Status),
        };
        await status.WriteAsync(context);
    }

    private void Note(HttpContext context, string principal, string reason)
    {
        metrics.RequestDenied(reason);
        denied.Record(principal, context.Request.Method, Route(context), reason);
    }

    // The route's pattern and never the path: paths are free text of whoever asks.
    private static string Route(HttpContext context) =>
        (context.GetEndpoint() as Microsoft.AspNetCore.Routing.RouteEndpoint)?.RoutePattern.RawText ?? "unmatched";

    private static bool IsLocalHost(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));
}

/// <summary>How strict the door is.</summary>
/// <param name="Loopback">The plain listener is on a loopback address.</param>
/// <param name="AllowAnonymous">A request without a token acts as an administrator.</param>
internal sealed record RequestGuardOptions(bool Loopback, bool AllowAnonymous);

/// <summary>What the door asks.</summary>
internal sealed record RequestGuardServices(Authenticator Authenticator, RequestRates Rates, Impersonation Impersonation, LiveRequests Live);
