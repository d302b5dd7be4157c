using System.Globalization;
using Microsoft.Extensions.Logging;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>One gVisor sandbox: its processes, cgroup, trace session and directory.</summary>
/// <remarks>
/// Its end has one path, <see cref="DestroyAsync"/>, which runs once however many ask for it: cut the start short, kill, let the running program
/// be accounted for, reap, close the trace, let runsc forget it, remove the cgroup, remove the directory. <see cref="ProgramRun"/> runs programs.
/// </remarks>
internal sealed partial class GVisorSandbox : ISandbox
{
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan KillDeadline = TimeSpan.FromSeconds(10);
    private readonly GVisorOptions _options;
    private readonly RunscCommand _runsc;
    private SandboxSpec _spec;
    private readonly ILogger _logger;
    private readonly Action<GVisorSandbox> _onGone;
    private readonly string _platform;
    private readonly SemaphoreSlim _oneProgram = new(1, 1);
    private readonly SemaphoreSlim _pausing = new(1, 1);
    private bool _paused;
    private readonly CancellationTokenSource _ended = new();
    private readonly Lock _gate = new();
    private SandboxMonitor? _monitor;
    private volatile Execution? _current;
    private Task? _destroy;
    private Task _traceEnd = Task.CompletedTask;
    private readonly CancellationTokenSource _cutStart = new();
    private readonly TaskCompletionSource _startEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _idleInput = -1;
    private volatile ProcessHandle? _process;
    private volatile bool _killed;
    private IReadOnlySet<int> _sessions = new HashSet<int>();
    private SpareInterpreter? _spare;
    private Task _nextSpare = Task.CompletedTask;

    public GVisorSandbox(GVisorOptions options, RunscCommand runsc, SandboxSpec spec, SandboxId id, ILogger logger, Action<GVisorSandbox> onGone)
    {
        Control = new ControlSocket(runsc.Root, id.Value);
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

    public SandboxStart Start { get; set; }

    public IReadOnlyList<SandboxControl> Controls { get; set; } = [];

    /// <summary>It waits in the pool, or is a template: nobody's sandbox.</summary>
    internal bool IsReserve { get; set; }

    /// <summary>Used only where the installed runsc passed the runtime's self-test.</summary>
    internal ControlSocket Control { get; }

    /// <summary>From the forbidden call's return, by the sandbox's clock, to the signal having been sent; null when no rule killed.</summary>
    internal TimeSpan? DetectedToKilled { get; private set; }

    /// <summary>Whether programs are started through <see cref="Control"/>.</summary>
    internal bool IsDirect { get; set; }

    /// <summary>Set once it is ready.</summary>
    internal SandboxMetrics? Metrics { get; set; }

    public CancellationToken Ended => _ended.Token;

    public SandboxCgroup Cgroup { get; }

    public SandboxSpec Spec => _spec;

    public string Platform => _platform;

    internal SandboxMonitor? Monitor => _monitor;

    internal string Directory => Path.Combine(_options.RunDirectory, Id.Value);

    /// <summary>Whether it ended or is about to.</summary>
    internal bool IsGone => _destroy is not null || _process is null || _process.HasEnded(0);

    /// <summary>Brings the sandbox up. The caller destroys it when this throws.</summary>
    /// <param name="start">One of the ways below.</param>
    /// <param name="cancellationToken">Cuts it short.</param>
    public async Task StartAsync(Func<GVisorSandbox, CancellationToken, Task> start, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _cutStart.Token);
        try
        {
            await start(this, either.Token);
            StartedAt = _options.TimeProvider.GetUtcNow();
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new SandboxRefusedException("runtime", "The sandbox was destroyed while it started.");
        }
        finally
        {
            _startEnded.TrySetResult();
        }
    }

    /// <summary>By the command line alone.</summary>
    public static async Task StartPlainAsync(GVisorSandbox sandbox, CancellationToken cancellationToken)
    {
        await sandbox.WriteBundleAsync(withAgent: false, isWatched: true, cancellationToken);
        (int theirs, sandbox._idleInput) = ChildProcess.NewPipe();
        try
        {
            await sandbox._runsc.RunAsync(sandbox.Id.Value, sandbox._platform, sandbox.Directory, theirs, cancellationToken);
        }
        finally
        {
            _ = Libc.close(theirs);
        }

        await sandbox.HoldProcessAsync();
        await sandbox.RequireTraceAsync(cancellationToken);
    }

