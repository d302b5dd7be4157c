using System.Collections.Concurrent;
using System.ComponentModel;
using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Seccomp;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>
/// Sandboxes of namespaces, cgroups and seccomp on the host's own kernel, through bubblewrap. Quick, and for code that is trusted: the kernel is shared, and its next hole is this tier's.
/// </summary>
/// <remarks>One runtime per state at a time: it holds a lock on its run directory, so a sweep can never end a living process's sandboxes.</remarks>
public sealed class NamespacesRuntime : ISandboxRuntime
{
    /// <summary>As reported in <c>runtime_used</c>.</summary>
    public const string RuntimeName = "namespaces";

    private const string UserNamespaces = "/proc/sys/user/max_user_namespaces";
    private static readonly TimeSpan VersionDeadline = TimeSpan.FromSeconds(10);

    private readonly NamespacesOptions _options;
    private readonly ImageStore _images;
    private readonly ILogger<NamespacesRuntime> _logger;
    private readonly NamespacesControls _controls = new();
    private readonly ConcurrentDictionary<string, NamespacesSandbox> _alive = new();
    private readonly ConcurrentDictionary<string, bool> _roots = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _mounting = new(1, 1);
    private readonly SemaphoreSlim _probing = new(1, 1);
    private readonly Lock _gate = new();
    private (string Version, string Deadline)? _probed;
    private int _lock = -1;
    private bool _disposed;

    /// <summary>Nothing on the host changes before the first sandbox or sweep.</summary>
    /// <param name="options">Where and how it runs.</param>
    /// <param name="images">Root filesystems, checked before each use.</param>
    /// <param name="logger">Told of violations and of what could not be removed.</param>
    public NamespacesRuntime(NamespacesOptions options, ImageStore images, ILogger<NamespacesRuntime> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.StateKey.Length != 12 || !options.StateKey.All(char.IsAsciiHexDigitLower))
        {
            throw new ArgumentException("stateKey must be 12 lowercase hexadecimal digits", nameof(options));
        }

