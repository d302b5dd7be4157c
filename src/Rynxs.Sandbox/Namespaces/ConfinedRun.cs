using System.ComponentModel;
using System.Diagnostics;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Seccomp;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>One program of a sandbox: start it confined, wait, end what it started, say why it ended.</summary>
internal sealed class ConfinedRun(NamespacesOptions options, NamespacesSandbox sandbox, Execution execution)
{
    private static readonly TimeSpan EndDeadline = TimeSpan.FromSeconds(10);
    private const int FileSizeSignal = 128 + 25;
    private readonly SandboxSpec _spec = sandbox.Spec;

    /// <exception cref="SandboxStartException">The program never started.</exception>
    public async Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        long entered = Stopwatch.GetTimestamp();
        using WorkspaceQuota? quota = _spec.WorkspaceDirectory is { } workspace
            ? WorkspaceQuota.Begin(workspace, _spec.WorkspaceBytes, sandbox.Cgroup.Processes, options.TimeProvider)
            : null;
        (long oomBefore, long refusedBefore, TimeSpan? cpuBefore) = (sandbox.Cgroup.OomKills, sandbox.Cgroup.PidsRefused, sandbox.Cgroup.Cpu);
        sandbox.Cgroup.ResetPeak();
        await using var supervisor = new Supervisor(sandbox.Architecture, sandbox.Cgroup, options.TimeProvider, sandbox.OnAttempt, sandbox.OnSupervisorLost);
        long begin = options.TimeProvider.GetTimestamp();
        (ChildProcess child, ConfinedSpawner spawner, int status) = Start(request, supervisor, quota is { IsOverAtStart: true });
        StarterReport report;
        int code;
        TimeSpan duration;
        try
        {
            code = await EndOfAsync(child, request, quota, cancellationToken);
            duration = options.TimeProvider.GetElapsedTime(begin);
        }
        finally
        {
            report = StarterReport.Read(status);
            _ = Libc.close(status);
        }

        if (!await sandbox.ClearProcessesAsync(report.FirstProcess))
        {
            execution.Stop(TerminationReason.SecurityViolation); // something does not die: nothing may run beside it
        }

        await spawner.Ended;
        bool isStarted = report.IsStarted;

        bool isStopped = execution.StopReason is not null;
        bool oom = sandbox.Cgroup.OomKills > oomBefore;
        if (!isStarted && !isStopped && !oom)
        {
            throw new SandboxStartException($"'{NameOf(request)}' could not be started: {RunscCommand.Bounded(ViolationDetector.Sanitise(child.Error.Text))}");
        }

        if (isStarted && supervisor.ConfinedAt is null)
        {
            execution.LoseMonitor(); // it ran, and nobody saw it being confined: the starter is not the one that we know
        }