    /// <summary>Starts the sandbox that a template's checkpoint is made of: unwatched, because nobody's program ever runs in it.</summary>
    public static async Task StartTemplateAsync(GVisorSandbox sandbox, CancellationToken cancellationToken)
    {
        await sandbox.WriteBundleAsync(withAgent: true, isWatched: false, cancellationToken);
        SpareInterpreter spare = await sandbox.CreateAsync(process: 0, isWatched: false, cancellationToken);
        await sandbox.Control.StartRootAsync(cancellationToken);
        string up = await spare.ExpectAsync("up ", cancellationToken);
        spare.Process = int.Parse(up["up ".Length..], CultureInfo.InvariantCulture);
        sandbox._spare = spare;
    }

    /// <summary>A copy of a checkpoint with randomness of its own, shown to be watched.</summary>
    public static async Task RestoreAsync(GVisorSandbox sandbox, TemplateCheckpoint checkpoint, CancellationToken cancellationToken)
    {
        await sandbox.WriteBundleAsync(withAgent: true, isWatched: true, cancellationToken);
        SpareInterpreter spare = sandbox._spare = await sandbox.CreateAsync(checkpoint.SpareProcess, isWatched: true, cancellationToken);
        string mark = "/rynxs-" + Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(16));
        sandbox._monitor?.ExpectMark(mark);
        int[] images = checkpoint.Open();
        try
        {
            await sandbox.Control.RestoreAsync(images, cancellationToken);
        }
        finally
        {
            Array.ForEach(images, image => Libc.close(image));
        }

