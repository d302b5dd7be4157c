namespace Rynxs.Server.Metrics;

/// <summary>Counts and times every request by the pattern of its route; paths never become labels.</summary>
internal sealed class RequestMetrics(RequestDelegate next, ServerMetrics metrics, TimeProvider timeProvider)
{
    private static readonly HashSet<string> Methods = new(StringComparer.Ordinal) { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" };

    public async Task InvokeAsync(HttpContext context)
    {
        long started = timeProvider.GetTimestamp();
        try
        {
            await next(context);
        }
        finally
        {
            string route = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "unmatched";
            string method = Methods.Contains(context.Request.Method) ? context.Request.Method : "other";
            metrics.RequestEnded(method, route, context.Response.StatusCode, timeProvider.GetElapsedTime(started));
        }
    }
}
