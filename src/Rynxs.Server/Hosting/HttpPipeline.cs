using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Hosting;
using Rynxs.ResourceServer.Http;
using Rynxs.Server.Agents;
using Rynxs.Server.Approvals;
using Rynxs.Server.Egress;
using Rynxs.Server.Doctor;
using Rynxs.Server.Execution;
using Rynxs.Server.Execution.OpenApi;
using Rynxs.Server.Execution.Sessions;
using Rynxs.Server.Health;
using Rynxs.Server.Identity;
using Rynxs.Server.Inference;
using Rynxs.Server.Logging;
using Rynxs.Server.Metrics;
using Rynxs.Server.Problems;
using Rynxs.Server.Secrets;
using Rynxs.Server.State;
using Rynxs.Server.Tls;
using Rynxs.Server.Transparency;

namespace Rynxs.Server.Hosting;

/// <summary>Kestrel with our limits, the middleware in its order, and every endpoint.</summary>
internal static class HttpPipeline
{
    /// <summary>Bodies of endpoints that do not say otherwise: one object of the resource API.</summary>
    private const int DefaultBodyBytes = 4 * 1024 * 1024;

    public static WebApplication Build(ServerOptions options, IPEndPoint endpoint, IPEndPoint? tlsEndpoint, CertificateAuthority authority)
    {
        // Nothing is read from appsettings, the environment or the command line: the options record is all there is.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.AddProvider(new JsonLoggerProvider(options.LogWriter ?? Console.Error, options.LogLevel, options.TimeProvider));
        builder.Logging.SetMinimumLevel(options.LogLevel);
        builder.Services.AddRouting();
        builder.Services.AddMetrics();
        builder.Services.AddSingleton(options.TimeProvider);
        builder.Services.AddSingleton(services => new ServerCertificate(
            authority, options.TlsNames, options.TimeProvider, services.GetRequiredService<ILogger<ServerCertificate>>()));
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(options.DrainSeconds + 5));
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = DefaultBodyBytes;
            ConnectionLimits.Apply(kestrel.Limits);
            // A watch is a stream: k9s and controllers open many over one connection.
            kestrel.Limits.Http2.MaxStreamsPerConnection = 250;
            kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
            kestrel.Limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(20);
            kestrel.Listen(endpoint, listen => listen.Protocols = HttpProtocols.Http1);
            if (tlsEndpoint is not null)
            {
                kestrel.ListenTls(tlsEndpoint, kestrel.ApplicationServices.GetRequiredService<ServerCertificate>());
            }
        });
        return builder.Build();
    }

    public static void Map(
        WebApplication application, ServerOptions options, IPEndPoint endpoint, StateDirectory state, IdentityParts identity, ServerParts parts, PrometheusExporter exporter)
    {
        application.UseRouting();
        application.UseMiddleware<RequestMetrics>(parts.Metrics, options.TimeProvider);
        application.UseMiddleware<RequestGuard>(
            identity.Guard, parts.Denied, parts.Metrics, new RequestGuardOptions(IPAddress.IsLoopback(endpoint.Address), options.DangerousAllowAnonymous));
        application.UseMiddleware<ProblemMapping>();
        application.UseWebSockets(new WebSocketOptions { KeepAliveInterval = TimeSpan.FromSeconds(20), KeepAliveTimeout = TimeSpan.FromSeconds(40) });
        application.UseEndpoints(_ => { });

        application.MapHealth(parts.Health, parts.Runtime, exporter, options.ConstitutionalHash);
        application.MapExecution(parts.Executor, parts.Jobs, parts.Executions, options.ConstitutionalHash);
        application.MapSessions(new SessionServices(parts.Sessions, parts.Jobs, parts.Executions, options.ConstitutionalHash));
        application.MapOpenApi();
        application.MapAgents(parts.Agents, parts.Store, parts.Recordings);
        new AgentLogEndpoints(parts.Store, parts.Chains, state, parts.Workspaces, application.Lifetime.ApplicationStopping).Map(application);
        application.MapTransparency(parts.Publisher, state.LedgerDirectory);
        parts.Redaction.Map(application);
        application.MapEgress(parts.Egress, options.TimeProvider);
        application.MapApprovals(parts.Store, options.TimeProvider);
        application.MapInference(parts.Inference);
        identity.Map(application);
        application.MapSecretKeys(parts.Store, application.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(SecretKeyEndpoints)));
        application.MapResourceApi(parts.Store, context => context.Principal(), new ResourceApiOptions { OtherResources = IdentityParts.Discovered, OnHidden = RequestAccess.NoteHidden })
            .WithMetadata(KubernetesEndpoint.Marker);
        var doctor = new DoctorChecks(state, parts.Images, parts.Runtime, parts.Store);
        application.MapGet("/api/v1/doctor", async (HttpContext context) =>
        {
            RequestAccess.Require(context, RequestAccess.Readers);
            return Results.Json(await doctor.RunAsync(context.Request.Query["probe"] == "true", context.RequestAborted), ServerJson.Default.DoctorReport);
        });
        MapOtherMethods(application);
    }

    private static readonly object s_refusal = new();

    /// <summary>Whether it only says which methods there are.</summary>
    internal static bool IsRefusal(RouteEndpoint endpoint) => endpoint.Metadata.Contains(s_refusal);

    /// <summary>
    /// The resource API takes every path below <c>/api</c>, so routing would give it our own endpoints' other methods, too. They answer 405 here.
    /// </summary>
    private static void MapOtherMethods(WebApplication application)
    {
        string[] all = [HttpMethods.Get, HttpMethods.Head, HttpMethods.Post, HttpMethods.Put, HttpMethods.Patch, HttpMethods.Delete, HttpMethods.Options, HttpMethods.Trace];
        var taken = ((IEndpointRouteBuilder)application).DataSources.SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
            .Where(endpoint => endpoint.RoutePattern.RawText?.StartsWith("/api/v1/", StringComparison.Ordinal) == true)
            .GroupBy(endpoint => endpoint.RoutePattern.RawText ?? "", endpoint => endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? [])
            .Select(group => (Pattern: group.Key, Methods: (string[])[.. group.SelectMany(methods => methods).Distinct().Order(StringComparer.Ordinal)]))
            .Where(endpoint => endpoint.Methods.Length > 0)
            .ToArray();
        foreach ((string pattern, string[] methods) in taken)
        {
            application.MapMethods(pattern, all.Except(methods), (HttpContext context) =>
            {
                context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
                context.Response.Headers.Allow = string.Join(", ", methods);
                return Task.CompletedTask;
            }).WithMetadata(s_refusal);
        }
    }
}