        await spare.SeedAsync(mark, cancellationToken);
        await sandbox.RequireTraceAsync(cancellationToken);
        sandbox.IsDirect = true;
    }

    /// <summary>Stops every process of it: no CPU until <see cref="Adopt"/>.</summary>
    public void Park() => _process?.Stop();

    /// <summary>Undoes <see cref="Park"/> and nothing else.</summary>
    internal void Continue() => _process?.Continue();

    /// <summary>Completes when the next interpreter waits, or could not be started.</summary>
    internal Task SpareReadyAsync() => _nextSpare;

    /// <summary>From the pool to its one user: late-bound limits, and it runs again.</summary>
    /// <exception cref="IOException">The kernel does not take the limits.</exception>
    public void Adopt(SandboxSpec spec)
    {
        _spec = spec;
        Cgroup.SetLimits(spec.Limits, OciBundle.HostPids(spec.Limits, _platform), spec.Limits.MemoryBytes + OciBundle.RuntimeMemoryBytes);
        _process?.Continue();
        IsReserve = false;
        StartedAt = _options.TimeProvider.GetUtcNow();
    }

    /// <summary>The waiting interpreter, for whoever asks first; null when there is none.</summary>
    public SpareInterpreter? TakeSpare() => Interlocked.Exchange(ref _spare, null);

    private async Task WriteBundleAsync(bool withAgent, bool isWatched, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        System.IO.Directory.CreateDirectory(Directory, ownerOnly);
        string root = Path.Combine(Directory, "rootfs");
        System.IO.Directory.CreateDirectory(root, ownerOnly);
        if (_spec.WorkspaceDirectory is { } workspace && Libc.lchown(workspace, OciBundle.AgentUid, OciBundle.AgentUid) != 0)
        {
            throw new SandboxRefusedException("workspace", Libc.LastError($"workspace {workspace} cannot be given to the sandbox's user").Message);
        }

        await File.WriteAllTextAsync(
            Path.Combine(Directory, "config.json"), OciBundle.Configuration(_spec, _platform, root, Cgroup.Path, withAgent).ToJsonString(), cancellationToken);
        if (isWatched)
        {
            string socket = Path.Combine(Directory, "t");
            await File.WriteAllBytesAsync(Path.Combine(Directory, "pod-init.json"), TraceSessionConfig.Build(socket), cancellationToken);
            _monitor = new SandboxMonitor(socket, OnAttempt, OnKill);
            _traceEnd = WatchTraceEndAsync(_monitor);
        }
    }

    /// <summary>Creates it in a cgroup of ours, with pipes of ours as the first process's standard input, output and error.</summary>
    private async Task<SpareInterpreter> CreateAsync(int process, bool isWatched, CancellationToken cancellationToken)
    {
        string? cgroup = null;
        if (!SandboxCgroup.IsV2)
        {
            Cgroup.Create(_spec.Limits, OciBundle.HostPids(_spec.Limits, _platform), _spec.Limits.MemoryBytes + OciBundle.RuntimeMemoryBytes);
            cgroup = Cgroup.Path;
        }

        using GuestPipes pipes = GuestPipes.New();
        await _runsc.CreateAsync(Id.Value, _platform, Directory, isWatched, (pipes.Theirs[0], pipes.Theirs[1], pipes.Theirs[2]), cgroup, cancellationToken);
        await HoldProcessAsync();
        (int input, int output, int error) = pipes.TakeOurs();
        _idleInput = input; // the sandbox ends when this end of the pipe closes, so it stays open longer than its interpreter's
        const int duplicateCloseOnExec = 1030;
        return new SpareInterpreter(process, Libc.fcntl(input, duplicateCloseOnExec, 0), output, error);
    }

    private async Task HoldProcessAsync()
    {
        // The subreaper is ours, so the number cannot be given to another process before the sandbox's end was seen.
        int pid = int.Parse(await File.ReadAllTextAsync(Path.Combine(Directory, "pid"), CancellationToken.None), CultureInfo.InvariantCulture);
        _sessions = ProcessGroupEnd.SessionsOf(Cgroup);
        _process = ProcessHandle.Open(pid) ?? throw new SandboxRefusedException("runtime", "The sandbox ended while it started.");
    }

    private async Task RequireTraceAsync(CancellationToken cancellationToken)
    {
        SandboxMonitor monitor = _monitor ?? throw new InvalidOperationException("a watched sandbox has a monitor");
        try
        {
            await monitor.Started.WaitAsync(StartDeadline, cancellationToken);
        }
        catch (TimeoutException silent)
        {
            throw new SandboxRefusedException("trace_session", "No event of the trace session arrived: programs could not be watched.", silent);
        }

        if (monitor.Completion.IsCompleted)
        {
            // It ended before its end could be tied to a process.
            throw new SandboxRefusedException("trace_session", "The trace session ended while the sandbox started.");
        }
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
            return ProgramRun.CancelledBeforeStart();
        }

        try
        {
            return await RunAsync(request, cancellationToken);
        }
        finally
        {
            _oneProgram.Release();
        }
    }

    public async Task PauseAsync(CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            if (_paused)
            {
                return;
            }

            await _oneProgram.WaitAsync(cancellationToken); // kept until it is resumed: no program runs in a stopped sandbox
            if (IsGone)
            {
                _oneProgram.Release();
                throw new SandboxStartException($"sandbox {Id} has ended");
            }

            await _nextSpare;
            Park();
            _paused = true;
        }
        finally
        {
            _pausing.Release();
        }
    }

    public async Task ResumeAsync(CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            if (_paused)
            {
                _paused = false;
                Continue();
                _oneProgram.Release();
            }
        }
        finally
        {
            _pausing.Release();
        }
    }

    public async Task<ILiveInterpreter> OpenInterpreterAsync(CancellationToken cancellationToken)
    {
        if (!IsDirect || _monitor is not { } monitor || IsGone)
        {
            throw new SandboxStartException(IsGone ? $"sandbox {Id} has ended" : "a live interpreter needs the runtime's control socket, which is not in use here");
        }

        try
        {
            return await LiveInterpreter.StartAsync(this, monitor, _options.TimeProvider, cancellationToken);
        }
        catch (ControlException failed)
        {
            throw new SandboxStartException($"the interpreter could not be started: {failed.Message}", failed);
        }
    }

    /// <summary>Takes the turn of a program; the caller ends it.</summary>
    /// <exception cref="SandboxStartException">The sandbox has ended.</exception>
    internal async Task<Execution> BeginTurnAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        await _oneProgram.WaitAsync(cancellationToken);
        lock (_gate)
        {
            if (!IsGone)
            {
                return _current = new Execution(request, KillNow);
            }
        }

        _oneProgram.Release();
        throw new SandboxStartException($"sandbox {Id} has ended");
    }

    internal async Task EndTurnAsync(Execution execution)
    {
        _current = null;
        execution.CloseAccount();
        _oneProgram.Release();
        if (execution.StopReason is not null || IsGone)
        {
            await ClearAwayAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await DestroyAsync();
        await _traceEnd;
    }

    /// <summary>Ends it, with <see cref="TerminationReason.Cancelled"/> for a program that runs.</summary>
    public Task DestroyAsync()
    {
        Execution? running;
        Task destroyed;
        lock (_gate)
        {
            running = _destroy is null ? _current : null;
            destroyed = _destroy ??= Task.Run(DestroyCoreAsync);
        }

        running?.Stop(TerminationReason.Cancelled);
        return destroyed;
    }

    /// <summary>Ends what has ended by itself: a running program keeps the reason that it finds.</summary>
    private Task ClearAwayAsync()
    {
        lock (_gate)
        {
            return _destroy ??= Task.Run(DestroyCoreAsync);
        }
    }

    private async Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ProgramRun.CancelledBeforeStart();
        }

        var execution = new Execution(request, KillNow);
        SandboxMonitor monitor;
        lock (_gate)
        {
            // From here on the sandbox's end waits for this program's account.
            monitor = _monitor is { } watching && !IsGone ? watching : throw new SandboxStartException($"sandbox {Id} has ended");
            _current = execution;
        }

        ExecutionResult result;
        try
        {
            result = await new ProgramRun(_options, _runsc, this, monitor, execution).RunAsync(request, cancellationToken);
        }
        finally
        {
            _current = null;
            execution.CloseAccount();
        }

        Metrics?.ProgramEnded(Runtime, result);
        if (result.ExitCode is null)
        {
            await ClearAwayAsync();
        }
        else if (IsDirect && !_spec.SingleUse && request.PythonSource is not null && _nextSpare.IsCompleted && _spare is null)
        {
            _nextSpare = Task.Run(PrepareSpareAsync, CancellationToken.None);
        }

        return result;
    }

    /// <summary>Where one Python program ran, another may follow.</summary>
    private async Task PrepareSpareAsync()
    {
        try
        {
            SpareInterpreter spare = await SpareInterpreter.StartAsync(Control, _cutStart.Token);
            Interlocked.Exchange(ref _spare, spare)?.Dispose();
            if (_destroy is not null)
            {
                TakeSpare()?.Dispose();
            }
        }
        catch (Exception failed) when (failed is ControlException or SandboxRefusedException or OperationCanceledException or IOException)
        {
            // The next program starts an interpreter of its own; nothing is lost but time.
            LogNoSpare(failed, Id);
        }
    }

    private void OnAttempt(DetectionRule rule) => LogViolation(Id, rule.Type, rule.Severity, rule.Action);

    private void OnKill(long attemptedAt)
    {
        // The reason is set before the kill, or the program's end could be read as its own.
        _current?.Stop(TerminationReason.SecurityViolation);
        KillNow();
        DetectedToKilled ??= _options.TimeProvider.GetUtcNow() - DateTimeOffset.UnixEpoch.AddTicks(attemptedAt / 100);
    }

    /// <summary>The trace ended. When the sandbox did not end with it, nobody watches it any more: it must go.</summary>
    private async Task WatchTraceEndAsync(SandboxMonitor monitor)
    {
        await monitor.Completion.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        // The sentry closes the connection before its process is gone, on a loaded host long before.
        const int goneWithin = 3000;
        if (_process is not { } process)
        {
            return; // the start finds out and refuses
        }

        if (_destroy is null && !_killed && !process.HasEnded(goneWithin))
        {
            LogMonitorLost(Id);
            _current?.LoseMonitor();
            KillNow();
        }

        _current?.EndWithSandbox();
        await ClearAwayAsync();
    }

    /// <summary>Kills the sentry, which takes every program with it. Cheap and safe from any thread.</summary>
    private void KillNow()
    {
        _killed = true;
        _process?.Kill();
    }

    private async Task DestroyCoreAsync()
    {
        await _cutStart.CancelAsync();
        KillNow();
        if (_process is null)
        {
            // The start was cut short: whatever runsc had started is known by its command line only.
            Sweep.KillByCommandLine(_runsc, Id.Value);
        }

        bool killed = false;
        bool clean = false;
        try
        {
            await _startEnded.Task;
            KillNow();
            await _nextSpare;
            if (_current is { } running)
            {
                // Bounded: should a program's account never close, the sandbox ends without it.
                await Task.WhenAny(running.Accounted, Task.Delay(KillDeadline, _options.TimeProvider));
            }

            killed = await ProcessGroupEnd.KillAsync(Cgroup, _sessions, _options.TimeProvider, KillDeadline);
            if (_monitor is not null)
            {
                await _monitor.DisposeAsync();
            }

            if (System.IO.Directory.Exists(_runsc.Root))
            {
                await _runsc.DeleteAsync(Id.Value, CancellationToken.None);
            }

            clean = await Sweep.RemoveAsync(_options, _runsc, Id.Value);
        }
        catch (Exception failed) when (failed is SandboxRefusedException or IOException or UnauthorizedAccessException)
        {
            LogEndFailed(failed, Id);
        }

        if (!killed || !clean)
        {
            LogLeftBehind(Id, killed, clean);
        }

        _process?.Dispose();
        TakeSpare()?.Dispose();
        CloseFd(ref _idleInput);
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

    [LoggerMessage(Level = LogLevel.Debug, Message = "Sandbox {Sandbox}: no interpreter could be started ahead of the next program")]
    private partial void LogNoSpare(Exception exception, SandboxId sandbox);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} lost its trace session and is killed")]
    private partial void LogMonitorLost(SandboxId sandbox);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} did not end cleanly")]
    private partial void LogEndFailed(Exception exception, SandboxId sandbox);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} left something behind (all processes ended: {Killed}, files and cgroup removed: {Clean}); a sweep will find it")]
    private partial void LogLeftBehind(SandboxId sandbox, bool killed, bool clean);
}
