using Rynxs.Agents.Durability;
using Rynxs.Agents.Lifecycle;
using Rynxs.ResourceServer.Storage;
using Rynxs.Ledger.Recording;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Sandbox;
using Rynxs.Server.Execution;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.Recording;
using Rynxs.Server.State;

namespace Rynxs.Server.Agents;

/// <summary>What people do with an agent: run something in its sandbox, send it a message.</summary>
internal static class AgentEndpoints
{
    private const int MaxBodyBytes = 13 * 1024 * 1024;
    private const int MaxArguments = 256;
    private const int MaxArgumentBytes = 128 * 1024;
    private const int MaxStdinBytes = 1024 * 1024;

    public static void MapAgents(this IEndpointRouteBuilder endpoints, AgentRuntimes runtimes, ResourceStore store, SessionRecordings? recordings)
    {
        endpoints.MapPost("/api/v1/namespaces/{ns}/agents/{name}/exec", async (HttpContext context, string ns, string name) =>
        {
            NamespacedName agent = await RequireAgentAsync(context, store, ns, name, RequestAccess.Executors);
            ExecBody body = await RequestBody.ReadJsonAsync(context, ServerJson.Default.ExecBody, MaxBodyBytes, context.RequestAborted);
            ExecutionRequest request = Validate(body);
            SessionRecorder? recorder = recordings?.Start();
            if (recorder is not null)
            {
                request = request with { OnOutput = chunk => recorder.Write(chunk.IsError, chunk.Data.Span) };
            }

            ExecutionResult result = await runtimes.ExecuteInAgentSandboxAsync(agent, request, context.Principal(), context.RequestAborted);
            if (recorder is not null && recordings is not null)
            {
                // The call's id as in the records of the call.
                await recordings.KeepAsync(recorder, agent.Namespace, agent.Name, context.Principal().Name, $"exec:{request.ExecutionId}", sandbox: null);
            }

            return Results.Json(ExecResponse.Of(request.ExecutionId, result), ServerJson.Default.ExecResponse);
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(MaxBodyBytes));

        endpoints.MapPost("/api/v1/namespaces/{ns}/agents/{name}/messages", async (HttpContext context, string ns, string name) =>
        {
            NamespacedName agent = await RequireAgentAsync(context, store, ns, name, RequestAccess.Executors);
            MessageBody body = await RequestBody.ReadJsonAsync(context, ServerJson.Default.MessageBody, MaxBodyBytes, context.RequestAborted);
            string messageId;
            try
            {
                messageId = await runtimes.SendAsync(agent, body.Text, context.RequestAborted);
            }
            catch (NotAFileException)
            {
                // The path stays out of the answer. A full disk is another matter: ProblemMapping has it.
                throw new ProblemException(new Problem(
                    StatusCodes.Status503ServiceUnavailable, "inbox_unavailable", $"The inbox of agent '{agent}' cannot be written; nothing was sent."));
            }

            return Results.Json(new MessageResponse(messageId), ServerJson.Default.MessageResponse, statusCode: StatusCodes.Status202Accepted);
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(MaxBodyBytes));
    }

    /// <summary>The agent's id, when the caller has the role and the agent exists for it.</summary>
    internal static async Task<NamespacedName> RequireAgentAsync(HttpContext context, ResourceStore store, string ns, string name, Role[] roles)
    {
        string what = $"Agent '{ns}/{name}'";
        if (!Labels.IsDnsLabel(ns) || !Labels.IsDnsLabel(name))
        {
            throw new ProblemException(Problem.NotFound("Agent"));
        }

        Principal principal = RequestAccess.RequireIn(context, ns, what, roles);
        var id = new NamespacedName(ns, name);
        _ = await store.For(principal).TryGetAsync<AgentResource>(id, context.RequestAborted) ?? throw new ProblemException(Problem.NotFound(what));
        return id;
    }

    private static ExecutionRequest Validate(ExecBody body)
    {
        var errors = new List<ProblemField>();
        if (body.Argv.Count is 0 or > MaxArguments)
        {
            errors.Add(new ProblemField("argv", "invalid_value", $"1 to {MaxArguments} texts."));
        }
        else if (body.Argv.Any(argument => argument is null || argument.Contains('\0', StringComparison.Ordinal))
            || body.Argv.Sum(argument => (long)argument.Length) > MaxArgumentBytes || body.Argv[0].Length == 0)
        {
            errors.Add(new ProblemField("argv", "invalid_value", $"Texts of at most {MaxArgumentBytes} characters in all, without NUL; the first names a program."));
        }

        int timeout = body.TimeoutSeconds ?? 60;
        if (timeout is < 1 or > 600)
        {
            errors.Add(new ProblemField("timeout_seconds", "out_of_range", "A whole number from 1 to 600."));
        }

        byte[] input = System.Text.Encoding.UTF8.GetBytes(body.Stdin ?? "");
        if (input.Length > MaxStdinBytes)
        {
            errors.Add(new ProblemField("stdin", "too_long", $"At most {MaxStdinBytes} bytes of UTF-8."));
        }

        if (errors.Count > 0)
        {
            throw new ProblemException(Problem.Fields(errors));
        }

        return new ExecutionRequest
        {
            ExecutionId = Guid.NewGuid().ToString(),
            Arguments = body.Argv,
            StandardInput = input,
            Timeout = TimeSpan.FromSeconds(timeout),
        };
    }
}

/// <summary>POST …/exec.</summary>
internal sealed record ExecBody(IReadOnlyList<string> Argv, string? Stdin = null, int? TimeoutSeconds = null);

/// <summary>Answer of …/exec.</summary>
internal sealed record ExecResponse(
    string ExecutionId, int? ExitCode, string Stdout, string Stderr, bool StdoutTruncated, bool StderrTruncated, string TerminationReason, long DurationMs,
    IReadOnlyList<ViolationView> SecurityViolations)
{
    public static ExecResponse Of(string executionId, ExecutionResult result) => new(
        executionId, result.ExitCode, ExecuteResponse.Text(result.StandardOutput), ExecuteResponse.Text(result.StandardError), result.StandardOutputTruncated,
        result.StandardErrorTruncated, WireNames.Of(result.Reason), (long)result.Duration.TotalMilliseconds, [.. result.Violations.Select(ViolationView.Of)]);
}

/// <summary>POST …/messages.</summary>
internal sealed record MessageBody(string Text);

/// <summary>Answer of …/messages.</summary>
internal sealed record MessageResponse(string MessageId);

/// <summary>POST …/approvals/NAME/decision.</summary>
internal sealed record DecisionBody(string Decision, string? Reason = null);
