using Rynxs.Sandbox.Guest;
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
        long entered = System.Diagnostics.Stopwatch.GetTimestamp();
        using WorkspaceQuota? quota = BeginQuota();
        var before = new Counters(sandbox.Cgroup.OomKills, sandbox.Cgroup.PidsRefused, sandbox.Cgroup.Cpu, monitor.Dropped, monitor.Received);
        sandbox.Cgroup.ResetPeak();
        monitor.BeginProgram();

        long begin = options.TimeProvider.GetTimestamp();
        GuestProgram program = await StartAsync(request, quota is { IsOverAtStart: true });
        using var finished = new CancellationTokenSource();
        Task watch = quota is null
            ? Task.CompletedTask
            : Task.Run(() => quota.WatchAsync(() => execution.Stop(TerminationReason.DiskLimit), finished.Token), CancellationToken.None);
        int code;
        using (ITimer deadline = options.TimeProvider.CreateTimer(_ => execution.Stop(TerminationReason.Timeout), null, request.Timeout, Timeout.InfiniteTimeSpan))
        await using (cancellationToken.UnsafeRegister(_ => execution.Stop(TerminationReason.Cancelled), null))
        {
            code = await EndOfAsync(program);
        }

        TimeSpan duration = options.TimeProvider.GetElapsedTime(begin);
        await finished.CancelAsync();
        await watch;
        bool started = program.Process is not null;
        if (execution.StopReason is null && program.Process is { } group)
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
            throw new SandboxStartException($"'{NameOf(request)}' could not be started: {RunscCommand.Bounded(ViolationDetector.Sanitise(program.Error.Text))}");
        }

        if (!gone && monitor.AnyAlive)
        {
            // Processes that a program left behind would use up the limits of the next one, and their deeds would be put on its account.
            await RunInternalAsync(["/bin/bash", "-c", "kill -KILL -1"]);
            sandbox.TakeSpare()?.Dispose(); // killed with them
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
            StandardOutput = program.Output.Bytes,
            StandardError = gone ? WithoutRunscsLastWord(program.Error.Bytes) : program.Error.Bytes,
            StandardOutputTruncated = program.Output.Truncated,
            StandardErrorTruncated = program.Error.Truncated,
            Duration = duration,
            FirstInstruction = program.BegunAt is { } began ? System.Diagnostics.Stopwatch.GetElapsedTime(entered, began) : null,
            Violations = Violations(before.Dropped),
            Usage = usage,
            Trace = new TraceSummary(monitor.Received - before.Received, monitor.Dropped - before.Dropped),
        };
    }

    private WorkspaceQuota? BeginQuota() =>
        _spec.WorkspaceDirectory is { } workspace
            ? WorkspaceQuota.Begin(workspace, _spec.WorkspaceBytes, sandbox.Cgroup.Processes, options.TimeProvider)
            : null;

    private static string NameOf(ExecutionRequest request) => request.PythonSource is null ? ViolationDetector.Sanitise(request.Arguments[0]) : "python3";

    /// <summary>The quickest way that is open: an interpreter that waits, the control socket, the command line.</summary>
    private async Task<GuestProgram> StartAsync(ExecutionRequest request, bool mayNotWrite)
    {
        var environment = new Dictionary<string, string>(sandbox.BaseEnvironment);
        foreach ((string name, string value) in request.Environment)
        {
            environment[name] = value;
        }

        if (request.Interaction is { } interaction)
        {
            return await StartInteractiveAsync(request, environment, interaction, sandbox.IsDirect && !mayNotWrite);
        }

        // A workspace over its limit can be made smaller, but not larger a little with each program: that needs limits of its own.
        bool isDirect = sandbox.IsDirect && !mayNotWrite;
        if (isDirect && request.PythonSource is { } python && sandbox.TakeSpare() is { } spare)
        {
            var job = new GuestJob(python.Length, request.StandardInput.Length, environment, request.WorkingDirectory, request.Arguments);
            using (spare)
            {
                return DirectProgram.Start(sandbox.Control, spare, GuestAgent.Job(job, python.Span, request.StandardInput.Span), request.OutputBytes, execution.OnData);
            }
        }

        (IReadOnlyList<string> arguments, ReadOnlyMemory<byte> input) = request.PythonSource is { } source
            ? PythonCommand.Build(source, request.Arguments, request.StandardInput)
            : (request.Arguments, request.StandardInput);
        if (!isDirect)
        {
            return await StartByCommandAsync(request, arguments, input, environment, mayNotWrite);
        }

        try
        {
            return await DirectProgram.StartAsync(sandbox.Control, arguments, environment, request.WorkingDirectory, input, request.OutputBytes, execution.OnData);
        }
        catch (ControlException refused)
        {
            throw new SandboxStartException($"'{NameOf(request)}' could not be started: {refused.Message}", refused);
        }
    }

    private async Task<GuestProgram> StartInteractiveAsync(ExecutionRequest request, Dictionary<string, string> environment, ProgramInteraction interaction, bool isDirect)
    {
        if (!isDirect)
        {
            throw new SandboxStartException("a program with live input needs the runtime's control socket, which is not in use here (or the workspace is over its limit)");
        }

        try
        {
            return await DirectProgram.StartInteractiveAsync(sandbox.Control, request.Arguments, environment, request.WorkingDirectory, request.OutputBytes, interaction);
        }
        catch (Exception refused) when (refused is ControlException or System.ComponentModel.Win32Exception)
        {
            throw new SandboxStartException($"'{NameOf(request)}' could not be started: {refused.Message}", refused);
        }
    }

    private async Task<GuestProgram> StartByCommandAsync(
        ExecutionRequest request, IReadOnlyList<string> arguments, ReadOnlyMemory<byte> input, Dictionary<string, string> environment, bool mayNotWrite)
    {
        string pidFile = Path.Combine(sandbox.Directory, "exec.pid");
        File.Delete(pidFile);
        await File.WriteAllTextAsync(Path.Combine(sandbox.Directory, "exec.json"),
            OciBundle.Process(arguments, environment, request.WorkingDirectory, mayNotWrite ? _spec.Limits with { FileBytes = 0 } : _spec.Limits).ToJsonString(),
            CancellationToken.None);
        try
        {
            return new CommandProgram(
                ChildProcess.Start(runsc.Exec(sandbox.Id.Value, sandbox.Directory), request.OutputBytes, input, execution.OnData, spawner: runsc.Spawner), pidFile);
        }
        catch (System.ComponentModel.Win32Exception failed)
        {
            throw new SandboxStartException($"runsc cannot be started: {failed.Message}", failed);
        }
    }

    /// <summary>Waits for the program; after a kill there is a bounded time to notice that its sandbox is gone.</summary>
    private async Task<int> EndOfAsync(GuestProgram program)
    {
        await Task.WhenAny(program.Exited, execution.Stopped);
        if (!program.Exited.IsCompleted)
        {
            await Task.WhenAny(program.Exited, Task.Delay(TraceDeadline, options.TimeProvider));
            program.Abandon();
        }

        return await program.Exited;
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
        GuestProgram program;
        try
        {
            program = sandbox.IsDirect
                ? await DirectProgram.StartAsync(sandbox.Control, arguments, OciBundle.BaseEnvironment, "/", default, 4096, null)
                : await StartInternalByCommandAsync(arguments);
        }
        catch (ControlException)
        {
            return ""; // the sandbox is gone, or full: its end is found elsewhere
        }

        await Task.WhenAny(program.Exited, execution.Stopped, Task.Delay(InternalDeadline, options.TimeProvider));
        program.Abandon();
        await program.Exited;
        return program.Output.Text;
    }

    private async Task<GuestProgram> StartInternalByCommandAsync(IReadOnlyList<string> arguments)
    {
        await File.WriteAllTextAsync(Path.Combine(sandbox.Directory, "exec.json"),
            OciBundle.Process(arguments, OciBundle.BaseEnvironment, "/", _spec.Limits with { Pids = _spec.Limits.Pids + 16 }).ToJsonString(), CancellationToken.None);
        return new CommandProgram(
            ChildProcess.Start(runsc.Exec(sandbox.Id.Value, sandbox.Directory), 4096, spawner: runsc.Spawner), Path.Combine(sandbox.Directory, "exec.pid"));
    }

    private List<Violation> Violations(long droppedBefore) => Violations(sandbox, monitor, execution, options.TimeProvider, droppedBefore);

    /// <summary>What is on the account of the program that ends now.</summary>
    public static List<Violation> Violations(GVisorSandbox sandbox, SandboxMonitor monitor, Execution execution, TimeProvider time, long droppedBefore)
    {
        List<Violation> violations = [.. monitor.EndProgram()];
        if (monitor.Dropped is var dropped && dropped > droppedBefore)
        {
            violations.Add(MonitorViolation(sandbox, time, "monitor_events_dropped", Severity.High, $"{dropped - droppedBefore} events of the trace session were lost; attempts may be missing here"));
        }

        if (execution.MonitorLost)
        {
            violations.Add(MonitorViolation(sandbox, time, "monitor_lost", Severity.Critical, "The trace session ended while the sandbox ran; the sandbox was killed"));
        }

        return violations;
    }

    private static Violation MonitorViolation(GVisorSandbox sandbox, TimeProvider time, string type, Severity severity, string description) => new()
    {
        ViolationId = Guid.NewGuid().ToString(),
        Timestamp = time.GetUtcNow(),
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

    private readonly record struct Counters(long OomKills, long PidsRefused, TimeSpan? Cpu, long Dropped, long Received);
}
