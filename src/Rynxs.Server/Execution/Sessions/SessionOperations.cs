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
                ["template"] = Choice("workspace", "memory"),
                ["labels"] = new JsonObject { ["type"] = "object", ["maxProperties"] = 16, ["additionalProperties"] = Text(63) },
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

    public static ApiOperation StartProcess { get; } = new("startProcess", "Starts a process, which takes its turn among the session's programs.", new ApiAnswer(202, ServerJson.Default.ProcessView))
    {
        Body = Object(
            new JsonObject
            {
                ["argv"] = new JsonObject { ["type"] = "array", ["minItems"] = 1, ["maxItems"] = 4096, ["items"] = new JsonObject { ["type"] = "string" } },
                ["env"] = new JsonObject { ["type"] = "object", ["additionalProperties"] = new JsonObject { ["type"] = "string" } },
                ["cwd"] = Text(4096, 1),
                ["timeout_seconds"] = Number("integer", 1, 86400, 3600),
                ["terminal"] = TerminalSize(),
                ["stdin"] = Text(65536),
                ["close_stdin"] = new JsonObject { ["type"] = "boolean", ["default"] = false },
            },
            "argv"),
        Problems = [409, 413, 415, 503],
    };

    public static ApiOperation ListProcesses { get; } = new("listProcesses", "Processes of a session, oldest first.", new ApiAnswer(200, ServerJson.Default.ProcessList));

    public static ApiOperation GetProcess { get; } = new("getProcess", "A process.", new ApiAnswer(200, ServerJson.Default.ProcessView));

    public static ApiOperation WriteInput { get; } = new("writeInput", "Gives a process input; close=true ends it.", new ApiAnswer(204))
    {
        RawBody = "application/octet-stream",
        Parameters = [new ApiParameter("close", "query", "No more input comes.", Choice("true", "false"))],
        Problems = [409, 413],
    };

    public static ApiOperation Signal { get; } = new("signalProcess", "Sends a signal.", new ApiAnswer(204))
    {
        Body = Object(new JsonObject { ["signal"] = Choice("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "TSTP", "WINCH") }, "signal"),
        Problems = [409, 415],
    };

    public static ApiOperation Resize { get; } = new("resizeTerminal", "Changes the size of a process's terminal.", new ApiAnswer(204)) { Body = TerminalSize(), Problems = [409, 415] };

    public static ApiOperation Output { get; } = new("streamOutput", "Output as it comes, as server-sent events.", new ApiAnswer(200, ContentType: "text/event-stream")) { Parameters = [From()] };

    public static ApiOperation Attach { get; } = new("attachProcess", "Input and output over a WebSocket, in the framing v5.channel.k8s.io.", new ApiAnswer(101)) { Parameters = [From()], Problems = [426] };

    public static ApiOperation Logs { get; } = new("sessionLogs", "The newest output of all programs of a session, as server-sent events.", new ApiAnswer(200, ContentType: "text/event-stream"))
    {
        Parameters = [From(), new ApiParameter("follow", "query", "Goes on with what comes.", Choice("true", "false"))],
    };

    public static ApiOperation Metrics { get; } = new("sessionMetrics", "What a session uses.", new ApiAnswer(200, ServerJson.Default.SessionMetricsView));

    public static ApiOperation Port { get; } = new("forwardPort", "A port of the sandbox's own 127.0.0.1, over a WebSocket of binary messages.", new ApiAnswer(101)) { Problems = [426] };

    public static ApiOperation ReadFile { get; } = new("readFile", "A window of a file, or what a name is.", new ApiAnswer(200, ContentType: "application/octet-stream"))
    {
        Parameters =
        [
            new ApiParameter("offset", "query", "First byte.", new JsonObject { ["type"] = "integer", ["minimum"] = 0 }),
            new ApiParameter("max_bytes", "query", "Size of the window.", Number("integer", 1, Rynxs.Sandbox.Files.WorkspaceFiles.MaxReadBytes, Rynxs.Sandbox.Files.WorkspaceFiles.MaxReadBytes)),
            new ApiParameter("stat", "query", "Answers what the name is, as JSON.", Choice("true", "false")),
        ],
        Problems = [409],
    };

    public static ApiOperation WriteFile { get; } = new("writeFile", "Replaces or makes a file.", new ApiAnswer(200, ServerJson.Default.FileView)) { RawBody = "application/octet-stream", Problems = [409, 413, 507] };

    public static ApiOperation DeleteFile { get; } = new("deleteFile", "Removes a file, a link or an empty directory.", new ApiAnswer(204)) { Problems = [409] };

    public static ApiOperation ListFiles { get; } = new("listFiles", "Names below a directory.", new ApiAnswer(200, ServerJson.Default.FileListView))
    {
        Parameters =
        [
            Path(), new ApiParameter("recursive", "query", "Also below its directories.", Choice("true", "false")),
            new ApiParameter("limit", "query", "Most names.", Number("integer", 1, Rynxs.Sandbox.Files.WorkspaceFiles.MaxListEntries, 1000)),
        ],
        Problems = [409],
    };

    public static ApiOperation ReadArchive { get; } = new("readArchive", "A directory as a tar file.", new ApiAnswer(200, ContentType: "application/x-tar")) { Parameters = [Path()], Problems = [409, 413] };

    public static ApiOperation WriteArchive { get; } = new("writeArchive", "Unpacks a tar file.", new ApiAnswer(200, ServerJson.Default.ArchiveView)) { RawBody = "application/x-tar", Parameters = [Path()], Problems = [409, 413, 507] };

    public static ApiOperation WatchFiles { get; } = new("watchFiles", "Changes in one directory as they come, as server-sent events.", new ApiAnswer(200, ContentType: "text/event-stream")) { Parameters = [Path()], Problems = [409] };

    public static ApiOperation Delete { get; } = new("deleteSession", "Ends a session.", new ApiAnswer(204));

    private static ApiParameter From() => new("from", "query", "Number of the first piece.", new JsonObject { ["type"] = "integer", ["minimum"] = 0 });

    private static ApiParameter Path() => new("path", "query", "Relative path of a directory; default the workspace itself.", Text(4095));

    private static JsonObject TerminalSize() => Object(new JsonObject { ["rows"] = Number("integer", 1, 1000, 24), ["columns"] = Number("integer", 1, 1000, 80) }, "rows", "columns");

    private static JsonObject ExecuteBody()
    {
        JsonObject properties = ProgramProperties();
        properties["keep_state"] = new JsonObject { ["type"] = "boolean", ["default"] = false, ["description"] = "Runs Python in the session's one interpreter, whose variables stay." };
        return Object(properties, "code");
    }
}
