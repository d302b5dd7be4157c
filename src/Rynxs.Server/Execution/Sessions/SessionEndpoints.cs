using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>Sandboxes that a caller keeps: create, run many programs, pause, resume, list, end. One that the caller may not see answers 404.</summary>
internal static class SessionEndpoints
{
    private const int MaxCreateBytes = 16 * 1024;
    internal const string Path = "/api/v1/sandbox/sessions";

    public static void MapSessions(this IEndpointRouteBuilder endpoints, SessionServices services)
    {
        (SandboxSessions sessions, ExecutionJobs jobs, Stored.ExecutionStore store, string constitutionalHash) = services;
        endpoints.MapPost(Path, async (HttpContext context) =>
        {
            string ns = ExecutionEndpoints.NamespaceOf(context);
            Principal principal = RequestAccess.RequireIn(context, ns, $"Namespace '{ns}'", [.. RequestAccess.Executors, Role.Agent]);
            SessionRequest request = SessionRequestReader.Read(await RequestBody.ReadAsync(context, MaxCreateBytes, context.RequestAborted));
            ExecutionEndpoints.RequireOwnAgentId(principal, ns, request.AgentId);
            SandboxSession session = await sessions.CreateAsync(request, ns, principal, context.RequestAborted);
            context.Response.Headers.Location = $"{Path}/{session.Id}";
            return Results.Json(SessionView.Of(session), ServerJson.Default.SessionView, statusCode: StatusCodes.Status201Created);
        }).WithMetadata(SessionOperations.Create);
        endpoints.MapGet(Path, (HttpContext context) =>
        {
            Principal principal = RequestAccess.Require(context, [.. RequestAccess.Readers, Role.Agent]);
            IEnumerable<SessionView> alive = sessions.List().Where(session => IsVisible(principal, session)).Select(SessionView.Of);
            IEnumerable<SessionView> ended = context.Request.Query["ended"] == "true" ? sessions.Ended().Where(session => IsVisible(principal, session)).Select(session => session.View) : [];
            return Results.Json(new SessionList([.. alive.Concat(ended).Where(Matching(context))]), ServerJson.Default.SessionList);
        }).WithMetadata(SessionOperations.List);
        endpoints.MapGet(Path + "/{id}", (HttpContext context, string id) =>
        {
            Principal principal = RequestAccess.Require(context, [.. RequestAccess.Readers, Role.Agent]);
            return sessions.TryGet(id) is { } session && IsVisible(principal, session) ? Results.Json(SessionView.Of(session), ServerJson.Default.SessionView)
                : store.TryGetEnded(id) is { } gone && IsVisible(principal, gone) ? Results.Json(gone.View, ServerJson.Default.SessionView)
                : Problem.NotFound("Session");
        }).WithMetadata(SessionOperations.Get);
        endpoints.MapPost(Path + "/{id}/execute", async (HttpContext context, string id) =>
        {
            (SandboxSession session, Principal principal) = Usable(context, sessions, id);
            byte[] body = await RequestBody.ReadAsync(context, ExecutionEndpoints.MaxBodyBytes, context.RequestAborted);
            (ExecuteRequest request, bool keepsState) = SessionRequestReader.ReadProgram(
                body, session.AgentId);
            bool verified = ExecutionEndpoints.CompareHash(request.ConstitutionalHash, constitutionalHash);
            var order = new ExecutionOrder(
                request, session.Namespace, principal, verified, ExecutionEndpoints.IdempotencyKeyOf(context), ExecutionOrder.FingerprintOf(session.Id, body), session.Id);
            OrderAnswer answer = await jobs.RunAsync(
                order, (execution, running, token) => sessions.ExecuteAsync(session, order, keepsState, execution, running, token), request.IsAsynchronous, context.RequestAborted);
            return ExecutionEndpoints.Answer(context, answer, store);
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(ExecutionEndpoints.MaxBodyBytes), SessionOperations.Execute);
        foreach (bool paused in (bool[])[true, false])
        {
            endpoints.MapPost($"{Path}/{{id}}/{(paused ? "pause" : "resume")}", async (HttpContext context, string id) =>
            {
                (SandboxSession session, _) = Usable(context, sessions, id);
                await session.SetPausedAsync(paused, context.RequestAborted);
                return Results.Json(SessionView.Of(session), ServerJson.Default.SessionView);
            }).WithMetadata(paused ? SessionOperations.Pause : SessionOperations.Resume);
        }

        endpoints.MapDelete(Path + "/{id}", (HttpContext context, string id) =>
        {
            sessions.End(Usable(context, sessions, id).Session, "deleted");
            return Results.NoContent();
        }).WithMetadata(SessionOperations.Delete);
        endpoints.MapSessionProcesses(services);
        endpoints.MapSessionFiles(services);
    }

    /// <summary><c>label=NAME=VALUE</c>, any number of times.</summary>
    private static Func<SessionView, bool> Matching(HttpContext context)
    {
        string[][] wanted = [.. context.Request.Query["label"].Select(label => (label ?? "").Split('=', 2))];
        if (wanted.Any(pair => pair.Length != 2))
        {
            throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "invalid_value", "NAME=VALUE.", "label"));
        }

        return view => wanted.All(pair => view.Labels.GetValueOrDefault(pair[0]) == pair[1]);
    }

    /// <exception cref="ProblemException">404, or what the access rules say.</exception>
    internal static (SandboxSession Session, Principal Principal) Usable(HttpContext context, SandboxSessions sessions, string id)
    {
        Principal principal = RequestAccess.Require(context, [.. RequestAccess.Executors, Role.Agent]);
        if (sessions.TryGet(id) is not { } session)
        {
            throw new ProblemException(Problem.NotFound("Session"));
        }

        if (!IsVisible(principal, session))
        {
            RequestAccess.NoteHidden(context);
            throw new ProblemException(Problem.NotFound("Session"));
        }

        return (session, principal);
    }

    private static bool IsVisible(Principal principal, Stored.StoredSession session) =>
        principal.CanSee(session.Namespace) && (principal.Roles.Any(role => role != Role.Agent) || session.Principal == principal.Name);

    private static bool IsVisible(Principal principal, SandboxSession session) =>
        principal.CanSee(session.Namespace) && (principal.Roles.Any(role => role != Role.Agent) || session.Principal == principal.Name);
}

/// <summary>What the endpoints of sessions need.</summary>
internal sealed record SessionServices(SandboxSessions Sessions, ExecutionJobs Jobs, Stored.ExecutionStore Store, string ConstitutionalHash);