        _options = options;
        _images = images;
        _logger = logger;
    }

    /// <inheritdoc/>
    public string Name => RuntimeName;

    /// <summary>Counts what it runs; null counts nothing.</summary>
    internal SandboxMetrics? Metrics { get; set; }

    /// <inheritdoc/>
    public async Task<RuntimeProbe> ProbeAsync(CancellationToken cancellationToken)
    {
        try
        {
            (string version, _) = await EnsureProbedAsync(cancellationToken);
            return new RuntimeProbe(true, version, "a program ran, and another was killed at its deadline; it shares the host's kernel");
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
        if (spec.Platform is not null)
        {
            throw new ArgumentException("platform is gvisor's: leave it out for namespaces");
        }

        if (spec.Egress is not null)
        {
            // Its network namespace has no way out; one that was asked for and is not there must not look like one.
            throw new SandboxRefusedException("network", $"The runtime namespaces has no way out; network '{spec.Egress.Mode}' needs gvisor.");
        }

        (_, string deadline) = await EnsureProbedAsync(cancellationToken);
        long begin = _options.TimeProvider.GetTimestamp();
        NamespacesSandbox sandbox = await StartAsync(spec, cancellationToken);
        try
        {
            sandbox.Controls = await _controls.ProbeAsync(sandbox, deadline, cancellationToken);
            sandbox.ColdStart = _options.TimeProvider.GetElapsedTime(begin);
            sandbox.Metrics = Metrics;
            return sandbox;
        }
        catch
        {
            await sandbox.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<ISandbox> List() => [.. _alive.Values];

    /// <inheritdoc/>
    public async Task<SweepReport> SweepAsync(CancellationToken cancellationToken)
    {
        if (_lock < 0 && !Directory.Exists(_options.RunDirectory) && SandboxCgroup.SandboxesOf(_options.Key).Count == 0)
        {
            return new SweepReport([], []); // a server that never uses this tier makes no directory for it
        }

        TakeRunDirectory();
        return await NamespacesSweep.RunAsync(_options, AliveNames(), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<Leftover>> FindLeftoversAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        bool othersLive = _lock < 0 && Directory.Exists(_options.RunDirectory) && RunDirectoryLock.IsHeldByAnother(_options.ForLock);
        return Task.FromResult(othersLive ? [] : NamespacesSweep.Find(_options, AliveNames()));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _disposed = true;
        }

        await Task.WhenAll(_alive.Values.Select(sandbox => sandbox.DestroyAsync()));
        foreach (string root in _roots.Keys)
        {
            await NamespacesSweep.RemoveAsync(_options, root);
        }

        lock (_gate)
        {
            if (_lock >= 0)
            {
                SandboxCgroup.RemoveStateDirectory(_options.Key);
                // Removed while the lock is held; whoever opened the old file meanwhile notices that it is gone.
                NamespacesSweep.RemoveEmptyRunDirectory(_options);
                _ = Libc.close(_lock);
                _lock = -1;
            }
        }
    }

    private HashSet<string> AliveNames() => [.. _alive.Keys, .. _roots.Keys];

    private async Task<NamespacesSandbox> StartAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        TakeRunDirectory();
        try
        {
            await _images.VerifyAsync(spec.Image, cancellationToken);
        }
        catch (ImageException untrusted)
        {
            throw new SandboxRefusedException("image", untrusted.Message, untrusted);
        }

        string root = await RootAsync(spec.Image, cancellationToken);
        SeccompArchitecture architecture = SeccompArchitecture.OfThisMachine ?? throw new SandboxRefusedException("runtime", "There is no table of system calls for this machine's architecture.");
        var id = new SandboxId("sb-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)));
        var sandbox = new NamespacesSandbox(_options, architecture, spec, id, _logger, gone => _alive.TryRemove(gone.Id.Value, out _));
        lock (_gate)
        {
            // Behind this a disposal sees the sandbox and ends it.
            ObjectDisposedException.ThrowIf(_disposed, this);
            _alive[id.Value] = sandbox;
        }

        try
        {
            sandbox.Begin(root);
            return sandbox;
        }
        catch
        {
            await sandbox.DisposeAsync();
            throw;
        }
    }

    /// <summary>Where an image is mounted for as long as this runtime lives.</summary>
    private async Task<string> RootAsync(ImageDescriptor image, CancellationToken cancellationToken)
    {
        string root = SandboxMounts.RootOf(_options.RunDirectory, image);
        await _mounting.WaitAsync(cancellationToken);
        try
        {
            if (!_roots.ContainsKey(Path.GetFileName(root)))
            {
                await SandboxMounts.MountRootAsync(root, image, cancellationToken);
                _roots[Path.GetFileName(root)] = true;
            }

            return root;
        }
        finally
        {
            _mounting.Release();
        }
    }

    /// <summary>Once per process: says in plain words what is missing, runs a program, and kills one at its deadline.</summary>
    private async Task<(string Version, string Deadline)> EnsureProbedAsync(CancellationToken cancellationToken)
    {
        await _probing.WaitAsync(cancellationToken);
        try
        {
            if (_probed is { } known)
            {
                return known;
            }

            RequireHost();
            string version = await VersionAsync(cancellationToken);
            ImageResolution image = await _images.ResolveAsync(ImageStore.BuiltInName, cancellationToken);
            await using NamespacesSandbox sandbox = await StartAsync(new SandboxSpec { Owner = new SandboxOwner("rynxs", "probe"), Image = image.Image }, cancellationToken);
            ExecutionResult ran;
            try
            {
                ran = await sandbox.ExecuteAsync(new ExecutionRequest { ExecutionId = "probe-run", Arguments = ["/bin/echo", "ready"], WorkingDirectory = "/" }, cancellationToken);
            }
            catch (SandboxStartException notStarted)
            {
                throw new SandboxRefusedException("runtime", notStarted.Message, notStarted);
            }

            if (ran.Reason != TerminationReason.Completed || !ran.StandardOutput.Span.SequenceEqual("ready\n"u8))
            {
                cancellationToken.ThrowIfCancellationRequested();
                throw new SandboxRefusedException("runtime", $"A program in a sandbox ended with {ran.Reason} and code {ran.ExitCode}.");
            }

            ExecutionResult killed = await sandbox.ExecuteAsync(
                new ExecutionRequest { ExecutionId = "probe-deadline", Arguments = ["/bin/sleep", "30"], WorkingDirectory = "/", Timeout = TimeSpan.FromMilliseconds(300) }, cancellationToken);
            if (killed.Reason != TerminationReason.Timeout)
            {
                cancellationToken.ThrowIfCancellationRequested();
                throw new SandboxRefusedException("deadline", $"A program that should have been killed at its deadline ended with {killed.Reason}.");
            }

            _probed = (version, string.Create(CultureInfo.InvariantCulture, $"killed after {killed.Duration.TotalMilliseconds:F0} ms of 300"));
            return _probed.Value;
        }
        finally
        {
            _probing.Release();
        }
    }

    private static void RequireHost()
    {
        if (!OperatingSystem.IsLinux() || SeccompArchitecture.OfThisMachine is null)
        {
            throw new SandboxRefusedException("runtime", "Sandboxes of namespaces need Linux on x86-64 or arm64.");
        }

        if (Libc.geteuid() != 0)
        {
            throw new SandboxRefusedException("runtime", "Sandboxes of namespaces need root: cgroups, mounts and the workspace's owner.");
        }

        string most = File.Exists(UserNamespaces) ? File.ReadAllText(UserNamespaces).Trim() : "0";
        const string onDebian = "/proc/sys/kernel/unprivileged_userns_clone";
        if (most == "0" || (File.Exists(onDebian) && File.ReadAllText(onDebian).Trim() == "0"))
        {
            throw new SandboxRefusedException("runtime", "User namespaces are switched off on this host (user.max_user_namespaces, kernel.unprivileged_userns_clone): sandboxes of namespaces cannot be made.");
        }
    }

    private async Task<string> VersionAsync(CancellationToken cancellationToken)
    {
        try
        {
            ChildProcess version = ChildProcess.Start([_options.BubblewrapPath, "--version"], 4096);
            int code = await version.Exited.WaitAsync(VersionDeadline, _options.TimeProvider, cancellationToken);
            return code == 0 ? version.Output.Text.Trim() : throw new SandboxRefusedException("runtime", $"{_options.BubblewrapPath} does not run: {RunscCommand.Bounded(version.Error.Text)}");
        }
        catch (Win32Exception missing)
        {
            throw new SandboxRefusedException("runtime", $"bubblewrap is not here ({_options.BubblewrapPath}: {missing.Message}). Install the package bubblewrap.", missing);
        }
        catch (TimeoutException silent)
        {
            throw new SandboxRefusedException("runtime", $"{_options.BubblewrapPath} --version does not answer.", silent);
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

            int file = RunDirectoryLock.Take(_options.ForLock, _options.RunDirectory);
            Libc.BecomeChildSubreaper();
            _lock = file;
        }
    }
}
