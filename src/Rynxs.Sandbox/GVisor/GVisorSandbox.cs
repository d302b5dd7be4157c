using Microsoft.Extensions.Logging;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Egress;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
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
    private int _coldStartTold;
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
    private SandboxWayOut? _wayOut;
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

    /// <summary>Environment of programs before a request adds to it.</summary>
    internal IReadOnlyDictionary<string, string> BaseEnvironment => _spec.Egress is null
        ? OciBundle.BaseEnvironment
        : new Dictionary<string, string>([.. OciBundle.BaseEnvironment, .. GuestForwarder.Environment]);

    public string Platform => _platform;

    internal SandboxMonitor? Monitor => _monitor;

    internal string Directory => Path.Combine(_options.RunDirectory, Id.Value);

    /// <summary>Whether it ended or is about to.</summary>
    internal bool IsGone => _destroy is not null || _process is null || _process.HasEnded(0);

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
