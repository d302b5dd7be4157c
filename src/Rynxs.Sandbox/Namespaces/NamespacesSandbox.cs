using Microsoft.Extensions.Logging;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Seccomp;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>
/// A cgroup, a workspace and a /tmp that outlast the programs, each of which gets namespaces of its own and ends with everything that it started. Between two programs no process of it exists.
/// </summary>
internal sealed partial class NamespacesSandbox : ISandbox
{
    /// <summary>What bubblewrap itself uses: its two processes, and the kernel's memory for the namespaces.</summary>
    public const long StarterMemoryBytes = 8L * 1024 * 1024;

    /// <summary>bubblewrap outside and inside, and our thread that starts it.</summary>
    public const int StarterTasks = 3;

    private static readonly TimeSpan KillDeadline = TimeSpan.FromSeconds(10);
    private readonly NamespacesOptions _options;
    private readonly ILogger _logger;
    private readonly Action<NamespacesSandbox> _onGone;
    private readonly SemaphoreSlim _oneProgram = new(1, 1);
    private readonly SemaphoreSlim _pausing = new(1, 1);
    private readonly CancellationTokenSource _ended = new();
    private readonly Lock _gate = new();
    private SandboxView? _view;
    private volatile Execution? _current;
    private volatile ProcessHandle? _process;
    private Task? _destroy;
    private bool _paused;
    private bool _isFirst = true;

    public NamespacesSandbox(NamespacesOptions options, SeccompArchitecture architecture, SandboxSpec spec, SandboxId id, ILogger logger, Action<NamespacesSandbox> onGone)
    {
        _options = options;
        _logger = logger;
        _onGone = onGone;
        Architecture = architecture;
        Spec = spec;
        Id = id;
        Cgroup = new SandboxCgroup(options.Key, id.Value);
    }

    public SandboxId Id { get; }

    public SandboxOwner Owner => Spec.Owner;

    public string Runtime => NamespacesRuntime.RuntimeName;

    public ImageDescriptor Image => Spec.Image;

    public DateTimeOffset StartedAt { get; private set; }

    public TimeSpan ColdStart { get; set; }

    public SandboxStart Start => SandboxStart.Plain;

    public IReadOnlyList<SandboxControl> Controls { get; set; } = [];

    public CancellationToken Ended => _ended.Token;

    internal SandboxSpec Spec { get; }

    internal SandboxCgroup Cgroup { get; }

    internal SeccompArchitecture Architecture { get; }

    /// <summary>Set once it is ready, so that our own probes are not counted.</summary>
    internal SandboxMetrics? Metrics { get; set; }

    internal SandboxView View => _view ?? throw new InvalidOperationException("a sandbox that was brought up has a view");

    internal bool IsGone => _destroy is not null;

    /// <summary>Brings it up. The caller destroys it when this throws.</summary>
    /// <exception cref="SandboxRefusedException">The host refuses a mount or a limit.</exception>
    public void Begin(string root)
    {
        try
        {
            Cgroup.Create(Spec.Limits, Spec.Limits.Pids + StarterTasks, Spec.Limits.MemoryBytes + StarterMemoryBytes);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new SandboxRefusedException("runtime", $"The sandbox's cgroup cannot be made: {refused.Message}", refused);
        }

        _view = SandboxMounts.Make(Path.Combine(_options.RunDirectory, Id.Value), root, Spec);
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
            return ProgramRun.CancelledBeforeStart();
        }

