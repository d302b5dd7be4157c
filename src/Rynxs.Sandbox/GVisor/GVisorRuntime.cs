using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Sandboxes of gVisor on this host, through the <c>runsc</c> command.</summary>
/// <remarks>One runtime per state at a time: it holds a lock on its run directory, so a sweep can never end a living process's sandboxes.</remarks>
public sealed partial class GVisorRuntime : ISandboxRuntime
{
    private readonly GVisorOptions _options;
    private readonly ImageStore _images;
    private readonly ILogger<GVisorRuntime> _logger;
    private readonly RunscCommand _runsc;
    private readonly ControlProbe _controls = new();
    private readonly ConcurrentDictionary<string, GVisorSandbox> _alive = new();
    private readonly SandboxMetrics _metrics;
    private readonly SemaphoreSlim _probing = new(1, 1);
    private readonly Lock _gate = new();
    private (string Version, string Deadline)? _probed;
    private int _lock = -1;
    private bool _disposed;

    /// <summary>Nothing on the host changes before the first sandbox or sweep.</summary>
    /// <param name="options">Where and how it runs.</param>
    /// <param name="images">Root filesystems, checked before each use.</param>
    /// <param name="logger">Told of violations and of what could not be removed.</param>
    /// <param name="meterFactory">Owner of the meter <c>Rynxs.Sandbox</c>; null counts nothing.</param>
    public GVisorRuntime(GVisorOptions options, ImageStore images, ILogger<GVisorRuntime> logger, IMeterFactory? meterFactory = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.StateKey.Length != 12 || !options.StateKey.All(char.IsAsciiHexDigitLower))
        {
            throw new ArgumentException("stateKey must be 12 lowercase hexadecimal digits", nameof(options));
        }

        const int longestRunDirectory = 60; // A control socket adds 38 bytes; the kernel takes 108.
        if (System.Text.Encoding.UTF8.GetByteCount(options.RunDirectory) > longestRunDirectory)
        {
            throw new ArgumentException($"runRoot {options.RunRoot} is too long for unix sockets below it", nameof(options));
        }

