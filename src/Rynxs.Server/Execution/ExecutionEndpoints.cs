using System.Globalization;
using Rynxs.Resources.Identity;
using Rynxs.Server.Execution.OpenApi;
using Rynxs.Server.Execution.Stored;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Execution;

/// <summary>The hardened sandbox API: execute, status, stored executions. One that the caller may not see answers 404.</summary>
internal static class ExecutionEndpoints
{
    /// <summary>1 MiB of code and of input, each up to six times as long when escaped, and the rest.</summary>
    internal const int MaxBodyBytes = 13 * 1024 * 1024;
    internal const int MaxWaitSeconds = 60;
    private const int MaxKeyLength = 255;
    private const int DefaultPage = 100;
    private const string DefaultNamespace = "rynxs";
    private const string Executions = "/api/v1/sandbox/executions";

    public static void MapExecution(this IEndpointRouteBuilder endpoints, SandboxExecutor executor, ExecutionJobs jobs, ExecutionStore store, string constitutionalHash)
    {
        endpoints.MapPost("/api/v1/sandbox/execute", async (HttpContext context) =>
        {
            string ns = NamespaceOf(context);
            Principal principal = RequestAccess.RequireIn(context, ns, $"Namespace '{ns}'", [.. RequestAccess.Executors, Role.Agent]);
            byte[] body = await RequestBody.ReadAsync(context, MaxBodyBytes, context.RequestAborted);
            ExecuteRequest request = ExecuteRequestReader.Read(body);
            RequireOwnAgentId(principal, ns, request.AgentId);
            bool verified = CompareHash(request.ConstitutionalHash, constitutionalHash);
            var order = new ExecutionOrder(request, ns, principal, verified, IdempotencyKeyOf(context), ExecutionOrder.FingerprintOf("execute", body));
            OrderAnswer answer = await jobs.RunAsync(order, (id, running, token) => executor.ExecuteAsync(order, id, running, token), request.IsAsynchronous, context.RequestAborted);
            return Answer(context, answer, store);
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(MaxBodyBytes), SandboxOperations.Execute);

        endpoints.MapGet(Executions, (HttpContext context) =>
        {
            Principal principal = RequestAccess.Require(context, [.. RequestAccess.Readers, Role.Agent]);
            ExecutionQuery query = ReadQuery(context, principal);
            IReadOnlyList<StoredExecution> page = store.List(query with { Limit = query.Limit + 1 });
            string? next = page.Count > query.Limit ? page[query.Limit - 1].Number.ToString(CultureInfo.InvariantCulture) : null;
            return Results.Json(new ExecutionList([.. page.Take(query.Limit).Select(ExecutionView.Of)], next), ServerJson.Default.ExecutionList);
        }).WithMetadata(SandboxOperations.ListExecutions);

        endpoints.MapGet(Executions + "/{id}", async (HttpContext context, string id) =>
        {
            RequireVisible(context, store, id);
            await jobs.WaitAsync(id, TimeSpan.FromSeconds(Whole(context, "wait_seconds", 0, MaxWaitSeconds, 0)), context.RequestAborted);
            return Detail(RequireVisible(context, store, id));
        }).WithMetadata(SandboxOperations.GetExecution);

        endpoints.MapGet(Executions + "/{id}/violations", (HttpContext context, string id) =>
        {
            IReadOnlyList<ViolationView> violations = RequireVisible(context, store, id).Response?.SecurityViolations ?? [];
            return Results.Json(new ViolationList(id, violations, violations.Count), ServerJson.Default.ViolationList);
        }).WithMetadata(SandboxOperations.ListViolations);

        endpoints.MapPost(Executions + "/{id}/cancel", async (HttpContext context, string id) =>
        {
            StoredExecution execution = RequireVisible(context, store, id);
            RequestAccess.Require(context, [.. RequestAccess.Executors, Role.Agent]);
            if (!jobs.TryCancel(id) && execution.State is ExecutionState.Queued or ExecutionState.Running)
            {
                execution = RequireVisible(context, store, id); // it ended in between
            }
            else if (execution.State is not (ExecutionState.Queued or ExecutionState.Running))
            {
                throw new ProblemException(new Problem(StatusCodes.Status409Conflict, "execution_ended", "The execution has ended already."));
            }

            await jobs.WaitAsync(id, TimeSpan.FromSeconds(MaxWaitSeconds), context.RequestAborted);
            return Detail(RequireVisible(context, store, id));
        }).WithMetadata(SandboxOperations.CancelExecution);

        endpoints.MapGet("/api/v1/sandbox/status", (HttpContext context) =>
        {
            Principal principal = RequestAccess.Require(context, RequestAccess.Readers);
            ActiveSandbox[] active = [.. executor.List().Where(sandbox => principal.CanSee(sandbox.Namespace))];

            // Nothing was compared for a status, so nothing is claimed.
            return Results.Json(new SandboxStatusResponse(active, active.Length, ConstitutionalHashVerified: false), ServerJson.Default.SandboxStatusResponse);
        }).WithMetadata(SandboxOperations.Status);
    }

    /// <summary>200 with the answer, or 202 with where it will be.</summary>
    internal static IResult Answer(HttpContext context, OrderAnswer answer, ExecutionStore store)
    {
        if (answer.Replayed)
        {
            context.Response.Headers["Idempotency-Replayed"] = "true";
        }

        context.Response.Headers.Location = $"{Executions}/{answer.ExecutionId}";
        if (answer.Response is { } response)
        {
            return Results.Json(response, ServerJson.Default.ExecuteResponse);
        }

        StoredExecution stored = store.TryGet(answer.ExecutionId) ?? throw new ProblemException(Problem.NotFound("Execution"));
        return Results.Json(new ExecutionDetail(ExecutionView.Of(stored), stored.Response), ServerJson.Default.ExecutionDetail, statusCode: StatusCodes.Status202Accepted);
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

    /// <summary>1 to 255 visible ASCII characters, or none.</summary>
    internal static string? IdempotencyKeyOf(HttpContext context)
    {
        string key = context.Request.Headers["Idempotency-Key"].ToString();
        return key.Length == 0 ? null
            : key.Length <= MaxKeyLength && key.All(c => c is > ' ' and <= '~') ? key
            : throw new ProblemException(new Problem(
                StatusCodes.Status422UnprocessableEntity, "invalid_value", $"1 to {MaxKeyLength} visible ASCII characters.", "Idempotency-Key"));
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

    internal static bool IsAgentOnly(Principal principal) => principal.Roles.All(role => role == Role.Agent);

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

    /// <summary>A whole number of the query.</summary>
    internal static int Whole(HttpContext context, string name, int least, int most, int otherwise)
    {
        string text = context.Request.Query[name].ToString();
        return text.Length == 0 ? otherwise
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most ? number
            : throw new ProblemException(new Problem(
                StatusCodes.Status422UnprocessableEntity, "out_of_range", string.Create(CultureInfo.InvariantCulture, $"A whole number from {least} to {most}."), name));
    }

    private static IResult Detail(StoredExecution stored) =>
        Results.Json(new ExecutionDetail(ExecutionView.Of(stored), stored.Response), ServerJson.Default.ExecutionDetail);

    /// <exception cref="ProblemException">404: it is not there, or not for this caller. The two are the same answer.</exception>
    private static StoredExecution RequireVisible(HttpContext context, ExecutionStore store, string id)
    {
        Principal principal = RequestAccess.Require(context, [.. RequestAccess.Readers, Role.Agent]);
        if (!Guid.TryParse(id, out _) || store.TryGet(id) is not { } stored)
        {
            throw new ProblemException(Problem.NotFound("Execution"));
        }

        if (!principal.CanSee(stored.Namespace) || (IsAgentOnly(principal) && stored.Principal != principal.Name))
        {
            RequestAccess.NoteHidden(context);
            throw new ProblemException(Problem.NotFound("Execution"));
        }

        return stored;
    }

    private static ExecutionQuery ReadQuery(HttpContext context, Principal principal)
    {
        IQueryCollection query = context.Request.Query;
        string state = query["state"].ToString();
        string before = query["continue"].ToString();
        string? ns = query.ContainsKey("namespace") ? NamespaceOf(context) : null;
        if (ns is not null && !principal.CanSee(ns))
        {
            RequestAccess.NoteHidden(context);
            throw new ProblemException(Problem.NotFound($"Namespace '{ns}'"));
        }

        return new ExecutionQuery(
            ns is null ? principal.Namespaces : new HashSet<string>(StringComparer.Ordinal) { ns },
            IsAgentOnly(principal) ? principal.Name : null,
            Short(query["agent_id"].ToString(), "agent_id"),
            Short(query["session_id"].ToString(), "session_id"),
            state.Length == 0 ? null : ExecutionStates.Parse(state)
                ?? throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "unsupported_value", "queued, running, finished, not_started or unknown.", "state")),
            before.Length == 0 ? long.MaxValue
                : long.TryParse(before, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number
                : throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "invalid_value", "Not a value that a list answered.", "continue")),
            Whole(context, "limit", 1, ExecutionQuery.MaxLimit, DefaultPage));
    }

    private static string? Short(string text, string field) =>
        text.Length == 0 ? null : text.Length <= 63 ? text : throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "too_long", "At most 63 characters.", field));
}
