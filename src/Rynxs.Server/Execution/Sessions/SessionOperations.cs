using System.Text.Json.Nodes;
using Rynxs.Server.Execution.OpenApi;
using static Rynxs.Server.Execution.OpenApi.SandboxOperations;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>What the OpenAPI document says about sessions.</summary>
internal static class SessionOperations
{
    private static readonly ApiAnswer s_session = new(200, ServerJson.Default.SessionView);

    public static ApiOperation Create { get; } = new("createSession", "Makes a sandbox that is kept.", new ApiAnswer(201, ServerJson.Default.SessionView))
    {
        Body = Object(
            new JsonObject
            {
                ["agent_id"] = Text(63, 1),
                ["memory_limit_mb"] = Number("integer", 16, 2048, 512),
                ["cpu_limit"] = Number("number", 0.01, 2.0, 0.5),
                ["ttl_seconds"] = Number("integer", 10, 86400, 3600),
                ["idle_seconds"] = Number("integer", 10, 86400, 600),
            },
            "agent_id"),
        Problems = [409, 413, 415, 503],
    };

    public static ApiOperation List { get; } = new("listSessions", "Lists sessions, oldest first.", new ApiAnswer(200, ServerJson.Default.SessionList));

    public static ApiOperation Get { get; } = new("getSession", "A session.", s_session);

    public static ApiOperation Execute { get; } = new(
        "executeInSession", "Runs code in a session.", new ApiAnswer(200, ServerJson.Default.ExecuteResponse), new ApiAnswer(202, ServerJson.Default.ExecutionDetail))
    {
        Body = ExecuteBody(),
        Problems = [409, 413, 415, 503, 507],
    };

    public static ApiOperation Pause { get; } = new("pauseSession", "Stops every process of a session, between two programs.", s_session) { Problems = [409] };

    public static ApiOperation Resume { get; } = new("resumeSession", "Undoes a pause.", s_session) { Problems = [409] };

    public static ApiOperation Delete { get; } = new("deleteSession", "Ends a session.", new ApiAnswer(204));

    private static JsonObject ExecuteBody()
    {
        JsonObject properties = ProgramProperties();
        properties["keep_state"] = new JsonObject { ["type"] = "boolean", ["default"] = false, ["description"] = "Runs Python in the session's one interpreter, whose variables stay." };
        return Object(properties, "code");
    }
}
