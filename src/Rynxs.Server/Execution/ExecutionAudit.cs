using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Server.Execution;

/// <summary>The records of one execution on its agent's chain: intent before, outcome after, and what was seen in between.</summary>
internal sealed class ExecutionAudit(ILedgerChain chain, string aggregateId, string principal, string executionId)
{
    public const string Tool = "sandbox.execute";
    private const int MaxViolationRecords = 64;
    private readonly string? _traceId = Activity.Current?.TraceId.ToHexString();

    public async Task IntentAsync(string code, string imageDigest, CancellationToken cancellationToken)
    {
        (SideBlob blob, CommittedText text) = Commit(Encoding.UTF8.GetBytes(code));
        await AppendAsync(
            new ToolIntent { CallId = executionId, Tool = Tool, Arguments = text, ImageDigest = imageDigest }, [blob], cancellationToken);
    }

    public async Task DecisionAsync(string verdict, string? rule, string reason, string code, CancellationToken cancellationToken)
    {
        (SideBlob blob, CommittedText text) = Commit(Encoding.UTF8.GetBytes(code));
        await AppendAsync(
            new PolicyDecided { CallId = executionId, Tool = Tool, Verdict = verdict, Rule = rule, Reason = reason, Arguments = text }, [blob], cancellationToken);
    }

    public async Task StartedAsync(ISandbox sandbox, CancellationToken cancellationToken) => await AppendAsync(
        new SandboxStarted
        {
            Sandbox = sandbox.Id.Value, Runtime = sandbox.Runtime, Image = sandbox.Image.Name, ImageDigest = sandbox.Image.Digest, Controls = sandbox.Controls,
        },
        [],
        cancellationToken);

    /// <summary>The outcome is a commit step: it is written whether or not the caller still waits.</summary>
    public async Task OutcomeAsync(ISandbox sandbox, ExecutionResult result)
    {
        foreach (Violation violation in result.Violations.Take(MaxViolationRecords))
        {
            await ViolationAsync(sandbox, violation);
        }

        (SideBlob blob, CommittedText text) = Commit((byte[])[.. result.StandardOutput.Span, .. result.StandardError.Span]);
        await AppendAsync(
            new ToolOutcome
            {
                CallId = executionId, Tool = Tool, Status = result.Reason == TerminationReason.Completed ? "ok" : "error", ExitCode = result.ExitCode,
                TerminationReason = WireNames.Of(result.Reason), Result = text, DurationMs = (long)result.Duration.TotalMilliseconds,
                Violations = result.Violations.Count == 0
                    ? null
                    : [.. result.Violations.Select(violation => violation.ViolationType).Distinct(StringComparer.Ordinal).Take(MaxViolationRecords)],
            },
            [blob],
            CancellationToken.None);
    }

    /// <summary>The program never started.</summary>
    public async Task NotStartedAsync(string reason) => await AppendAsync(
        new ToolOutcome { CallId = executionId, Tool = Tool, Status = "error", TerminationReason = reason }, [], CancellationToken.None);

    /// <summary>The process ended in between: nobody knows what the program did.</summary>
    public async Task UnknownAsync() => await AppendAsync(
        new ToolOutcome { CallId = executionId, Tool = Tool, Status = "unknown" }, [], CancellationToken.None);

    public async Task EndedAsync(string sandbox, string reason) =>
        await AppendAsync(new SandboxEnded { Sandbox = sandbox, Reason = reason }, [], CancellationToken.None);

    private async Task ViolationAsync(ISandbox sandbox, Violation violation)
    {
        byte[] indicators = JsonSerializer.SerializeToUtf8Bytes(violation.Indicators, ServerJson.Default.IReadOnlyDictionaryStringString);
        (SideBlob blob, CommittedText text) = Commit(indicators);
        await AppendAsync(
            new SandboxViolation
            {
                ViolationId = violation.ViolationId, Sandbox = sandbox.Id.Value, CallId = executionId, ViolationType = violation.ViolationType,
                Severity = WireNames.Of(violation.Severity), DetectionLayer = WireNames.Of(violation.DetectionLayer), Blocked = violation.Blocked,
                Indicators = text,
            },
            [blob],
            CancellationToken.None);
    }

    private static (SideBlob Blob, CommittedText Text) Commit(ReadOnlyMemory<byte> content)
    {
        ReadOnlyMemory<byte> kept = content.Length <= LedgerLimits.MaxBlobBytes ? content : content[..LedgerLimits.MaxBlobBytes];
        var blob = SideBlob.Create(kept);
        return (blob, new CommittedText(blob.Commitment.Value, content.Length, content.Length > kept.Length ? content.Length - kept.Length : null));
    }

    private async Task AppendAsync(LedgerPayload payload, IReadOnlyList<SideBlob> blobs, CancellationToken cancellationToken) =>
        await chain.AppendAsync(
            new LedgerEntry { Payload = payload, AggregateId = aggregateId, Principal = principal, TraceId = _traceId, Blobs = blobs }, cancellationToken);
}
