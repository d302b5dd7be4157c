using System.Text.Json.Nodes;
using static Rynxs.Server.Execution.ExecuteRequestReader;

namespace Rynxs.Server.Execution.OpenApi;

/// <summary>The operations of executions. Bounds are those of the reader's own constants.</summary>
internal static class SandboxOperations
{
    private static readonly ApiParameter s_namespace = new("namespace", "query", "Namespace of the agent id; default rynxs.", Text(63));

    private static readonly ApiParameter s_idempotencyKey = new(
        "Idempotency-Key", "header", "A request with the same key and body gets the answer of the first; it is kept with the execution, also over restarts.", Text(255));

    public static ApiOperation Execute { get; } = new(
        "execute", "Runs code once, in a sandbox of its own.", new ApiAnswer(200, ServerJson.Default.ExecuteResponse), new ApiAnswer(202, ServerJson.Default.ExecutionDetail))
    {
        Body = ExecuteBody(),
        Parameters = [s_namespace, s_idempotencyKey],
        Problems = [409, 413, 415, 501, 503, 507],
    };

    public static ApiOperation ListExecutions { get; } = new("listExecutions", "Lists executions, newest first.", new ApiAnswer(200, ServerJson.Default.ExecutionList))
    {
        Parameters =
        [
            s_namespace with { Description = "Only of this namespace; default all that the token may see." },
            new ApiParameter("agent_id", "query", "Only of this agent id.", Text(63)),
            new ApiParameter("session_id", "query", "Only of this session.", Text(63)),
            new ApiParameter("state", "query", "Only in this state.", Choice("queued", "running", "finished", "not_started", "unknown")),
            new ApiParameter("limit", "query", "Most entries of the page.", Number("integer", 1, Stored.ExecutionQuery.MaxLimit, 100)),
            new ApiParameter("continue", "query", "Of the page before.", Text(20)),
        ],
    };

    public static ApiOperation GetExecution { get; } = new("getExecution", "An execution and its answer.", new ApiAnswer(200, ServerJson.Default.ExecutionDetail))
    {
        Parameters = [new ApiParameter("wait_seconds", "query", "Waits so long for its end.", Number("integer", 0, ExecutionEndpoints.MaxWaitSeconds, 0))],
    };

    public static ApiOperation ListViolations { get; } = new("listViolations", "What an execution tried that a rule watches for.", new ApiAnswer(200, ServerJson.Default.ViolationList));

    public static ApiOperation CancelExecution { get; } = new("cancelExecution", "Ends an execution, and answers when it has ended.", new ApiAnswer(200, ServerJson.Default.ExecutionDetail))
    {
        Problems = [409],
    };

    public static ApiOperation Status { get; } = new("status", "Sandboxes that are alive.", new ApiAnswer(200, ServerJson.Default.SandboxStatusResponse));

    internal static JsonObject Text(int most, int least = 0) => new() { ["type"] = "string", ["minLength"] = least, ["maxLength"] = most };

    internal static JsonObject Choice(params string[] values) => new() { ["type"] = "string", ["enum"] = new JsonArray([.. values.Select(value => (JsonNode)value)]) };

    internal static JsonObject Number(string type, double least, double most, double otherwise) => new()
    {
        ["type"] = type, ["minimum"] = least, ["maximum"] = most, ["default"] = otherwise,
    };

    internal static JsonObject With(JsonObject schema, string description)
    {
        schema["description"] = description;
        return schema;
    }

    internal static JsonObject Object(JsonObject properties, params string[] required) => new()
    {
        ["type"] = "object", ["additionalProperties"] = false, ["required"] = new JsonArray([.. required.Select(name => (JsonNode)name)]), ["properties"] = properties,
    };

    /// <summary>Properties of a program, without whose it is and what bounds its sandbox.</summary>
    internal static JsonObject ProgramProperties() => new()
    {
        ["code"] = With(Text(MaxCodeBytes, 1), "Lengths are bytes of UTF-8."),
        ["language"] = Choice("python", "bash"),
        ["stdin"] = Text(MaxStdinBytes),
        ["timeout_seconds"] = Number("integer", 1, 600, 300),
        ["environment"] = new JsonObject
        {
            ["type"] = "object", ["maxProperties"] = MaxVariables, ["additionalProperties"] = Text(MaxVariableBytes),
            ["description"] = "RYNXS_*, EXECUTION_ID, AGENT_ID and CONSTITUTIONAL_HASH are reserved.",
        },
        ["constitutional_hash"] = With(Text(128, 1), "Compared with the deployment's."),
        ["async"] = new JsonObject { ["type"] = "boolean", ["default"] = false, ["description"] = "Answered at once with 202." },
    };

    private static JsonObject ExecuteBody()
    {
        JsonObject properties = ProgramProperties();
        properties["agent_id"] = With(Text(63, 1), "Letters, digits, '-', '_' and '.', a letter or digit at both ends.");
        properties["runtime"] = With(Choice("gvisor", "firecracker", "namespaces"), "namespaces shares the host's kernel, for code that is trusted, and is refused with 503 where the host lacks bubblewrap or user namespaces; firecracker is refused with 501.");
        properties["memory_limit_mb"] = Number("integer", 16, 2048, 512);
        properties["cpu_limit"] = Number("number", 0.01, 2.0, 0.5);
        properties["network_policy"] = With(Choice("none", "restricted", "full"), "One that cannot be enforced is refused.");
        properties["filesystem_access"] = new JsonObject
        {
            ["type"] = "array", ["maxItems"] = MaxPaths, ["items"] = Text(1024, 1),
            ["description"] = "The directories that the program may write: /tmp, /workspace/files or below. Empty gives both.",
        };
        return Object(properties, "agent_id", "code");
    }
}
