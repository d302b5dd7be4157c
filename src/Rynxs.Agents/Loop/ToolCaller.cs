using System.Globalization;
using System.Text.Json;
using Rynxs.Agents.Approvals;
using Rynxs.Agents.Providers;
using Rynxs.Agents.Tools;
using Rynxs.Ledger.Events;
using Rynxs.Policy;
using Rynxs.Policy.Approvals;
using Rynxs.Sandbox;

namespace Rynxs.Agents.Loop;

/// <summary>
/// Takes one call from request to outcome: check, decide, ask if need be, record the intent, act, and keep the result. Each record is
/// durable before the next step; when one cannot be written, the step does not happen.
/// </summary>
internal sealed class ToolCaller(AgentContext context, string? task)
{
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>Runs a call. <paramref name="keepResult"/> makes the result durable before its outcome is recorded.</summary>
    public async Task<ToolResult> CallAsync(ToolRequest request, MessageStop stop, Action<ToolResult, long> keepResult)
    {
        RecordedText arguments = AuditTrail.Arguments(request.Arguments);
        (ToolCall? call, IAgentTool? tool, ToolResult? malformed) = Check(request);
        if (call is null || malformed is not null)
        {
            ToolResult refused = malformed ?? ToolResult.Failed("invalid_arguments", "The arguments cannot be read.");
            await RecordDecisionAsync(request, "deny", null, refused.Error ?? "invalid_arguments", arguments, stop);
            keepResult(refused, 0);
            return refused;
        }

        (ToolResult? denied, string? approval) = await AuthorizeAsync(request, call, arguments, stop);
        if (denied is not null)
        {
            keepResult(denied, 0);
            return denied;
        }

        try
        {
            return await ActAsync(request, call, tool, approval, arguments, stop, keepResult);
        }
        finally
        {
            context.Gate.CallEnded();
        }
    }

    private (ToolCall? Call, IAgentTool? Tool, ToolResult? Malformed) Check(ToolRequest request)
    {
        JsonElement arguments;
        try
        {
            using JsonDocument document = JsonDocument.Parse(request.Arguments.Length == 0 ? "{}" : request.Arguments, Strict);
            arguments = document.RootElement.Clone();
        }
        catch (JsonException malformed)
        {
            return (null, null, ToolResult.Failed(
                "invalid_arguments",
                $"{request.Tool}: the arguments are not JSON (line {malformed.LineNumber}, byte {malformed.BytePositionInLine}), or name a field twice."));
        }

        var call = new ToolCall(context.Agent.ToString(), request.Tool, arguments);
        IAgentTool? tool = context.Tools.Find(request.Tool);
        try
        {
            return tool?.Definition.Validate(arguments) is { } error
                ? (call, tool, ToolResult.Failed("invalid_arguments", error))
                : (call, tool, null);
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate written as an escape: valid JSON, but no text.
            return (call, tool, ToolResult.Failed("invalid_arguments", $"{request.Tool}: the arguments hold a lone surrogate."));
        }
    }

    /// <summary>Null and the approval's name (or null) when the call may run; it then counts as in flight.</summary>
    private async Task<(ToolResult? Denied, string? Approval)> AuthorizeAsync(ToolRequest request, ToolCall call, RecordedText arguments, MessageStop stop)
    {
        Verdict verdict = await DecideAsync(request, call, null, arguments, stop);
        if (verdict is Verdict.Allow)
        {
            return (null, null);
        }

        if (verdict is Verdict.Deny deny)
        {
            return (Denied(call, deny), null);
        }

        ApprovalDesk.Answer answer = await context.Approvals.AskAsync(request.CallId, call, task, context.Audit, stop.Waiting);
        if (answer is not ApprovalDesk.Answer.Granted granted)
        {
            var refused = answer as ApprovalDesk.Answer.Refused;
            return (ToolResult.Failed(refused?.Code ?? "approval_rejected", $"{call.Tool}: {refused?.Message}"), null);
        }

        // Hours may have passed: rules, universe and rates are asked again, now with the approval in hand.
        await context.RefreshPolicyAsync(stop.Waiting);
        verdict = await DecideAsync(request, call, granted.Grant, arguments, stop);
        return verdict.Match<(ToolResult?, string?)>(
            onAllow: _ => (null, granted.Approval),
            onDeny: later => (Denied(call, later), null),
            onAsk: _ => (ToolResult.Failed("approval_expired", $"{call.Tool}: the approval no longer covers this call."), null));
    }

