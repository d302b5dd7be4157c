using System.Globalization;
using Microsoft.Extensions.Logging;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>One gVisor sandbox: its processes, cgroup, trace session and directory.</summary>
/// <remarks>
/// Its end has one path, <see cref="DestroyAsync"/>, which runs once however many ask for it: kill and reap, close the trace, let runsc
/// forget it, remove the cgroup, remove the directory.
/// </remarks>
internal sealed partial class GVisorSandbox : ISandbox
{
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan KillDeadline = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan TraceDeadline = TimeSpan.FromSeconds(2);
    private readonly GVisorOptions _options;
    private readonly RunscCommand _runsc;
    private readonly SandboxSpec _spec;
    private readonly ILogger _logger;
    private readonly Action<GVisorSandbox> _onGone;
    private readonly string _platform;
    private readonly SemaphoreSlim _oneProgram = new(1, 1);
    private readonly CancellationTokenSource _ended = new();
    private readonly Lock _gate = new();
    private SandboxMonitor? _monitor;
    private volatile Execution? _current;
    private Task? _destroy;
    private Task _traceEnd = Task.CompletedTask;
    private int _idleInput = -1;
    private int _pid;
    private int _pidfd = -1;
    private volatile bool _killed;
    private IReadOnlySet<int> _sessions = new HashSet<int>();

    public GVisorSandbox(GVisorOptions options, RunscCommand runsc, SandboxSpec spec, SandboxId id, ILogger logger, Action<GVisorSandbox> onGone)
    {
        _options = options;
        _runsc = runsc;
        _spec = spec;
        _logger = logger;
        _onGone = onGone;
        _platform = spec.Platform ?? options.DefaultPlatform;
        Id = id;
        Cgroup = new SandboxCgroup(options.StateKey, id.Value);
    }

    public SandboxId Id { get; }

    public SandboxOwner Owner => _spec.Owner;

    public string Runtime => "gvisor";

    public ImageDescriptor Image => _spec.Image;

    public DateTimeOffset StartedAt { get; private set; }

    public TimeSpan ColdStart { get; set; }

    public IReadOnlyList<SandboxControl> Controls { get; set; } = [];

    public CancellationToken Ended => _ended.Token;

    public SandboxCgroup Cgroup { get; }

    public SandboxSpec Spec => _spec;

    public string Platform => _platform;

    internal SandboxMonitor? Monitor => _monitor;

    internal string Directory => Path.Combine(_options.RunDirectory, Id.Value);

    private bool IsGone => _destroy is not null || _pidfd < 0 || Libc.HasEnded(_pidfd, 0);

    /// <summary>Brings the sandbox up. The caller destroys it when this throws.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        System.IO.Directory.CreateDirectory(Directory, ownerOnly);
        string root = Path.Combine(Directory, "rootfs");
        System.IO.Directory.CreateDirectory(root, ownerOnly);
        if (_spec.WorkspaceDirectory is { } workspace && Libc.lchown(workspace, OciBundle.AgentUid, OciBundle.AgentUid) != 0)
        {
            throw new SandboxRefusedException("workspace", Libc.LastError($"workspace {workspace} cannot be given to the sandbox's user").Message);
        }

        string socket = Path.Combine(Directory, "t");
        await File.WriteAllTextAsync(Path.Combine(Directory, "config.json"), OciBundle.Configuration(_spec, _platform, root, Cgroup.Path).ToJsonString(), cancellationToken);
        await File.WriteAllBytesAsync(Path.Combine(Directory, "pod-init.json"), TraceSessionConfig.Build(socket), cancellationToken);
        _monitor = new SandboxMonitor(socket, OnAttempt, OnKill);
        _traceEnd = WatchTraceEndAsync(_monitor);
        (int theirs, _idleInput) = ChildProcess.NewPipe();
        try
        {
            await _runsc.RunAsync(Id.Value, _platform, Directory, theirs, cancellationToken);
        }
        finally
        {
            _ = Libc.close(theirs);
        }

