using System.Globalization;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Rynxs.Resources.Identity;
using Rynxs.Sandbox;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>Processes of a session while they run: input, output as it comes, signals, terminals; its logs, its measures, and its ports.</summary>
internal static class SessionProcessEndpoints
{
    private const int MaxStartBytes = 1280 * 1024;
    private const int MaxInputBytes = 1024 * 1024;
    private const int MaxSmallBytes = 4096;
    private const string Processes = SessionEndpoints.Path + "/{id}/processes";

    private static readonly Dictionary<string, int> s_signals = new(StringComparer.Ordinal)
    {
        ["HUP"] = 1, ["INT"] = 2, ["QUIT"] = 3, ["KILL"] = 9, ["USR1"] = 10, ["USR2"] = 12, ["TERM"] = 15, ["CONT"] = 18, ["STOP"] = 19, ["TSTP"] = 20, ["WINCH"] = 28,
    };

    public static void MapSessionProcesses(this IEndpointRouteBuilder endpoints, SessionServices services)
    {
        endpoints.MapPost(Processes, async (HttpContext context, string id) =>
        {
            (SandboxSession session, Principal principal) = SessionEndpoints.Usable(context, services.Sessions, id);
            byte[] body = await RequestBody.ReadAsync(context, MaxStartBytes, context.RequestAborted);
            ProcessRequest asked = RequestBody.Parse(body, ServerJson.Default.ProcessRequest);
            SessionRequestReader.Check(asked);
            var order = new ExecutionOrder(
                SessionProcesses.AsRequest(asked, session.AgentId), session.Namespace, principal, HashVerified: false, IdempotencyKey: null, ExecutionOrder.FingerprintOf(session.Id, body), session.Id);
            SessionProcess process = await Of(session).StartAsync(asked, order, context.RequestAborted);
            context.Response.Headers.Location = $"{SessionEndpoints.Path}/{id}/processes/{process.ExecutionId}";
            return Results.Json(ProcessView.Of(process), ServerJson.Default.ProcessView, statusCode: StatusCodes.Status202Accepted);
        }).WithMetadata(SessionOperations.StartProcess);
        endpoints.MapGet(Processes, (HttpContext context, string id) => Results.Json(
            new ProcessList([.. Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).List().Select(ProcessView.Of)]), ServerJson.Default.ProcessList))
            .WithMetadata(SessionOperations.ListProcesses);
        endpoints.MapGet(Processes + "/{process}", (HttpContext context, string id, string process) => Results.Json(
            ProcessView.Of(Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).Require(process)), ServerJson.Default.ProcessView))
            .WithMetadata(SessionOperations.GetProcess);
        endpoints.MapPost(Processes + "/{process}/stdin", async (HttpContext context, string id, string process) =>
        {
            SessionProcess running = Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).Require(process);
            byte[] input = await RequestBody.ReadRawAsync(context, MaxInputBytes, context.RequestAborted);
            if (input.Length > 0 && !await running.Interaction.WriteAsync(input, context.RequestAborted))
            {
                throw Ended();
            }

            if (context.Request.Query["close"] == "true")
            {
                running.Interaction.CloseInput();
            }

            return Results.NoContent();
        }).WithMetadata(SessionOperations.WriteInput);
        endpoints.MapPost(Processes + "/{process}/signal", async (HttpContext context, string id, string process) =>
        {
            SessionProcess running = Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).Require(process);
            SignalRequest asked = await RequestBody.ReadJsonAsync(context, ServerJson.Default.SignalRequest, MaxSmallBytes, context.RequestAborted);
            if (!s_signals.TryGetValue(asked.Signal, out int signal))
            {
                throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "unsupported_value", $"One of {string.Join(", ", s_signals.Keys)}.", "signal"));
            }

            return await running.Interaction.SignalAsync(signal, context.RequestAborted) ? Results.NoContent() : throw Ended();
        }).WithMetadata(SessionOperations.Signal);
        endpoints.MapPost(Processes + "/{process}/resize", async (HttpContext context, string id, string process) =>
        {
            SessionProcess running = Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).Require(process);
            TerminalRequest size = await RequestBody.ReadJsonAsync(context, ServerJson.Default.TerminalRequest, MaxSmallBytes, context.RequestAborted);
            SessionRequestReader.Check(size);
            return await running.Interaction.ResizeAsync(new TerminalSize(size.Rows, size.Columns), context.RequestAborted)
                ? Results.NoContent()
                : throw new ProblemException(new Problem(StatusCodes.Status409Conflict, "no_terminal", "The process has no terminal, or has ended."));
        }).WithMetadata(SessionOperations.Resize);
        endpoints.MapGet(Processes + "/{process}/output", (HttpContext context, string id, string process) =>
        {
            SessionProcess running = Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).Require(process);
            return StreamAsync(context, running.Output, From(context), follow: true, () => new EndEvent(running.ExecutionId, running.Response?.ExitCode, running.Response?.TerminationReason));
        }).WithMetadata(SessionOperations.Output);
        endpoints.MapGet(Processes + "/{process}/attach", async (HttpContext context, string id, string process) =>
        {
            SessionProcess running = Of(SessionEndpoints.Usable(context, services.Sessions, id).Session).Require(process);
            using WebSocket socket = await AcceptAsync(context);
            await new AttachedSocket(socket, running).RunAsync(From(context), context.RequestAborted);
        }).WithMetadata(SessionOperations.Attach);
        endpoints.MapGet(SessionEndpoints.Path + "/{id}/logs", (HttpContext context, string id) =>
        {
            SandboxSession session = SessionEndpoints.Usable(context, services.Sessions, id).Session;
            return StreamAsync(context, session.Log, From(context), context.Request.Query["follow"] == "true", () => null);
        }).WithMetadata(SessionOperations.Logs);
        endpoints.MapGet(SessionEndpoints.Path + "/{id}/metrics", (HttpContext context, string id) =>
        {
            SandboxSession session = SessionEndpoints.Usable(context, services.Sessions, id).Session;
            SandboxMeasure measure = session.Sandbox.Measure();
            const double mebibyte = 1024 * 1024;
            return Results.Json(
                new SessionMetricsView(
                    session.Id, Math.Max(0, (context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow() - session.Created).TotalSeconds), measure.Cpu?.TotalSeconds,
                    measure.MemoryBytes / mebibyte, measure.MemoryPeakBytes / mebibyte, measure.Tasks, session.Files?.Usage(context.RequestAborted), session.Executions, Of(session).List().Count),
                ServerJson.Default.SessionMetricsView);
        }).WithMetadata(SessionOperations.Metrics);
        endpoints.MapGet(SessionEndpoints.Path + "/{id}/ports/{port:int}", async (HttpContext context, string id, int port) =>
        {
            SandboxSession session = SessionEndpoints.Usable(context, services.Sessions, id).Session;
            if (port is < 1 or > 65535)
            {
                throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "out_of_range", "1 to 65535.", "port"));
            }

            RequireWebSocket(context);
            await using Stream stream = await session.Sandbox.ConnectAsync(port, context.RequestAborted);
            using WebSocket socket = await AcceptAsync(context);
            await PortSocket.RunAsync(socket, stream, context.RequestAborted);
        }).WithMetadata(SessionOperations.Port);
    }

    /// <summary>Server-sent events: <c>stdout</c>, <c>stderr</c>, and <c>end</c> with how it ended.</summary>
    private static async Task StreamAsync(HttpContext context, OutputLog log, long from, bool follow, Func<EndEvent?> end)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.Body.FlushAsync(context.RequestAborted);
        try
        {
            if (follow)
            {
                await foreach (OutputPiece piece in log.FollowAsync(from, context.RequestAborted))
                {
                    await SendAsync(context, piece);
                }
            }
            else
            {
                foreach (OutputPiece piece in log.Read(from))
                {
                    await SendAsync(context, piece);
                }
            }

            if (end() is { } last)
            {
                await SendAsync(context, "end", last, ServerJson.Default.EndEvent);
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The reader has gone.
        }
    }

    private static Task SendAsync(HttpContext context, OutputPiece piece) =>
        SendAsync(context, piece.IsError ? "stderr" : "stdout", new OutputEvent(piece.Number, piece.ExecutionId, piece.Data), ServerJson.Default.OutputEvent, piece.Number);

    internal static async Task SendAsync<T>(HttpContext context, string name, T value, JsonTypeInfo<T> type, long? number = null)
    {
        string id = number is { } known ? string.Create(CultureInfo.InvariantCulture, $"id: {known}\n") : "";
        await context.Response.WriteAsync($"{id}event: {name}\ndata: {JsonSerializer.Serialize(value, type)}\n\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    /// <summary>From the query, or one after the last event that a client of server-sent events has seen.</summary>
    private static long From(HttpContext context)
    {
        string text = context.Request.Query["from"].ToString();
        string last = context.Request.Headers["Last-Event-ID"].ToString();
        return long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out long seen) ? seen + 1
            : text.Length == 0 ? 0
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long from) ? from
            : throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "invalid_value", "A whole number.", "from"));
    }

    private static void RequireWebSocket(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            throw new ProblemException(new Problem(StatusCodes.Status426UpgradeRequired, "websocket_required", "This endpoint speaks WebSocket."));
        }
    }

    private static Task<WebSocket> AcceptAsync(HttpContext context)
    {
        RequireWebSocket(context);
        // Clients that name the protocol of Kubernetes get it confirmed; the framing is the same without a name.
        return context.WebSockets.WebSocketRequestedProtocols.Contains(AttachedSocket.Protocol) ? context.WebSockets.AcceptWebSocketAsync(AttachedSocket.Protocol) : context.WebSockets.AcceptWebSocketAsync();
    }

    private static SessionProcesses Of(SandboxSession session) => session.Processes ?? throw new InvalidOperationException("a session that can be found is complete");

    private static ProblemException Ended() => new(new Problem(StatusCodes.Status409Conflict, "process_ended", "The process has ended, or takes no more input."));
}
