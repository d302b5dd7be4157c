using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>Sandboxes that a caller keeps: create, run many programs, pause, resume, list, end. One that the caller may not see answers 404.</summary>
internal static class SessionEndpoints
{
    private const int MaxCreateBytes = 16 * 1024;
    private const string Path = "/api/v1/sandbox/sessions";

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
            return Results.Json(new SessionList([.. sessions.List().Where(session => IsVisible(principal, session)).Select(SessionView.Of)]), ServerJson.Default.SessionList);
        }).WithMetadata(SessionOperations.List);
        endpoints.MapGet(Path + "/{id}", (HttpContext context, string id) =>
        {
            Principal principal = RequestAccess.Require(context, [.. RequestAccess.Readers, Role.Agent]);
            return sessions.TryGet(id) is { } session && IsVisible(principal, session) ? Results.Json(SessionView.Of(session), ServerJson.Default.SessionView) : Problem.NotFound("Session");
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
    }

    /// <exception cref="ProblemException">404, or what the access rules say.</exception>
    private static (SandboxSession Session, Principal Principal) Usable(HttpContext context, SandboxSessions sessions, string id)
    {
        Principal principal = RequestAccess.Require(context, [.. RequestAccess.Executors, Role.Agent]);
        return sessions.TryGet(id) is { } session && IsVisible(principal, session) ? (session, principal) : throw new ProblemException(Problem.NotFound("Session"));
    }

    private static bool IsVisible(Principal principal, SandboxSession session) =>
        principal.CanSee(session.Namespace) && (principal.Roles.Any(role => role != Role.Agent) || session.Principal == principal.Name);
}

/// <summary>What the endpoints of sessions need.</summary>
internal sealed record SessionServices(SandboxSessions Sessions, ExecutionJobs Jobs, Stored.ExecutionStore Store, string ConstitutionalHash);

/// <summary>Reads the bodies of sessions with the rules of the execute API.</summary>
internal static class SessionRequestReader
{
    private static readonly string[] Own = ["ttl_seconds", "idle_seconds"];
    private static readonly string[] BoundAtCreation = ["agent_id", "memory_limit_mb", "cpu_limit"];

    /// <exception cref="ProblemException">400 and 422, each naming the field.</exception>
    public static SessionRequest Read(byte[] body)
    {
        JsonObject fields = Parse(body);
        int ttl = TakeSeconds(fields, Own[0], 3600);
        int idle = TakeSeconds(fields, Own[1], 600);
        foreach (string field in fields.Select(pair => pair.Key).Where(name => !BoundAtCreation.Contains(name, StringComparer.Ordinal)))
        {
            throw Invalid(field, "unknown_field", $"known are {string.Join(", ", [.. BoundAtCreation, .. Own])}.");
        }

        fields["code"] = "pass"; // so that the execute API's own rules read the rest
        ExecuteRequest rest = ExecuteRequestReader.Read(Bytes(fields));
        return new SessionRequest(rest.AgentId, rest.MemoryLimitMb, rest.CpuLimit, ttl, idle);
    }

    /// <exception cref="ProblemException">400 and 422, each naming the field.</exception>
    public static (ExecuteRequest Request, bool KeepsState) ReadProgram(byte[] body, string agentId)
    {
        JsonObject fields = Parse(body);
        if (BoundAtCreation.FirstOrDefault(fields.ContainsKey) is { } bound)
        {
            throw Invalid(bound, "invalid_value", "belongs to the session, not to one of its programs.");
        }

        fields.Remove("keep_state", out JsonNode? keep);
        bool keepsState = keep is not null && (keep.GetValueKind() is JsonValueKind.True or JsonValueKind.False ? keep.GetValue<bool>() : throw Invalid("keep_state", "invalid_type", "true or false."));
        fields["agent_id"] = agentId;
        ExecuteRequest request = ExecuteRequestReader.Read(Bytes(fields));
        return keepsState && (request.Language != CodeLanguage.Python || request.Stdin.Length > 0 || request.Environment.Count > 0)
            ? throw Invalid("keep_state", "invalid_value", "is for Python without stdin and environment: the interpreter has its own.")
            : (request, keepsState);
    }

    private static byte[] Bytes(JsonObject fields) => JsonSerializer.SerializeToUtf8Bytes(fields, ServerJson.Default.JsonObject);

    private static JsonObject Parse(byte[] body)
    {
        try
        {
            return JsonNode.Parse(body, null, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false }) as JsonObject
                ?? throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", "The body must be a JSON object."));
        }
        catch (JsonException broken)
        {
            throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", $"The body is not valid JSON (line {broken.LineNumber + 1}, byte {broken.BytePositionInLine})."));
        }
    }

    private static int TakeSeconds(JsonObject fields, string name, int otherwise)
    {
        const int least = 10, most = 86400;
        fields.Remove(name, out JsonNode? value);
        return value is null ? otherwise
            : value is JsonValue number && number.TryGetValue(out int seconds) && seconds is >= least and <= most ? seconds
            : throw Invalid(name, "out_of_range", $"A whole number from {least} to {most}.");
    }

    private static ProblemException Invalid(string field, string code, string message) => new(Problem.Fields([new ProblemField(field, code, $"'{field}': {message}")]));
}
