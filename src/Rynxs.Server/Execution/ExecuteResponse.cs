using System.Text;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Server.Execution;

/// <summary>The answer of the execute API: the seed's fields, and what they leave out.</summary>
internal sealed record ExecuteResponse
{
    public required string ExecutionId { get; init; }
    public required string AgentId { get; init; }
    public required bool Success { get; init; }

    /// <summary>Standard output, then standard error.</summary>
    public required string Output { get; init; }

    /// <summary>One sentence when it did not succeed.</summary>
    public required string? Error { get; init; }
    public required IReadOnlyList<ViolationView> SecurityViolations { get; init; }

    /// <summary>Of the program alone.</summary>
    public required double ExecutionTimeSeconds { get; init; }

    /// <summary>
    /// From the request for a sandbox to the first instruction of the program. Where that instruction was not seen (a sandbox whose programs are started by the runtime's
    /// command line), to the sandbox's being ready.
    /// </summary>
    public required double ColdStartTimeMs { get; init; }

    /// <summary><c>warm</c>: taken from the pool; <c>restored</c>: the pool was empty; <c>plain</c>: started by the runtime's command line.</summary>
    public required string SandboxStart { get; init; }
    public required ResourceUsageView ResourceUsage { get; init; }
    public required string TerminationReason { get; init; }

    /// <summary>What ran it, never what was asked for.</summary>
    public required string RuntimeUsed { get; init; }

    /// <summary>True only when the request pinned a hash and it was compared and equal.</summary>
    public required bool ConstitutionalHashVerified { get; init; }

    public required int? ExitCode { get; init; }
    public required string Stdout { get; init; }
    public required string Stderr { get; init; }
    public required bool StdoutTruncated { get; init; }
    public required bool StderrTruncated { get; init; }
    public required DateTimeOffset StartedAt { get; init; }
    public required string Image { get; init; }
    public required string ImageDigest { get; init; }
    public required IReadOnlyList<SandboxControl> Controls { get; init; }

    /// <summary>Only where the server runs with <c>ENABLE_SECURITY_DEBUG</c>.</summary>
    [System.Text.Json.Serialization.JsonIgnore(Condition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull)]
    public SecurityDebugView? SecurityDebug { get; init; }

    /// <summary>Bytes that are not UTF-8 become U+FFFD: JSON has no place for them.</summary>
    internal static string Text(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);

    internal static string? ErrorOf(ExecutionResult result) => result.Reason switch
    {
        Sandbox.TerminationReason.Completed => null,
        Sandbox.TerminationReason.NonzeroExit => $"The program ended with exit code {result.ExitCode}.",
        Sandbox.TerminationReason.Timeout => "The program was ended at its deadline.",
        Sandbox.TerminationReason.OomKilled => "The program was ended because it used more memory than its limit.",
        Sandbox.TerminationReason.OutputLimit => "The program was ended because it wrote more than the output limit.",
        Sandbox.TerminationReason.PidsLimit => "The program failed after it was refused a process.",
        Sandbox.TerminationReason.DiskLimit => "The program failed after it filled its disk.",
        Sandbox.TerminationReason.SecurityViolation => "The program was ended because of a security violation.",
        Sandbox.TerminationReason.Cancelled => "The program was cancelled.",
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}

/// <summary>What the monitor did for one program: for whoever asks why something was, or was not, a violation.</summary>
/// <param name="Sandbox">Its id, as in logs and records.</param>
/// <param name="TraceEvents">Events of the trace session that were looked at.</param>
/// <param name="TraceEventsDropped">Events that were lost.</param>
/// <param name="Rules">Types of the rules that were applied.</param>
/// <param name="KillRules">Those of them that end the sandbox.</param>
internal sealed record SecurityDebugView(string Sandbox, long TraceEvents, long TraceEventsDropped, IReadOnlyList<string> Rules, IReadOnlyList<string> KillRules)
{
    public static SecurityDebugView Of(ISandbox sandbox, ExecutionResult result) => new(
        sandbox.Id.Value, result.Trace?.Events ?? 0, result.Trace?.Dropped ?? 0,
        WatchedAttempts.Types, WatchedAttempts.KillTypes);
}

/// <summary>A violation in the seed's form.</summary>
internal sealed record ViolationView(
    string ViolationId, DateTimeOffset Timestamp, string ViolationType, string Severity, string Description, string DetectionLayer, bool Blocked,
    IReadOnlyDictionary<string, string> Indicators, string Remediation)
{
    public static ViolationView Of(Violation violation) => new(
        violation.ViolationId, violation.Timestamp, violation.ViolationType, WireNames.Of(violation.Severity), violation.Description,
        WireNames.Of(violation.DetectionLayer), violation.Blocked, violation.Indicators, violation.Remediation);
}

/// <summary>Measured use; null where it was not measured, never a made-up number.</summary>
internal sealed record ResourceUsageView
{
    /// <summary>Average over the run.</summary>
    public double? CpuUsageCores { get; init; }

    /// <summary>Peak.</summary>
    public double? MemoryUsageMb { get; init; }

    /// <summary>A sandbox without a network has no interface to count on.</summary>
    public long? NetworkRxBytes { get; init; }
    public long? NetworkTxBytes { get; init; }
    public long? ReadBytes { get; init; }
    public long? WrittenBytes { get; init; }

    public static ResourceUsageView Of(ExecutionResult result) => new()
    {
        CpuUsageCores = result.Usage.Cpu is { } cpu && result.Duration > TimeSpan.Zero ? Math.Round(cpu / result.Duration, 4) : null,
        MemoryUsageMb = result.Usage.MemoryPeakBytes is { } bytes ? Math.Round(bytes / (1024.0 * 1024.0), 3) : null,
        ReadBytes = result.Usage.ReadBytes,
        WrittenBytes = result.Usage.WrittenBytes,
    };
}

/// <summary>GET /api/v1/sandbox/status.</summary>
internal sealed record SandboxStatusResponse(IReadOnlyList<ActiveSandbox> ActiveSandboxes, int TotalCount, bool ConstitutionalHashVerified);

/// <summary>One sandbox that is alive.</summary>
/// <param name="ExecutionId">Null for the long-lived sandbox of an agent.</param>
/// <param name="AgentId">Whom it works for.</param>
/// <param name="Namespace">Where.</param>
/// <param name="Runtime">What runs it.</param>
/// <param name="UptimeSeconds">Since it was ready.</param>
/// <param name="PodName">Id of the sandbox; in a cluster the name of its pod.</param>
internal sealed record ActiveSandbox(string? ExecutionId, string AgentId, string Namespace, string Runtime, double UptimeSeconds, string PodName);
