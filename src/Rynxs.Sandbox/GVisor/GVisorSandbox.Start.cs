using System.Globalization;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Egress;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>How it comes up: by the command line, as a template, or as a copy of one; and how it leaves the pool.</summary>
internal sealed partial class GVisorSandbox
{
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
            await sandbox._runsc.RunAsync(sandbox.Id.Value, sandbox._platform, sandbox.Directory, theirs, sandbox._wayOut is not null, cancellationToken);
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
        await sandbox.Control.CreateLoopbackAsync(cancellationToken);
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
            await sandbox.Control.CreateLoopbackAsync(cancellationToken);
            await sandbox.Control.RestoreAsync(images, cancellationToken);
        }
        finally
        {
            Array.ForEach(images, image => Libc.close(image));
        }

        await spare.SeedAsync(mark, cancellationToken);
        spare.AwaitEnd(sandbox.Control);
        await sandbox.RequireTraceAsync(cancellationToken);
        sandbox.IsDirect = true;
        if (sandbox._wayOut is { } wayOut)
        {
            await wayOut.StartForwarderAsync(sandbox.Control, cancellationToken);
        }
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

    /// <summary>Connects it to whoever serves its way out, and replaces what <see cref="Controls"/> say of the network by what was tried through it.</summary>
    /// <exception cref="SandboxRefusedException">It cannot be had, or cannot be shown to hold.</exception>
    public async Task OpenEgressAsync(CancellationToken cancellationToken)
    {
        if (_spec.Egress is { } egress)
        {
            SandboxWayOut wayOut = _wayOut ?? throw new InvalidOperationException("a sandbox with egress is made with its way out");
            SandboxControl network = await wayOut.OpenAsync(this, egress, cancellationToken);
            Controls = [network, .. Controls.Where(control => control.Control != network.Control)];
        }
    }

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

        if (_spec.Egress is not null)
        {
            _wayOut = new SandboxWayOut(Directory);
            _wayOut.Prepare();
        }

        await File.WriteAllTextAsync(
            Path.Combine(Directory, "config.json"), OciBundle.Configuration(_spec, _platform, root, Cgroup.Path, withAgent, _wayOut?.HostDirectory).ToJsonString(), cancellationToken);
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
        await _runsc.CreateAsync(Id.Value, _platform, Directory, isWatched, (pipes.Theirs[0], pipes.Theirs[1], pipes.Theirs[2]), cgroup, _wayOut is not null, cancellationToken);
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
}
