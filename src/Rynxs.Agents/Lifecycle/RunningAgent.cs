using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Agents.Loop;
using Rynxs.Agents.Tools;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Files;

namespace Rynxs.Agents.Lifecycle;

/// <summary>One agent with everything it owns. Disposing stops the loop first, then ends the sandbox, then lets go of the files.</summary>
internal sealed class RunningAgent(AgentResource agent, AgentImage image, AgentContext context, AgentLoop loop, WorkspaceFiles files) : IAsyncDisposable
{
    public AgentImage Image => image;

    public AgentLoop Loop => loop;

    /// <summary>Whether this is the same object in the same generation.</summary>
    public bool IsOf(AgentResource other) => agent.Metadata.Uid == other.Metadata.Uid && agent.Metadata.Generation == other.Metadata.Generation;

    /// <summary>A program that a person or a service runs in the agent's sandbox: on the record like a tool call, in the caller's name.</summary>
    public async Task<ExecutionResult> ExecuteAsync(ExecutionRequest request, Principal principal, CancellationToken cancellationToken)
    {
        // The colon keeps it apart from the ids of tool calls, which begin with a message id.
        string callId = $"exec:{request.ExecutionId}";
        AuditTrail audit = context.Audit.InTheNameOf(principal.Name);
        RecordedText arguments = AuditTrail.Arguments(ArgumentsOf(request).ToJsonString());
        (string sandbox, string digest) = await context.Sandbox.EnsureAsync(cancellationToken);
        await audit.AppendAsync(
            new ToolIntent { CallId = callId, Tool = "exec", Arguments = arguments.Committed, Sandbox = sandbox, ImageDigest = digest },
            cancellationToken,
            arguments);
        try
        {
            ExecutionResult result = await context.Sandbox.ExecuteAsync(request with { ExecutionId = callId }, cancellationToken);
            await RecordAsync(audit, callId, result);
            return result;
        }
        catch (Exception never) when (never is SandboxStartException or SandboxRefusedException or OperationCanceledException)
        {
            // Nothing ran; a program that ran reports a cancellation as its end.
            await ToolCaller.RecordOutcomeAsync(audit, callId, "exec", ToolResult.Failed("start_failed", "The program never started."), 0);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await loop.DisposeAsync();
        await context.Sandbox.DisposeAsync();
        files.Dispose();
        (context.Provider as IDisposable)?.Dispose();
    }

    private static JsonObject ArgumentsOf(ExecutionRequest request) => new()
    {
        ["argv"] = new JsonArray([.. request.Arguments.Select(argument => JsonValue.Create(argument))]),
        ["stdin_bytes"] = request.StandardInput.Length,
        ["timeout_seconds"] = request.Timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture),
    };

    private static async Task RecordAsync(AuditTrail audit, string callId, ExecutionResult result) =>
        await ToolCaller.RecordOutcomeAsync(
            audit,
            callId,
            "exec",
            new ToolResult
            {
                Ok = result.Reason == TerminationReason.Completed,
                Content = ToolResult.Bound(Encoding.UTF8.GetString(result.StandardOutput.Span) + Encoding.UTF8.GetString(result.StandardError.Span)),
                ExitCode = result.ExitCode,
                TerminationReason = SandboxOutput.WireName(result.Reason),
                Violations = result.Violations,
            },
            (long)result.Duration.TotalMilliseconds);
}
