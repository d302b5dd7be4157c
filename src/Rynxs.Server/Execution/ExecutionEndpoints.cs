using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Execution;

/// <summary>The hardened sandbox API: execute, status, stored executions.</summary>
internal static class ExecutionEndpoints
{
    /// <summary>1 MiB of code and of input, each up to six times as long when escaped, and the rest.</summary>
    internal const int MaxBodyBytes = 13 * 1024 * 1024;
    private const string DefaultNamespace = "rynxs";

    public static void MapExecution(this IEndpointRouteBuilder endpoints, SandboxExecutor executor, ExecutionRecords records, string constitutionalHash)
    {
        endpoints.MapPost("/api/v1/sandbox/execute", async (HttpContext context) =>
        {
            string ns = NamespaceOf(context);
            Principal principal = RequestAccess.RequireIn(context, ns, $"Namespace '{ns}'", [.. RequestAccess.Executors, Role.Agent]);
            ExecuteRequest request = ExecuteRequestReader.Read(await RequestBody.ReadAsync(context, MaxBodyBytes, context.RequestAborted));
            RequireOwnAgentId(principal, ns, request.AgentId);
            bool verified = CompareHash(request.ConstitutionalHash, constitutionalHash);
            ExecuteResponse response = await executor.ExecuteAsync(request, ns, principal, verified, context.RequestAborted);
            return Results.Json(response, ServerJson.Default.ExecuteResponse);
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(MaxBodyBytes));

        endpoints.MapGet("/api/v1/sandbox/executions/{id}", (HttpContext context, string id) =>
        {
            Principal principal = RequestAccess.Require(context, [.. RequestAccess.Readers, Role.Agent]);
            if (!records.TryGet(id, out ExecutionRecord? record))
            {
                return Problem.NotFound("Execution");
            }

            if (!principal.CanSee(record.Namespace) || (IsAgentOnly(principal) && record.Principal != principal.Name))
            {
                RequestAccess.NoteHidden(context);
                return Problem.NotFound("Execution");
            }

            return Results.Json(record.Response, ServerJson.Default.ExecuteResponse);
        });

        endpoints.MapGet("/api/v1/sandbox/status", (HttpContext context) =>
        {
            Principal principal = RequestAccess.Require(context, RequestAccess.Readers);
            ActiveSandbox[] active = [.. executor.List().Where(sandbox => principal.CanSee(sandbox.Namespace))];

            // Nothing was compared for a status, so nothing is claimed.
            return Results.Json(new SandboxStatusResponse(active, active.Length, ConstitutionalHashVerified: false), ServerJson.Default.SandboxStatusResponse);
        });
    }

    internal static string NamespaceOf(HttpContext context)
    {
        string ns = context.Request.Query["namespace"].ToString();
        if (ns.Length == 0)
        {
            return DefaultNamespace;
        }

        return Labels.IsDnsLabel(ns)
            ? ns
            : throw new ProblemException(new Problem(
                StatusCodes.Status422UnprocessableEntity, "invalid_value", "1 to 63 of a-z, 0-9 and '-', not at the ends.", "namespace"));
    }

    // An agent's token speaks for that agent alone, whatever the body says (D7).
    internal static void RequireOwnAgentId(Principal principal, string ns, string agentId)
    {
        if (IsAgentOnly(principal) && principal.Name.StartsWith("agent:", StringComparison.Ordinal) && principal.Name != $"agent:{ns}/{agentId}")
        {
            throw new ProblemException(new Problem(
                StatusCodes.Status403Forbidden, "agent_id_mismatch", "The token belongs to another agent.", "agent_id"));
        }
    }

    private static bool IsAgentOnly(Principal principal) => principal.Roles.All(role => role == Role.Agent);

    internal static bool CompareHash(string? pinned, string actual)
    {
        if (pinned is null)
        {
            return false;
        }

        return pinned == actual
            ? true
            : throw new ProblemException(new Problem(
                StatusCodes.Status409Conflict, "constitutional_hash_mismatch", "The request pins another constitutional hash than this deployment has.", "constitutional_hash"));
    }
}
