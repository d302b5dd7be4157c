using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Sandbox.GVisor;

/// <summary>The spawner, the templates and their pools.</summary>
public sealed partial class GVisorRuntime
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<string, bool> _checkpoints = new(StringComparer.Ordinal);
    private volatile IReadOnlyList<PreparedTemplate> _templates = [];
    private volatile bool _controlSocketTried;
    private Task _preparing = Task.CompletedTask;
    private Task _watching = Task.CompletedTask;

    /// <summary>What is kept ready, for <c>doctor</c>: name, ready, wanted; and why a template is not in use.</summary>
    public IReadOnlyList<PoolStatus> Pools { get; private set; } = [];

    /// <summary>
    /// Builds the templates and fills their pools, in the background. Until a template is ready, and where it cannot be built, sandboxes are started by the command line.
    /// </summary>
    public void StartPools()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_preparing.IsCompleted && _templates.Count == 0)
            {
                _preparing = Task.Run(PrepareAsync);
            }
        }
    }

    /// <summary>Completes when every template was built, or was found not to work.</summary>
    public Task PoolsPreparedAsync(CancellationToken cancellationToken) => _preparing.WaitAsync(cancellationToken);

    /// <summary>Completes when every pool is full.</summary>
    internal async Task PoolsFullAsync(CancellationToken cancellationToken)
    {
        await PoolsPreparedAsync(cancellationToken);
        await Task.WhenAll(_templates.Select(prepared => prepared.Pool.FullAsync(cancellationToken)));
    }

    /// <summary>Takes everything out of the pools, so that the next request meets them empty.</summary>
    internal async Task DrainPoolsAsync()
    {
        foreach (PreparedTemplate prepared in _templates)
        {
            while (prepared.Pool.TryTake() is { } slot)
            {
                await slot.DisposeAsync();
            }
        }
    }

    internal ISpawner? Spawner => _runsc.Spawner;

    /// <summary>What starts sandboxes, in plain words.</summary>
    public string SpawnerDescription => _runsc.Spawner?.Description ?? "not started yet";

    /// <summary>
    /// Tries every control anew, in a sandbox started by the command line and, where there is one, in a sandbox of each template. Nothing remembered is used.
    /// </summary>
    /// <exception cref="SandboxRefusedException">A control cannot be shown to work.</exception>
    public async Task<IReadOnlyList<ProbedControls>> ProbeControlsAsync(CancellationToken cancellationToken)
    {
        (_, string deadline) = await EnsureProbedAsync(cancellationToken);
        ImageDescriptor image = (await _images.ResolveAsync(ImageStore.BuiltInName, cancellationToken)).Image;
        var spec = new SandboxSpec { Owner = new SandboxOwner("rynxs", "probe"), Image = image };
        List<ProbedControls> probed = [];
        await using (GVisorSandbox plain = await StartReserveAsync(spec, GVisorSandbox.StartPlainAsync, cancellationToken))
        {
            probed.Add(new ProbedControls("plain", ControlProbe.WithOwn(plain, await ControlProbe.TryInsideAsync(plain, cancellationToken), deadline)));
        }

        foreach (PreparedTemplate prepared in _templates)
        {
            await using GVisorSandbox restored = await RestoreReserveAsync(prepared.Spec, prepared.Checkpoint, cancellationToken);
            restored.Start = SandboxStart.Restored;
            probed.Add(new ProbedControls(prepared.Template.Name, ControlProbe.WithOwn(restored, await ControlProbe.TryInsideAsync(restored, cancellationToken), deadline)));
        }

        return probed;
    }

    /// <summary>See <see cref="WarmPool.HoldRefill"/>.</summary>
    internal IDisposable HoldRefill() => _templates[0].Pool.HoldRefill();

    /// <summary>One from the first pool, still stopped, for a benchmark; the caller destroys it.</summary>
    internal GVisorSandbox? TakeReserve() => _templates[0].Pool.TryTake();

    internal TemplateCheckpoint Checkpoint() => _templates[0].Checkpoint;

    internal IReadOnlyList<GVisorSandbox> Reserves() => [.. _alive.Values.Where(sandbox => sandbox.IsReserve)];

    private async Task PrepareAsync()
    {
        List<PreparedTemplate> ready = [];
        List<PoolStatus> statuses = [];
        foreach (SandboxTemplate template in _options.Templates)
        {
            try
            {
                PreparedTemplate prepared = await PrepareAsync(template, _stopping.Token);
                ready.Add(prepared);
                statuses.Add(new PoolStatus(template.Name, () => prepared.Pool.Ready, () => prepared.Pool.Target, null));
                _templates = [.. ready];
                LogTemplateReady(template.Name);
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failed) when (failed is SandboxRefusedException or ImageException or SandboxStartException or IOException or UnauthorizedAccessException or ObjectDisposedException)
            {
                statuses.Add(new PoolStatus(template.Name, () => 0, () => 0, failed.Message));
                LogTemplateFailed(failed, template.Name);
            }

            Pools = [.. statuses];
        }
    }

    private async Task<PreparedTemplate> PrepareAsync(SandboxTemplate template, CancellationToken cancellationToken)
    {
        template.Check();
        await EnsureProbedAsync(cancellationToken);
        ImageDescriptor image = (await _images.ResolveAsync(ImageStore.BuiltInName, cancellationToken)).Image;
        string name = Sweep.CheckpointPrefix + Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(8));
        _checkpoints[name] = true;
        string directory = Path.Combine(_options.RunDirectory, name);
        var build = new TemplateBuild(_options, _runsc, StartReserveAsync);
        TemplateCheckpoint checkpoint;
        try
        {
            checkpoint = await build.RunAsync(template, image, directory, cancellationToken);
        }
        catch
        {
            _checkpoints.TryRemove(name, out _);
            if (Directory.Exists(directory))
            {
                Directory.Delete(directory, recursive: true);
            }

            throw;
        }

        _controlSocketTried = true;
        foreach (GVisorSandbox older in _alive.Values)
        {
            older.IsDirect = true; // agents' sandboxes that were there before
        }

        SandboxSpec spec = build.SpecOf(template, image);
        var pool = new WarmPool(
            template,
            token => RestoreReserveAsync(spec, checkpoint, token),
            async (slot, token) =>
            {
                slot.Adopt(spec);
                await ControlProbe.TryInsideAsync(slot, token);
            },
            _options.TimeProvider,
            _logger);
        return new PreparedTemplate(template, checkpoint, pool, spec);
    }

    private Task<GVisorSandbox> RestoreReserveAsync(SandboxSpec spec, TemplateCheckpoint checkpoint, CancellationToken cancellationToken) =>
        StartReserveAsync(spec, (sandbox, token) => GVisorSandbox.RestoreAsync(sandbox, checkpoint, token), cancellationToken);

    /// <summary>From the pool, else restored now, else by the command line.</summary>
    private async Task<(GVisorSandbox Sandbox, TemplateCheckpoint? Checkpoint)> AcquireAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        PreparedTemplate? prepared = _templates.FirstOrDefault(one => one.Template.Serves(spec, _options.DefaultPlatform, one.Checkpoint.Image.Digest) && one.Checkpoint.Image.Digest == spec.Image.Digest);
        if (prepared is null)
        {
            return (await StartAsync(spec, cancellationToken), null);
        }

        GVisorSandbox? slot = prepared.Pool.TryTake();
        SandboxStart start = slot is null ? SandboxStart.Restored : SandboxStart.Warm;
        try
        {
            if (slot is null)
            {
                using IDisposable alone = prepared.Pool.HoldRefill();
                slot = await RestoreReserveAsync(prepared.Spec, prepared.Checkpoint, cancellationToken);
            }
        }
        catch (ControlException failed)
        {
            throw new SandboxRefusedException("runtime", failed.Message, failed);
        }

        try
        {
            slot.Start = start;
            slot.Adopt(spec);
            return (slot, prepared.Checkpoint);
        }
        catch (Exception failed)
        {
            await slot.DisposeAsync();
            throw failed is IOException or UnauthorizedAccessException ? new SandboxRefusedException("limits", failed.Message, failed) : failed;
        }
    }

    /// <summary>Called with the run directory held.</summary>
    private void StartSpawner()
    {
        if (_options.SpawnerCommand is not { } command)
        {
            _runsc.Spawner = new LocalSpawner();
            return;
        }

        SpawnerProcess spawner = SpawnerProcess.Start(command, SandboxSpawner.ArgumentsOf(_options));
        _runsc.Spawner = spawner;
        _watching = WatchSpawnerAsync(spawner);
    }

    /// <summary>
    /// Without its spawner nobody would remove what we leave, and what it had started has lost its reaper: end all of it and begin with a new one.
    /// </summary>
    private async Task WatchSpawnerAsync(SpawnerProcess spawner)
    {
        await Task.WhenAny(spawner.Died, Task.Delay(Timeout.Infinite, _stopping.Token)).ConfigureAwait(false);
        if (_stopping.IsCancellationRequested)
        {
            return;
        }

        LogSpawnerDied(spawner.Pid);
        SpawnerProcess? next = null;
        try
        {
            next = SpawnerProcess.Start(_options.SpawnerCommand ?? [], SandboxSpawner.ArgumentsOf(_options));
            _runsc.Spawner = next;
        }
        catch (SandboxRefusedException failed)
        {
            // Sandboxes are refused from here on (a dead spawner starts nothing); the host must be looked at.
            LogNoSpawner(failed);
        }

        await Task.WhenAll(_alive.Values.Select(sandbox => sandbox.DisposeAsync().AsTask()));
        await spawner.DisposeAsync();
        if (next is not null)
        {
            await WatchSpawnerAsync(next);
        }
    }

    private sealed record PreparedTemplate(SandboxTemplate Template, TemplateCheckpoint Checkpoint, WarmPool Pool, SandboxSpec Spec);

    [LoggerMessage(Level = LogLevel.Information, Message = "Template {Template} is built and tried; its pool fills")]
    private partial void LogTemplateReady(string template);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Template {Template} cannot be used; sandboxes are started by the command line")]
    private partial void LogTemplateFailed(Exception exception, string template);

    [LoggerMessage(Level = LogLevel.Error, Message = "The spawner, process {Process}, died; every sandbox is ended and another spawner started")]
    private partial void LogSpawnerDied(int process);

    [LoggerMessage(Level = LogLevel.Critical, Message = "No spawner can be started; sandboxes are refused")]
    private partial void LogNoSpawner(Exception exception);
}

/// <summary>Controls as tried in one sandbox.</summary>
/// <param name="Sandbox"><c>plain</c>, or the name of a template.</param>
/// <param name="Controls">All of them.</param>
public sealed record ProbedControls(string Sandbox, IReadOnlyList<Rynxs.Ledger.Events.SandboxControl> Controls);

/// <summary>One pool as <c>doctor</c> shows it.</summary>
/// <param name="Template">Name.</param>
/// <param name="Ready">How many wait now.</param>
/// <param name="Target">How many should.</param>
/// <param name="Unusable">Why it is not in use; null when it is.</param>
public sealed record PoolStatus(string Template, Func<int> Ready, Func<int> Target, string? Unusable);
