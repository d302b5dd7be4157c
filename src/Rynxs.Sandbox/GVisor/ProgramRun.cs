using System.Globalization;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>
/// One program in a sandbox that is up: start, wait, say why it ended. The sandbox's end waits for the account (see
/// <see cref="Execution.Accounted"/>), so its cgroup and directory are there for as long as this looks at them.
/// </summary>
internal sealed class ProgramRun(GVisorOptions options, RunscCommand runsc, GVisorSandbox sandbox, SandboxMonitor monitor, Execution execution)
{
    private static readonly TimeSpan InternalDeadline = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan TraceDeadline = TimeSpan.FromSeconds(2);
    private readonly SandboxSpec _spec = sandbox.Spec;

    /// <summary>The answer to a request that was cancelled while it waited for its turn.</summary>
    public static ExecutionResult CancelledBeforeStart() => new()
    {
        ExitCode = null,
        Reason = TerminationReason.Cancelled,
        StandardOutput = default,
        StandardError = default,
        StandardOutputTruncated = false,
        StandardErrorTruncated = false,
        Duration = TimeSpan.Zero,
        Violations = [],
        Usage = new ResourceUsage(null, null, null, null),
    };

    /// <exception cref="SandboxStartException">The program never started.</exception>
    public async Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        using WorkspaceQuota? quota = BeginQuota();
        string pidFile = Path.Combine(sandbox.Directory, "exec.pid");
        await WriteProcessAsync(request, pidFile, quota is { IsOverAtStart: true });
        var before = new Counters(sandbox.Cgroup.OomKills, sandbox.Cgroup.PidsRefused, sandbox.Cgroup.Cpu, monitor.Dropped);
        sandbox.Cgroup.ResetPeak();
        monitor.BeginProgram();

        long begin = options.TimeProvider.GetTimestamp();
        ChildProcess child = Start(request);
        using var finished = new CancellationTokenSource();
        Task watch = quota is null
            ? Task.CompletedTask
            : Task.Run(() => quota.WatchAsync(() => execution.Stop(TerminationReason.DiskLimit), finished.Token), CancellationToken.None);
        int code;
        using (ITimer deadline = options.TimeProvider.CreateTimer(_ => execution.Stop(TerminationReason.Timeout), null, request.Timeout, Timeout.InfiniteTimeSpan))
        await using (cancellationToken.UnsafeRegister(_ => execution.Stop(TerminationReason.Cancelled), null))
        {
            code = await EndOfAsync(child);
        }

        TimeSpan duration = options.TimeProvider.GetElapsedTime(begin);
        await finished.CancelAsync();
        await watch;
        bool started = int.TryParse(File.Exists(pidFile) ? await File.ReadAllTextAsync(pidFile, CancellationToken.None) : "", CultureInfo.InvariantCulture, out int group);
        if (execution.StopReason is null && started)
        {
            // Wait for the program's own exit in the trace: everything it did is before it.
            await Task.WhenAny(monitor.ExitSeen(group), execution.Stopped, Task.Delay(TraceDeadline, options.TimeProvider, CancellationToken.None));
        }

        bool oom = sandbox.Cgroup.OomKills > before.OomKills;
        bool refused = sandbox.Cgroup.PidsRefused > before.PidsRefused;
        var usage = new ResourceUsage(sandbox.Cgroup.Cpu - before.Cpu, sandbox.Cgroup.MemoryPeak, null, null);
        bool gone = execution.StopReason is not null || oom || refused || sandbox.IsGone;
        if (!started && !gone)
        {
            throw new SandboxStartException($"'{ViolationDetector.Sanitise(request.Arguments[0])}' could not be started: {RunscCommand.Bounded(ViolationDetector.Sanitise(child.Error.Text))}");
        }

        if (!gone && monitor.AnyAlive)
        {
            // Processes that a program left behind would use up the limits of the next one, and their deeds would be put on its account.
            await RunInternalAsync(["/bin/bash", "-c", "kill -KILL -1"]);
        }

