using System.Diagnostics.Metrics;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox;

/// <summary>
/// What a runtime counts, whoever asked for the sandbox: the execute API and agents alike. Names are those of the documented sandbox API;
/// labels take values from closed sets only. The runtime's own probes are not counted.
/// </summary>
internal sealed class SandboxMetrics
{
    public const string MeterName = "Rynxs.Sandbox";

    /// <summary>Seconds; programs may run for 600.</summary>
    private static readonly double[] DurationBuckets = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
    private static readonly double[] ColdStartBuckets = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60];

    private readonly System.Collections.Concurrent.ConcurrentBag<Func<int>> _active = [];
    private readonly Counter<long>? _executions;
    private readonly Histogram<double>? _executionDuration;
    private readonly Counter<long>? _violations;
    private readonly Counter<long>? _escapeAttempts;
    private readonly Counter<long>? _syscalls;
    private readonly Histogram<double>? _coldStart;

    /// <summary>Adds the sandboxes of another runtime to those that are alive.</summary>
    public void AlsoCount(Func<int> active) => _active.Add(active);

    /// <param name="meterFactory">Owns the meter; without one nothing is counted.</param>
    /// <param name="active">Sandboxes that are alive, asked when scraped.</param>
    public SandboxMetrics(IMeterFactory? meterFactory, Func<int> active)
    {
        _active.Add(active);
        if (meterFactory?.Create(MeterName) is not { } meter)
        {
            return;
        }

        _executions = meter.CreateCounter<long>("hardened_sandbox_executions_total", null, "Programs that ran in sandboxes, by runtime and result.");
        _executionDuration = meter.CreateHistogram(
            "hardened_sandbox_execution_duration_seconds", "s", "Run time of programs.", tags: null, Advice(DurationBuckets));
        _violations = meter.CreateCounter<long>("hardened_sandbox_violations_total", null, "Security violations, by type and severity.");
        _escapeAttempts = meter.CreateCounter<long>("hardened_sandbox_escape_attempts_total", null, "Violations of severity high or critical, by pattern.");
        _syscalls = meter.CreateCounter<long>("hardened_sandbox_syscall_violations_total", null, "Violations that are one system call, by its name.");
        _coldStart = meter.CreateHistogram(
            "hardened_sandbox_cold_start_duration_seconds", "s", "From the request for a sandbox to the first instruction of its first program; to its being ready where that was not seen.", tags: null, Advice(ColdStartBuckets));
        meter.CreateObservableGauge("active_hardened_sandboxes_count", () => _active.Sum(count => count()), null, "Sandboxes that are alive.");
    }

    public void ProgramEnded(string runtime, ExecutionResult ended)
    {
        string result = ended.Reason == TerminationReason.Completed ? "success" : "failure";
        _executions?.Add(1, Tag("runtime", runtime), Tag("result", result), Tag("termination_reason", WireNames.Of(ended.Reason)));
        _executionDuration?.Record(ended.Duration.TotalSeconds, Tag("runtime", runtime), Tag("result", result));
        foreach (Violation violation in ended.Violations)
        {
            // A violation type is the name of a rule of ours, not text of the guest.
            _violations?.Add(
                1, Tag("violation_type", violation.ViolationType), Tag("severity", WireNames.Of(violation.Severity)),
                Tag("detection_layer", WireNames.Of(violation.DetectionLayer)));
            if (violation.Indicators.GetValueOrDefault("system_call") is { } syscall)
            {
                // A name from our own tables, never the guest's text (see ViolationDetector).
                _syscalls?.Add(1, Tag("syscall", syscall), Tag("action", violation.Blocked ? "blocked" : "recorded"));
            }

            if (violation.Severity >= Severity.High)
            {
                _escapeAttempts?.Add(
                    1, Tag("pattern", violation.ViolationType), Tag("runtime", runtime), Tag("blocked", violation.Blocked ? "true" : "false"));
            }
        }
    }

    public void FirstProgram(string runtime, TimeSpan coldStart) => _coldStart?.Record(coldStart.TotalSeconds, Tag("runtime", runtime));

    private static InstrumentAdvice<double> Advice(double[] buckets) => new() { HistogramBucketBoundaries = buckets };

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}