    private async Task<Verdict> DecideAsync(ToolRequest request, ToolCall call, GrantedApproval? grant, RecordedText arguments, MessageStop stop)
    {
        Verdict verdict = context.Gate.Decide(call, grant);
        try
        {
            string word = verdict.Match(onAllow: _ => "allow", onDeny: _ => "deny", onAsk: _ => "ask");
            await RecordDecisionAsync(request, word, verdict.Rule, verdict.Reason.Code(), arguments, stop);
        }
        catch when (verdict is Verdict.Allow)
        {
            context.Gate.CallEnded();
            throw;
        }

        return verdict;
    }

    private async Task RecordDecisionAsync(ToolRequest request, string verdict, string? rule, string reason, RecordedText arguments, MessageStop stop) =>
        await context.Audit.AppendAsync(
            new PolicyDecided
            {
                CallId = request.CallId,
                Tool = Bounded(request.Tool),
                Verdict = verdict,
                Rule = rule,
                Reason = reason,
                Arguments = arguments.Committed,
            },
            stop.Waiting,
            arguments);

    private async Task<ToolResult> ActAsync(
        ToolRequest request, ToolCall call, IAgentTool? tool, string? approval, RecordedText arguments, MessageStop stop, Action<ToolResult, long> keepResult)
    {
        if (tool is null)
        {
            ToolResult unknown = ToolResult.Failed("unknown_tool", $"There is no tool '{Bounded(call.Tool)}'; there are {string.Join(", ", ToolRegistry.Names)}.");
            keepResult(unknown, 0);
            return unknown;
        }

        (string? sandbox, string? digest) = (null, null);
        if (tool.NeedsSandbox)
        {
            try
            {
                (sandbox, digest) = await context.Sandbox.EnsureAsync(stop.Running);
            }
            catch (SandboxRefusedException refused)
            {
                ToolResult none = ToolResult.Failed("sandbox_refused", $"The sandbox is refused ({refused.Control}): {refused.Message}");
                keepResult(none, 0);
                return none;
            }
        }

        await context.Audit.AppendAsync(
            new ToolIntent
            {
                CallId = request.CallId,
                Tool = call.Tool,
                Arguments = arguments.Committed,
                Sandbox = sandbox,
                ImageDigest = digest,
                Approval = approval,
            },
            stop.Running,
            arguments);

        long started = context.TimeProvider.GetTimestamp();
        ToolResult result;
        try
        {
            result = await tool.ExecuteAsync(request.CallId, call.Arguments, stop.Running);
        }
        catch (SandboxRefusedException refused)
        {
            // The sandbox ended after the intent and no other can be had: nothing ran.
            result = ToolResult.Failed("sandbox_refused", refused.Message);
        }
        catch (OperationCanceledException) when (stop.Running.IsCancellationRequested)
        {
            // Only tools that change nothing, and waits for the sandbox, throw this: programs that ran report it as their end.
            result = ToolResult.Failed("cancelled", "The call was cancelled before it did anything.");
        }

        long milliseconds = (long)context.TimeProvider.GetElapsedTime(started).TotalMilliseconds;
        keepResult(result, milliseconds);
        await RecordOutcomeAsync(context.Audit, request.CallId, call.Tool, result, milliseconds);
        return result;
    }

    /// <summary>Appends the outcome of an effect that happened: not cancellable, the effect cannot be taken back.</summary>
    internal static async Task RecordOutcomeAsync(AuditTrail audit, string callId, string tool, ToolResult result, long milliseconds)
    {
        RecordedText content = AuditTrail.Preview(result.Content);
        await audit.AppendAsync(
            new ToolOutcome
            {
                CallId = callId,
                Tool = tool,
                Status = result.Ok ? "ok" : "error",
                ExitCode = result.ExitCode,
                TerminationReason = result.TerminationReason,
                Result = content.Committed,
                DurationMs = milliseconds,
                Violations = result.Violations.Count > 0 ? [.. result.Violations.Select(violation => violation.ViolationId)] : null,
            },
            CancellationToken.None,
            content);
    }

    private static ToolResult Denied(ToolCall call, Verdict.Deny deny)
    {
        string wait = deny.RetryAfter is { } after ? string.Create(CultureInfo.InvariantCulture, $" Try again in {Math.Ceiling(after.TotalSeconds)} s.") : "";
        return ToolResult.Failed(
            "tool_denied",
            $"{Bounded(call.Tool)} is denied: {deny.Reason.Code()}{(deny.Rule is null ? "" : $" (rule '{deny.Rule}')")}.{wait}");
    }

    // A model may ask for a tool whose name is a megabyte; records and messages hold names.
    private static string Bounded(string tool) =>
        string.Concat(tool.Take(ToolPolicy.MaxToolNameLength).Select(c => c is > ' ' and <= '~' ? c : '?'));
}
