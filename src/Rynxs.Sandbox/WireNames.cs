using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox;

/// <summary>Names of closed sets as they appear in answers, labels and records.</summary>
public static class WireNames
{
    public static string Of(TerminationReason reason) => reason switch
    {
        TerminationReason.Completed => "completed",
        TerminationReason.NonzeroExit => "nonzero_exit",
        TerminationReason.Timeout => "timeout",
        TerminationReason.OomKilled => "oom_killed",
        TerminationReason.OutputLimit => "output_limit",
        TerminationReason.PidsLimit => "pids_limit",
        TerminationReason.DiskLimit => "disk_limit",
        TerminationReason.SecurityViolation => "security_violation",
        TerminationReason.Cancelled => "cancelled",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static string Of(SandboxStart start) => start switch
    {
        SandboxStart.Plain => "plain",
        SandboxStart.Restored => "restored",
        SandboxStart.Warm => "warm",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static string Of(Severity severity) => severity switch
    {
        Severity.Low => "LOW",
        Severity.Medium => "MEDIUM",
        Severity.High => "HIGH",
        Severity.Critical => "CRITICAL",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static string Of(DetectionLayer layer) => layer switch
    {
        DetectionLayer.SyscallMonitor => "SYSCALL_MONITOR",
        DetectionLayer.Seccomp => "SECCOMP",
        DetectionLayer.Network => "NETWORK",
        DetectionLayer.Filesystem => "FILESYSTEM",
        DetectionLayer.Cgroup => "CGROUP",
        DetectionLayer.StaticAnalysis => "STATIC_ANALYSIS",
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