        bool isGone = execution.StopReason is not null;
        TerminationReason reason = execution.StopReason
            ?? (oom ? TerminationReason.OomKilled
                : code != 0 && sandbox.Cgroup.PidsRefused > refusedBefore ? TerminationReason.PidsLimit
                : quota is not null && quota.IsExceeded(CancellationToken.None) ? TerminationReason.DiskLimit
                : code == 0 ? TerminationReason.Completed
                : code == FileSizeSignal || IsFull(sandbox.View.Tmp) || (quota is null && IsFull(sandbox.View.Files)) ? TerminationReason.DiskLimit
                : TerminationReason.NonzeroExit);
        return new ExecutionResult
        {
            ExitCode = isGone ? null : code,
            Reason = reason,
            StandardOutput = child.Output.Bytes,
            StandardError = child.Error.Bytes,
            StandardOutputTruncated = child.Output.Truncated,
            StandardErrorTruncated = child.Error.Truncated,
            Duration = duration,
            FirstInstruction = supervisor.ConfinedAt is { } confined ? Stopwatch.GetElapsedTime(entered, confined) : null,
            Violations = Violations(supervisor),
            Usage = new ResourceUsage(sandbox.Cgroup.Cpu - cpuBefore, sandbox.Cgroup.MemoryPeak, null, null),
        };
    }

    private static string NameOf(ExecutionRequest request) => request.PythonSource is null ? ViolationDetector.Sanitise(request.Arguments[0]) : "python3";

    private static bool IsFull(string mount) => new DriveInfo(mount).AvailableFreeSpace == 0;

    private (ChildProcess Child, ConfinedSpawner Spawner, int Status) Start(ExecutionRequest request, Supervisor supervisor, bool mayNotWrite)
    {
        (IReadOnlyList<string> program, ReadOnlyMemory<byte> input) = request.PythonSource is { } source
            ? PythonCommand.Build(source, request.Arguments, request.StandardInput)
            : (request.Arguments, request.StandardInput);
        var environment = new Dictionary<string, string>(OciBundle.BaseEnvironment);
        foreach ((string name, string value) in request.Environment)
        {
            environment[name] = value;
        }

        if (environment.Count > BubblewrapCommand.MaxVariables)
        {
            throw new SandboxStartException($"environment must not have more than {BubblewrapCommand.MaxVariables} variables in this runtime");
        }

        SandboxLimits limits = mayNotWrite ? _spec.Limits with { FileBytes = 0 } : _spec.Limits;
        List<int> ours = [];
        int status = -1;
        try
        {
            ours.Add(Libc.MemoryFile("arguments", BubblewrapCommand.Arguments(sandbox.View, limits, environment, request.WorkingDirectory)));
            ours.Add(Libc.MemoryFile("filter", SeccompFilter.Make(sandbox.Architecture, FilterPart.NotAsked).ToBytes()));
            (status, int theirs) = ChildProcess.NewPipe();
            ours.Add(Libc.MoveUp(theirs));
            var spawner = new ConfinedSpawner(sandbox.Architecture, sandbox.Cgroup, supervisor.Begin,
                (ours[0], BubblewrapCommand.ArgumentsDescriptor), (ours[1], BubblewrapCommand.FilterDescriptor), (ours[2], BubblewrapCommand.StatusDescriptor));
            ChildProcess child = ChildProcess.Start(BubblewrapCommand.Build(options.BubblewrapPath, limits, program), request.OutputBytes, input, execution.OnData, spawner: spawner);
            sandbox.Hold(child.Pid);
            return (child, spawner, status);
        }
        catch (Win32Exception failed)
        {
            if (status >= 0)
            {
                _ = Libc.close(status);
            }

            throw new SandboxStartException($"the sandbox's starter cannot be started: {failed.Message}", failed);
        }
        finally
        {
            ours.ForEach(descriptor => Libc.close(descriptor));
        }
    }

    private async Task<int> EndOfAsync(ChildProcess child, ExecutionRequest request, WorkspaceQuota? quota, CancellationToken cancellationToken)
    {
        using var finished = new CancellationTokenSource();
        Task watch = quota is null
            ? Task.CompletedTask
            : Task.Run(() => quota.WatchAsync(() => execution.Stop(TerminationReason.DiskLimit), finished.Token), CancellationToken.None);
        using (ITimer deadline = options.TimeProvider.CreateTimer(_ => execution.Stop(TerminationReason.Timeout), null, request.Timeout, Timeout.InfiniteTimeSpan))
        await using (cancellationToken.UnsafeRegister(_ => execution.Stop(TerminationReason.Cancelled), null))
        {
            await Task.WhenAny(child.Exited, execution.Stopped);
            if (!child.Exited.IsCompleted)
            {
                // Killed already; the pump ends when bubblewrap's own process is gone, whatever else holds the pipes.
                child.Kill();
                await child.Exited.WaitAsync(EndDeadline, options.TimeProvider, CancellationToken.None);
            }
        }

        await finished.CancelAsync();
        await watch;
        return await child.Exited;
    }

    private List<Violation> Violations(Supervisor supervisor)
    {
        List<Violation> violations = [.. supervisor.Violations()];
        if (execution.MonitorLost)
        {
            violations.Add(new Violation
            {
                ViolationId = Guid.NewGuid().ToString(),
                Timestamp = options.TimeProvider.GetUtcNow(),
                ViolationType = "monitor_lost",
                Severity = Severity.Critical,
                Description = "Nobody answered the kernel's questions about the program while it ran; the sandbox was killed",
                DetectionLayer = DetectionLayer.Seccomp,
                Blocked = true,
                Indicators = new Dictionary<string, string> { ["sandbox"] = sandbox.Id.Value },
                Remediation = "Run the program again; if it happens again, look at the host's load and the version of bubblewrap.",
            });
        }

        return violations;
    }
}