        // We are the subreaper, so the number cannot be given to another process before we reap it.
        _pid = int.Parse(await File.ReadAllTextAsync(Path.Combine(Directory, "pid"), cancellationToken), CultureInfo.InvariantCulture);
        _pidfd = Libc.OpenPidfd(_pid);
        _sessions = ProcessGroupEnd.SessionsOf(Cgroup);
        if (_pidfd < 0)
        {
            throw new SandboxRefusedException("runtime", "The sandbox ended while it started.");
        }

        try
        {
            await _monitor.Started.WaitAsync(StartDeadline, cancellationToken);
        }
        catch (TimeoutException silent)
        {
            throw new SandboxRefusedException("trace_session", "No event of the trace session arrived: programs could not be watched.", silent);
        }

        if (_monitor.Completion.IsCompleted)
        {
            // It ended before its end could be tied to a process.
            throw new SandboxRefusedException("trace_session", "The trace session ended while the sandbox started.");
        }

        StartedAt = _options.TimeProvider.GetUtcNow();
    }

    public async Task<ExecutionResult> ExecuteAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        RequestChecks.Check(request);
        try
        {
            await _oneProgram.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return Cancelled();
        }

        try
        {
            return await RunProgramAsync(request, cancellationToken);
        }
        finally
        {
            _oneProgram.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await DestroyAsync();
        await _traceEnd;
    }

    public Task DestroyAsync()
    {
        lock (_gate)
        {
            return _destroy ??= Task.Run(DestroyCoreAsync);
        }
    }

    private static ExecutionResult Cancelled() => new()
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

    private async Task<ExecutionResult> RunProgramAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        if (IsGone || _monitor is null)
        {
            throw new SandboxStartException($"sandbox {Id} has ended");
        }

        if (cancellationToken.IsCancellationRequested)
        {
            return Cancelled();
        }

        var environment = new Dictionary<string, string>(OciBundle.BaseEnvironment);
        foreach ((string name, string value) in request.Environment)
        {
            environment[name] = value;
        }

        string pidFile = Path.Combine(Directory, "exec.pid");
        File.Delete(pidFile);
        await File.WriteAllTextAsync(Path.Combine(Directory, "exec.json"),
            OciBundle.Process(request.Arguments, environment, request.WorkingDirectory, _spec.Limits).ToJsonString(), CancellationToken.None);
        long oomBefore = Cgroup.OomKills, refusedBefore = Cgroup.PidsRefused;
        TimeSpan? cpuBefore = Cgroup.Cpu;
        long droppedBefore = _monitor.Dropped;
        Cgroup.ResetPeak();
        _monitor.BeginProgram();
        var execution = new Execution(request, KillNow);
        _current = execution;

        long begin = _options.TimeProvider.GetTimestamp();
        using var finished = new CancellationTokenSource();
        ChildProcess child;
        try
        {
            child = ChildProcess.Start(_runsc.Exec(Id.Value, Directory), request.OutputBytes, request.StandardInput, execution.OnData);
        }
        catch (System.ComponentModel.Win32Exception failed)
        {
            _current = null;
            throw new SandboxStartException($"runsc cannot be started: {failed.Message}", failed);
        }

        Task quota = _spec.WorkspaceDirectory is { } workspace
            ? Task.Run(() => WorkspaceQuota.WatchAsync(workspace, _spec.WorkspaceBytes, () => execution.Stop(TerminationReason.DiskLimit), _options.TimeProvider, finished.Token), CancellationToken.None)
            : Task.CompletedTask;
        int code;
        using (ITimer deadline = _options.TimeProvider.CreateTimer(_ => execution.Stop(TerminationReason.Timeout), null, request.Timeout, Timeout.InfiniteTimeSpan))
        await using (cancellationToken.UnsafeRegister(_ => execution.Stop(TerminationReason.Cancelled), null))
        {
            code = await EndOfAsync(child, execution);
        }

        TimeSpan duration = _options.TimeProvider.GetElapsedTime(begin);
        await finished.CancelAsync();
        await quota;
        bool started = int.TryParse(File.Exists(pidFile) ? await File.ReadAllTextAsync(pidFile, CancellationToken.None) : "", CultureInfo.InvariantCulture, out int group);
        if (execution.StopReason is null && started)
        {
            // Wait for the program's own exit in the trace: everything it did is before it.
            await Task.WhenAny(_monitor.ExitSeen(group), execution.Stopped, Task.Delay(TraceDeadline, _options.TimeProvider, CancellationToken.None));
        }

        bool oom = Cgroup.OomKills > oomBefore;
        bool refused = Cgroup.PidsRefused > refusedBefore;
        var usage = new ResourceUsage(Cgroup.Cpu - cpuBefore, Cgroup.MemoryPeak, null, null);
        bool gone = execution.StopReason is not null || oom || refused || Libc.HasEnded(_pidfd, 0);
        if (!started && !gone)
        {
            _current = null;
            throw new SandboxStartException($"'{ViolationDetector.Sanitise(request.Arguments[0])}' could not be started: {RunscCommand.Bounded(ViolationDetector.Sanitise(child.Error.Text))}");
        }

        if (!gone && _monitor.AnyAlive)
        {
            await EndStragglersAsync();
        }

        TerminationReason reason = execution.StopReason
            ?? (oom ? TerminationReason.OomKilled
                : refused || (code != 0 && _monitor.ForkRefused) ? TerminationReason.PidsLimit
                : code == 0 && !gone ? TerminationReason.Completed
                : !gone && await DiskIsFullAsync(code) ? TerminationReason.DiskLimit
                : TerminationReason.NonzeroExit);
        List<Violation> violations = [.. _monitor.EndProgram()];
        if (_monitor.Dropped is var dropped && dropped > droppedBefore)
        {
            violations.Add(MonitorViolation("monitor_events_dropped", Severity.High, $"{dropped - droppedBefore} events of the trace session were lost; attempts may be missing here"));
        }

        if (execution.MonitorLost)
        {
            violations.Add(MonitorViolation("monitor_lost", Severity.Critical, "The trace session ended while the sandbox ran; the sandbox was killed"));
        }

        _current = null;
        if (gone)
        {
            await DestroyAsync();
        }

        return new ExecutionResult
        {
            ExitCode = gone ? null : code,
            Reason = reason,
            StandardOutput = child.Output.Bytes,
            StandardError = gone ? WithoutRunscsLastWord(child.Error.Bytes) : child.Error.Bytes,
            StandardOutputTruncated = child.Output.Truncated,
            StandardErrorTruncated = child.Error.Truncated,
            Duration = duration,
            Violations = violations,
            Usage = usage,
        };
    }

    /// <summary>When its sandbox dies, the command writes one line of its own behind the program's errors.</summary>
    private static ReadOnlyMemory<byte> WithoutRunscsLastWord(ReadOnlyMemory<byte> errors)
    {
        ReadOnlySpan<byte> text = errors.Span;
        int lineStart = text.TrimEnd((byte)'\n').LastIndexOf((byte)'\n') + 1;
        return text[lineStart..].StartsWith("waiting on pid "u8) ? errors[..lineStart] : errors;
    }

    /// <summary>Waits for the command; after a kill it has a bounded time to notice that its sandbox is gone.</summary>
    private async Task<int> EndOfAsync(ChildProcess child, Execution execution)
    {
        await Task.WhenAny(child.Exited, execution.Stopped);
        if (!child.Exited.IsCompleted)
        {
            await Task.WhenAny(child.Exited, Task.Delay(TraceDeadline, _options.TimeProvider));
            child.Kill();
        }

        return await child.Exited;
    }

    /// <summary>Processes that a program left behind would use up the limits of the next one, and their deeds would be put on its account.</summary>
    private async Task EndStragglersAsync()
    {
        await RunInternalAsync(["/bin/bash", "-c", "kill -KILL -1"]);
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
        await File.WriteAllTextAsync(Path.Combine(Directory, "exec.json"),
            OciBundle.Process(arguments, OciBundle.BaseEnvironment, "/", _spec.Limits with { Pids = _spec.Limits.Pids + 16 }).ToJsonString(), CancellationToken.None);
        ChildProcess child = ChildProcess.Start(_runsc.Exec(Id.Value, Directory), 4096);
        await Task.WhenAny(child.Exited, Task.Delay(KillDeadline, _options.TimeProvider));
        child.Kill();
        await child.Exited;
        return child.Output.Text;
    }

    private void OnAttempt(DetectionRule rule) => LogViolation(Id, rule.Type, rule.Severity, rule.Action);

    private void OnKill()
    {
        // The reason is set before the kill, or the program's end could be read as its own.
        _current?.Stop(TerminationReason.SecurityViolation);
        KillNow();
    }

    /// <summary>The trace ended. When the sandbox did not end with it, nobody watches it any more: it must go.</summary>
    private async Task WatchTraceEndAsync(SandboxMonitor monitor)
    {
        await monitor.Completion.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        // The sentry closes the connection before its process is gone, on a loaded host long before.
        const int goneWithin = 3000;
        bool natural = _killed || (_pidfd >= 0 && Libc.HasEnded(_pidfd, goneWithin));
        if (_destroy is null && _pidfd >= 0 && !natural)
        {
            LogMonitorLost(Id);
            _current?.LoseMonitor();
            KillNow();
        }

        if (_pidfd >= 0)
        {
            await DestroyAsync();
        }
    }

    private Violation MonitorViolation(string type, Severity severity, string description) => new()
    {
        ViolationId = Guid.NewGuid().ToString(),
        Timestamp = _options.TimeProvider.GetUtcNow(),
        ViolationType = type,
        Severity = severity,
        Description = description,
        DetectionLayer = DetectionLayer.SyscallMonitor,
        Blocked = severity == Severity.Critical,
        Indicators = new Dictionary<string, string> { ["sandbox"] = Id.Value },
        Remediation = "Run the program again; if it happens again, look at the host's load and the sandbox runtime's version.",
    };

    /// <summary>Kills the sentry, which takes every program with it. Cheap and safe from any thread.</summary>
    private void KillNow()
    {
        _killed = true;
        lock (_gate)
        {
            if (_pidfd >= 0)
            {
                Libc.KillPidfd(_pidfd);
            }
        }
    }

    private async Task DestroyCoreAsync()
    {
        KillNow();
        if (_pid == 0)
        {
            // The start was cut short: whatever runsc had started is known by its command line only.
            Sweep.KillByCommandLine(_runsc, Id.Value);
        }

        bool killed = await ProcessGroupEnd.KillAsync(Cgroup, _sessions, _options.TimeProvider, KillDeadline);
        if (_monitor is not null)
        {
            await _monitor.DisposeAsync();
        }

        if (System.IO.Directory.Exists(_runsc.Root))
        {
            await _runsc.DeleteAsync(Id.Value, CancellationToken.None);
        }

        bool clean = await Sweep.RemoveAsync(_options, _runsc, Id.Value);
        if (!killed || !clean)
        {
            LogLeftBehind(Id, killed, clean);
        }

        lock (_gate)
        {
            CloseFd(ref _pidfd);
            CloseFd(ref _idleInput);
        }

        _onGone(this);
        await _ended.CancelAsync();
    }

    private static void CloseFd(ref int fd)
    {
        if (fd >= 0)
        {
            _ = Libc.close(fd);
            fd = -1;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Sandbox {Sandbox}: {ViolationType} ({Severity}), action: {Action}")]
    private partial void LogViolation(SandboxId sandbox, string violationType, Severity severity, RuleAction action);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} lost its trace session and is killed")]
    private partial void LogMonitorLost(SandboxId sandbox);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} left something behind (all processes ended: {Killed}, files and cgroup removed: {Clean}); a sweep will find it")]
    private partial void LogLeftBehind(SandboxId sandbox, bool killed, bool clean);
}