        _options = options;
        _images = images;
        _logger = logger;
        _runsc = new RunscCommand(options);
        _metrics = new SandboxMetrics(meterFactory, () => _alive.Values.Count(sandbox => !sandbox.IsReserve));
    }

    /// <inheritdoc/>
    public string Name => "gvisor";

    /// <summary>Shared with the other runtimes of a server: one meter counts all sandboxes.</summary>
    internal SandboxMetrics Metrics => _metrics;

    /// <inheritdoc/>
    public async Task<RuntimeProbe> ProbeAsync(CancellationToken cancellationToken)
    {
        try
        {
            (string version, _) = await EnsureProbedAsync(cancellationToken);
            return new RuntimeProbe(true, version, "a program ran, and another was killed at its deadline");
        }
        catch (Exception refused) when (refused is SandboxRefusedException or ImageException or SandboxStartException)
        {
            return new RuntimeProbe(false, "", refused.Message);
        }
    }

    /// <inheritdoc/>
    public async Task<ISandbox> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        RequestChecks.Check(spec);
        (string version, string deadline) = await EnsureProbedAsync(cancellationToken);
        long begin = _options.TimeProvider.GetTimestamp();
        try
        {
            await _images.VerifyAsync(spec.Image, cancellationToken);
        }
        catch (ImageException untrusted)
        {
            throw new SandboxRefusedException("image", untrusted.Message, untrusted);
        }

        (GVisorSandbox sandbox, TemplateCheckpoint? checkpoint) = await AcquireAsync(spec, cancellationToken);
        try
        {
            sandbox.Controls = checkpoint is null
                ? await _controls.ProbeAsync(sandbox, version, deadline, cancellationToken)
                : ControlProbe.WithOwn(sandbox, checkpoint.Controls, deadline);
            await sandbox.OpenEgressAsync(cancellationToken);
            sandbox.ColdStart = _options.TimeProvider.GetElapsedTime(begin);
            sandbox.Metrics = _metrics; // from here on, so that our own probes are not counted
            return sandbox;
        }
        catch
        {
            await sandbox.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<ISandbox> List() => [.. _alive.Values.Where(sandbox => !sandbox.IsReserve)];

    /// <inheritdoc/>
    public async Task<SweepReport> SweepAsync(CancellationToken cancellationToken)
    {
        TakeRunDirectory();
        return await Sweep.RunAsync(_options, _runsc, AliveIds(), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<Leftover>> FindLeftoversAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        bool othersLive = _lock < 0 && Directory.Exists(_options.RunDirectory) && IsHeldByAnother();
        return Task.FromResult(othersLive ? [] : Sweep.Find(_options, _runsc, AliveIds()));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _disposed = true;
        }

        await _stopping.CancelAsync();
        await _preparing;
        foreach (PreparedTemplate prepared in _templates)
        {
            await prepared.Pool.DisposeAsync();
        }

        await Task.WhenAll(_alive.Values.Select(sandbox => sandbox.DisposeAsync().AsTask()));
        foreach (PreparedTemplate prepared in _templates)
        {
            Directory.Delete(prepared.Checkpoint.Directory, recursive: true);
        }

        if (_runsc.Spawner is { } spawner)
        {
            await spawner.DisposeAsync();
        }

        await _watching;
        lock (_gate)
        {
            if (_lock >= 0)
            {
                Cgroups.SandboxCgroup.RemoveStateDirectory(_options.StateKey);
                // Removed while the lock is held; whoever opened the old file meanwhile notices that it is gone (TakeRunDirectory).
                Sweep.RemoveEmptyRunDirectory(_options, _runsc);
                _ = Libc.close(_lock);
                _lock = -1;
            }
        }
    }

    /// <summary>Ids of living sandboxes and names of checkpoints in use.</summary>
    private HashSet<string> AliveIds() => [.. _alive.Keys, .. _checkpoints.Keys];

    private Task<GVisorSandbox> StartAsync(SandboxSpec spec, CancellationToken cancellationToken) => StartAsync(spec, GVisorSandbox.StartPlainAsync, cancellationToken);

    private Task<GVisorSandbox> StartReserveAsync(SandboxSpec spec, Func<GVisorSandbox, CancellationToken, Task> start, CancellationToken cancellationToken) =>
        StartAsync(spec, (sandbox, token) =>
        {
            sandbox.IsReserve = true;
            return start(sandbox, token);
        }, cancellationToken);

    private async Task<GVisorSandbox> StartAsync(SandboxSpec spec, Func<GVisorSandbox, CancellationToken, Task> start, CancellationToken cancellationToken)
    {
        TakeRunDirectory();
        var id = new SandboxId("sb-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)));
        var sandbox = new GVisorSandbox(_options, _runsc, spec, id, _logger, gone => _alive.TryRemove(gone.Id.Value, out _));
        lock (_gate)
        {
            // Behind this a disposal sees the sandbox and ends it, even while it starts.
            ObjectDisposedException.ThrowIf(_disposed, this);
            _alive[id.Value] = sandbox;
        }

        try
        {
            await sandbox.StartAsync(start, cancellationToken);
            sandbox.IsDirect |= _controlSocketTried;
            return sandbox;
        }
        catch
        {
            await sandbox.DisposeAsync();
            throw;
        }
    }

    /// <summary>Once per process: runs a program, and kills one at its deadline.</summary>
    private async Task<(string Version, string Deadline)> EnsureProbedAsync(CancellationToken cancellationToken)
    {
        await _probing.WaitAsync(cancellationToken);
        try
        {
            if (_probed is { } known)
            {
                return known;
            }

            if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            {
                throw new SandboxRefusedException("runtime", "gVisor sandboxes need Linux on x86-64: the monitor's system call numbers are those of x86-64.");
            }

            if (Libc.geteuid() != 0)
            {
                throw new SandboxRefusedException("runtime", "gVisor sandboxes need root: cgroups, bind mounts and the workspace's owner.");
            }

            string version = await _runsc.VersionAsync(cancellationToken);
            ImageResolution image = await _images.ResolveAsync(ImageStore.BuiltInName, cancellationToken);
            await using GVisorSandbox sandbox = await StartAsync(new SandboxSpec { Owner = new SandboxOwner("rynxs", "probe"), Image = image.Image }, cancellationToken);
            ExecutionResult ran = await sandbox.ExecuteAsync(
                new ExecutionRequest { ExecutionId = "probe-run", Arguments = ["/bin/echo", "ready"], WorkingDirectory = "/" }, cancellationToken);
            if (ran.Reason != TerminationReason.Completed || !ran.StandardOutput.Span.SequenceEqual("ready\n"u8))
            {
                throw new SandboxRefusedException("runtime", $"A program in a sandbox ended with {ran.Reason} and code {ran.ExitCode}.");
            }

            ExecutionResult killed = await sandbox.ExecuteAsync(
                new ExecutionRequest { ExecutionId = "probe-deadline", Arguments = ["/bin/sleep", "30"], WorkingDirectory = "/", Timeout = TimeSpan.FromMilliseconds(300) }, cancellationToken);
            if (killed.Reason != TerminationReason.Timeout)
            {
                cancellationToken.ThrowIfCancellationRequested();
                throw new SandboxRefusedException("deadline", $"A program that should have been killed at its deadline ended with {killed.Reason}.");
            }

            _probed = (version, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"killed after {killed.Duration.TotalMilliseconds:F0} ms of 300"));
            return _probed.Value;
        }
        finally
        {
            _probing.Release();
        }
    }

    private void TakeRunDirectory()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_lock >= 0)
            {
                return;
            }

            int file = RunDirectoryLock.Take(_options, _runsc.Root);
            Libc.BecomeChildSubreaper();
            _lock = file;
            StartSpawner();
        }
    }

    private bool IsHeldByAnother() => RunDirectoryLock.IsHeldByAnother(_options);
}