        try
        {
            return cancellationToken.IsCancellationRequested ? ProgramRun.CancelledBeforeStart() : await RunAsync(request, cancellationToken);
        }
        finally
        {
            _oneProgram.Release();
        }
    }

    /// <summary>Between two programs there is nothing to stop: the next one waits.</summary>
    public async Task PauseAsync(CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            if (_paused)
            {
                return;
            }

            await _oneProgram.WaitAsync(cancellationToken);
            if (IsGone)
            {
                _oneProgram.Release();
                throw new SandboxStartException($"sandbox {Id} has ended");
            }

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
                _oneProgram.Release();
            }
        }
        finally
        {
            _pausing.Release();
        }
    }

    public Task<ILiveInterpreter> OpenInterpreterAsync(CancellationToken cancellationToken) =>
        throw new SandboxStartException("a live interpreter needs the gvisor runtime: here a program ends with everything that it started");

    public ValueTask DisposeAsync() => new(DestroyAsync());

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

    /// <summary>The program's first process; known before any code of the program runs.</summary>
    internal void Hold(int process) => _process = ProcessHandle.Open(process);

    /// <summary>Everything that a program started has ended, and is reaped; false when something did not die in time.</summary>
    /// <param name="firstProcess">Of the program's namespace: it outlives bubblewrap by a moment and becomes our child then. It reaps all others.</param>
    internal async Task<bool> ClearProcessesAsync(int? firstProcess)
    {
        bool cleared = await ProcessGroupEnd.KillAsync(Cgroup, ProcessGroupEnd.SessionsOf(Cgroup), _options.TimeProvider, KillDeadline);
        if (cleared && firstProcess is { } pid)
        {
            ReapOrphan(pid);
        }

        _process?.Dispose();
        _process = null;
        return cleared;
    }

    /// <summary>It is dead, or will be at once. Nothing happens when it was bubblewrap that reaped it.</summary>
    private static unsafe void ReapOrphan(int pid)
    {
        int status;
        while (Libc.waitpid(pid, &status, 0) < 0 && Libc.LastErrno == Libc.EINTR)
        {
            // A signal interrupted the wait.
        }
    }

    internal void OnAttempt(DetectionRule rule, bool kill)
    {
        LogViolation(Id, rule.Type, rule.Severity, rule.Action);
        if (kill)
        {
            _current?.Stop(TerminationReason.SecurityViolation);
        }
    }

    internal void OnSupervisorLost(Exception cause)
    {
        LogSupervisorLost(cause, Id);
        _current?.LoseMonitor();
    }

    private async Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        var execution = new Execution(request, KillNow);
        lock (_gate)
        {
            // From here on the sandbox's end waits for this program's account.
            _current = IsGone ? throw new SandboxStartException($"sandbox {Id} has ended") : execution;
        }

        ExecutionResult result;
        try
        {
            result = await new ConfinedRun(_options, this, execution).RunAsync(request, cancellationToken);
        }
        finally
        {
            _current = null;
            execution.CloseAccount();
        }

        Metrics?.ProgramEnded(Runtime, result);
        if (_isFirst && Metrics is { } metrics)
        {
            _isFirst = false;
            metrics.FirstProgram(Runtime, ColdStart + (result.FirstInstruction ?? TimeSpan.Zero));
        }

        if (result.ExitCode is null)
        {
            await DestroyAsync();
        }

        return result;
    }

    /// <summary>Kills bubblewrap, and with it the namespace and everything in it. Cheap and safe from any thread.</summary>
    private void KillNow() => _process?.Kill();

    private async Task DestroyCoreAsync()
    {
        bool killed = false;
        bool clean = false;
        try
        {
            KillNow();
            if (_current is { } running)
            {
                // Bounded: should a program's account never close, the sandbox ends without it.
                await Task.WhenAny(running.Accounted, Task.Delay(KillDeadline, _options.TimeProvider));
            }

            killed = await ClearProcessesAsync(firstProcess: null);
            clean = await NamespacesSweep.RemoveAsync(_options, Id.Value);
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            LogEndFailed(failed, Id);
        }

        if (!killed || !clean)
        {
            LogLeftBehind(Id, killed, clean);
        }

        _onGone(this);
        await _ended.CancelAsync();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Sandbox {Sandbox}: {ViolationType} ({Severity}), action: {Action}")]
    private partial void LogViolation(SandboxId sandbox, string violationType, Severity severity, RuleAction action);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} lost its supervisor and is killed")]
    private partial void LogSupervisorLost(Exception exception, SandboxId sandbox);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} did not end cleanly")]
    private partial void LogEndFailed(Exception exception, SandboxId sandbox);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} left something behind (all processes ended: {Killed}, files and cgroup removed: {Clean}); a sweep will find it")]
    private partial void LogLeftBehind(SandboxId sandbox, bool killed, bool clean);
}