        TerminationReason reason = execution.StopReason
            ?? (oom ? TerminationReason.OomKilled
                : refused || (code != 0 && monitor.ForkRefused) ? TerminationReason.PidsLimit
                : !gone && quota is not null && quota.IsExceeded(CancellationToken.None) ? TerminationReason.DiskLimit
                : code == 0 && !gone ? TerminationReason.Completed
                : !gone && await DiskIsFullAsync(code) ? TerminationReason.DiskLimit
                : TerminationReason.NonzeroExit);
        gone |= sandbox.IsGone;
        return new ExecutionResult
        {
            ExitCode = gone ? null : code,
            Reason = gone && reason == TerminationReason.Completed ? TerminationReason.NonzeroExit : reason,
            StandardOutput = child.Output.Bytes,
            StandardError = gone ? WithoutRunscsLastWord(child.Error.Bytes) : child.Error.Bytes,
            StandardOutputTruncated = child.Output.Truncated,
            StandardErrorTruncated = child.Error.Truncated,
            Duration = duration,
            Violations = Violations(before.Dropped),
            Usage = usage,
        };
    }

    private WorkspaceQuota? BeginQuota() =>
        _spec.WorkspaceDirectory is { } workspace
            ? WorkspaceQuota.Begin(workspace, _spec.WorkspaceBytes, sandbox.Cgroup.Processes, options.TimeProvider)
            : null;

    private async Task WriteProcessAsync(ExecutionRequest request, string pidFile, bool mayNotWrite)
    {
        var environment = new Dictionary<string, string>(OciBundle.BaseEnvironment);
        foreach ((string name, string value) in request.Environment)
        {
            environment[name] = value;
        }

        File.Delete(pidFile);
        // A workspace over its limit can be made smaller, but not larger a little with each program.
        await File.WriteAllTextAsync(Path.Combine(sandbox.Directory, "exec.json"),
            OciBundle.Process(request.Arguments, environment, request.WorkingDirectory, mayNotWrite ? _spec.Limits with { FileBytes = 0 } : _spec.Limits).ToJsonString(),
            CancellationToken.None);
    }

    private ChildProcess Start(ExecutionRequest request)
    {
        try
        {
            return ChildProcess.Start(runsc.Exec(sandbox.Id.Value, sandbox.Directory), request.OutputBytes, request.StandardInput, execution.OnData);
        }
        catch (System.ComponentModel.Win32Exception failed)
        {
            throw new SandboxStartException($"runsc cannot be started: {failed.Message}", failed);
        }
    }

    /// <summary>Waits for the command; after a kill it has a bounded time to notice that its sandbox is gone.</summary>
    private async Task<int> EndOfAsync(ChildProcess child)
    {
        await Task.WhenAny(child.Exited, execution.Stopped);
        if (!child.Exited.IsCompleted)
        {
            await Task.WhenAny(child.Exited, Task.Delay(TraceDeadline, options.TimeProvider));
            child.Kill();
        }

        return await child.Exited;
    }

    /// <summary>After a failure: is one of the places that a program can write to full?</summary>
    private async Task<bool> DiskIsFullAsync(int code)
    {
        const int fileSizeSignal = 128 + 25;
        if (code == fileSizeSignal)
        {
            return true;
        }

        string[] tmpfs = _spec.WorkspaceDirectory is null ? ["/tmp", "/workspace/files"] : ["/tmp"];
        string free = await RunInternalAsync(["/usr/bin/stat", "-f", "-c", "%a", .. tmpfs]);
        return free.Split('\n', StringSplitOptions.RemoveEmptyEntries).Any(blocks => blocks.Trim() == "0");
    }

    /// <summary>A program of our own, as the agent's user, between two programs of the agent.</summary>
    private async Task<string> RunInternalAsync(IReadOnlyList<string> arguments)
    {
        await File.WriteAllTextAsync(Path.Combine(sandbox.Directory, "exec.json"),
            OciBundle.Process(arguments, OciBundle.BaseEnvironment, "/", _spec.Limits with { Pids = _spec.Limits.Pids + 16 }).ToJsonString(), CancellationToken.None);
        ChildProcess child = ChildProcess.Start(runsc.Exec(sandbox.Id.Value, sandbox.Directory), 4096);
        await Task.WhenAny(child.Exited, execution.Stopped, Task.Delay(InternalDeadline, options.TimeProvider));
        child.Kill();
        await child.Exited;
        return child.Output.Text;
    }

    private List<Violation> Violations(long droppedBefore)
    {
        List<Violation> violations = [.. monitor.EndProgram()];
        if (monitor.Dropped is var dropped && dropped > droppedBefore)
        {
            violations.Add(MonitorViolation("monitor_events_dropped", Severity.High, $"{dropped - droppedBefore} events of the trace session were lost; attempts may be missing here"));
        }

        if (execution.MonitorLost)
        {
            violations.Add(MonitorViolation("monitor_lost", Severity.Critical, "The trace session ended while the sandbox ran; the sandbox was killed"));
        }

        return violations;
    }

    private Violation MonitorViolation(string type, Severity severity, string description) => new()
    {
        ViolationId = Guid.NewGuid().ToString(),
        Timestamp = options.TimeProvider.GetUtcNow(),
        ViolationType = type,
        Severity = severity,
        Description = description,
        DetectionLayer = DetectionLayer.SyscallMonitor,
        Blocked = severity == Severity.Critical,
        Indicators = new Dictionary<string, string> { ["sandbox"] = sandbox.Id.Value },
        Remediation = "Run the program again; if it happens again, look at the host's load and the sandbox runtime's version.",
    };

    /// <summary>When its sandbox dies, the command writes one line of its own behind the program's errors.</summary>
    private static ReadOnlyMemory<byte> WithoutRunscsLastWord(ReadOnlyMemory<byte> errors)
    {
        ReadOnlySpan<byte> text = errors.Span;
        int lineStart = text.TrimEnd((byte)'\n').LastIndexOf((byte)'\n') + 1;
        return text[lineStart..].StartsWith("waiting on pid "u8) ? errors[..lineStart] : errors;
    }

    private readonly record struct Counters(long OomKills, long PidsRefused, TimeSpan? Cpu, long Dropped);
}
