using Rynxs.Resources.Identity;
using Rynxs.Sandbox;
using Rynxs.Server.Hosting;
using Rynxs.Server.Identity;
using Rynxs.Server.Metrics;

namespace Rynxs.Server.Health;

/// <summary>What monitors ask, and what a client asks about itself.</summary>
internal static class HealthEndpoints
{
    /// <summary>Load balancers often ask with HEAD.</summary>
    private static readonly string[] Monitors = [HttpMethods.Get, HttpMethods.Head];

    public static void MapHealth(
        this IEndpointRouteBuilder endpoints, ServerHealth health, ISandboxRuntime runtime, PrometheusExporter exporter, string constitutionalHash)
    {
        endpoints.MapMethods("/livez", Monitors, () => Results.Text("ok\n"));
        endpoints.MapMethods("/readyz", Monitors, async (HttpContext context) =>
        {
            ReadinessResponse readiness = await health.CheckAsync(context.RequestAborted);
            bool ready = readiness.Status == "ready";
            return Results.Json(
                readiness, ServerJson.Default.ReadinessResponse,
                statusCode: ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
        });
        endpoints.MapMethods("/health", Monitors, async (HttpContext context) =>
        {
            RuntimeProbe probe = await health.ProbeAsync(context.RequestAborted);
            return Results.Json(
                new HealthResponse(
                    probe.Available ? "healthy" : "degraded", "hardened-sandbox-controller", RynxsServer.Version, constitutionalHash,
                    await health.RuntimesAvailableAsync(context.RequestAborted), runtime.List().Count),
                ServerJson.Default.HealthResponse);
        });
        endpoints.MapGet("/metrics", (HttpContext context) =>
        {
            RequestAccess.Require(context, RequestAccess.Readers);
            return Results.Text(exporter.Write(), PrometheusExporter.ContentType);
        });
        endpoints.MapGet("/api/v1/whoami", (HttpContext context) =>
        {
            Principal principal = context.Principal();
            return Results.Json(
                new WhoAmIResponse(
                    principal.Name, [.. principal.Roles.Order().Select(role => role.ToString())], principal.Namespaces is null ? null : [.. principal.Namespaces.Order(StringComparer.Ordinal)]),
                ServerJson.Default.WhoAmIResponse);
        });
    }
}
