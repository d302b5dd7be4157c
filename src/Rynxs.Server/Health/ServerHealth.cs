using Rynxs.Gateway.Inference;
using Rynxs.Ledger;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Sandbox;
using Rynxs.Server.State;

namespace Rynxs.Server.Health;

/// <summary>
/// Whether the parts work, by trying them. Answers are remembered for a short while: these endpoints are open, and a flood of questions
/// must not become a flood of sandboxes or disk writes.
/// </summary>
internal sealed class ServerHealth(
    StateDirectory state, ILedgerChain control, ResourceStore store, ISandboxRuntime runtime, TimeProvider timeProvider, LedgerHealth ledger, InferenceGateway gateway,
    Func<CancellationToken, Task<ReadinessCheck>> checkEgress) : IDisposable
{
    private static readonly TimeSpan StorageAge = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan ProbeAge = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan StorePatience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _probing = new(1, 1);
    private readonly SemaphoreSlim _checking = new(1, 1);
    private readonly Dictionary<string, (RuntimeProbe Probe, long At)> _tiers = new(StringComparer.Ordinal);
    private (RuntimeProbe Probe, long At)? _probe;
    private (IReadOnlyList<ReadinessCheck> Checks, long At)? _storage;

    /// <summary>The last answer of a real run in a real sandbox, at most a minute old.</summary>
    public async Task<RuntimeProbe> ProbeAsync(CancellationToken cancellationToken)
    {
        if (_probe is { } fresh && timeProvider.GetElapsedTime(fresh.At) < ProbeAge)
        {
            return fresh.Probe;
        }

        await _probing.WaitAsync(cancellationToken);
        try
        {
            if (_probe is { } known && timeProvider.GetElapsedTime(known.At) < ProbeAge)
            {
                return known.Probe;
            }

            RuntimeProbe probe = await runtime.ProbeAsync(cancellationToken);
            _probe = (probe, timeProvider.GetTimestamp());
            return probe;
        }
        finally
        {
            _probing.Release();
        }
    }

    /// <summary>Names of the runtimes in which a program ran, at most a minute ago, the default first.</summary>
    public async Task<IReadOnlyList<string>> RuntimesAvailableAsync(CancellationToken cancellationToken)
    {
        List<string> available = (await ProbeAsync(cancellationToken)).Available ? [runtime.Name] : [];
        foreach (ISandboxRuntime tier in runtime.Tiers.Where(tier => tier.Name != runtime.Name))
        {
            // What a runtime found once, it remembers: this costs no sandbox each time.
            if ((await ProbeTierAsync(tier, cancellationToken)).Available)
            {
                available.Add(tier.Name);
            }
        }

        return available;
    }

    /// <summary>Every check of /readyz.</summary>
    public async Task<ReadinessResponse> CheckAsync(CancellationToken cancellationToken)
    {
        RuntimeProbe probe = await ProbeAsync(cancellationToken);
        IReadOnlyList<ReadinessCheck> checks = [.. await CheckStorageAsync(cancellationToken), new ReadinessCheck("sandbox_runtime", probe.Available, probe.Available ? probe.Version : probe.Detail)];
        return new ReadinessResponse(checks.All(check => check.Ok) ? "ready" : "not_ready", checks);
    }

    public void Dispose()
    {
        _probing.Dispose();
        _checking.Dispose();
    }

    private async Task<RuntimeProbe> ProbeTierAsync(ISandboxRuntime tier, CancellationToken cancellationToken)
    {
        await _probing.WaitAsync(cancellationToken);
        try
        {
            if (_tiers.TryGetValue(tier.Name, out (RuntimeProbe Probe, long At) known) && timeProvider.GetElapsedTime(known.At) < ProbeAge)
            {
                return known.Probe;
            }

            RuntimeProbe probe = await tier.ProbeAsync(cancellationToken);
            _tiers[tier.Name] = (probe, timeProvider.GetTimestamp());
            return probe;
        }
        finally
        {
            _probing.Release();
        }
    }

    private async Task<IReadOnlyList<ReadinessCheck>> CheckStorageAsync(CancellationToken cancellationToken)
    {
        await _checking.WaitAsync(cancellationToken);
        try
        {
            if (_storage is { } fresh && timeProvider.GetElapsedTime(fresh.At) < StorageAge)
            {
                return fresh.Checks;
            }

            IReadOnlyList<ReadinessCheck> checks =
                [CheckLedger(), ledger.Evidence(), await CheckObjectsAsync(cancellationToken), await checkEgress(cancellationToken), CheckGateway()];
            _storage = (checks, timeProvider.GetTimestamp());
            return checks;
        }
        finally
        {
            _checking.Release();
        }
    }

    /// <summary>The way to models refuses everything once its spool cannot be written.</summary>
    private ReadinessCheck CheckGateway() =>
        new("gateway", gateway.Failure is null, gateway.Failure is null ? $"{gateway.WaitingRecords} records wait" : "The gateway's spool cannot be written; calls of models are refused.");

    private async Task<ReadinessCheck> CheckObjectsAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(StorePatience);
        try
        {
            await store.CheckWritableAsync(patience.Token);
            return new ReadinessCheck("objects", true, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"version {store.CurrentVersion}"));
        }
        catch (ResourceException exception)
        {
            return new ReadinessCheck("objects", false, exception.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new ReadinessCheck("objects", false, $"No write could begin within {StorePatience.TotalSeconds:0} s.");
        }
    }

    private ReadinessCheck CheckLedger()
    {
        string path = Path.Combine(state.Path, "ledger.probe");
        try
        {
            // A durable write beside the ledger: a full or read-only disk shows here before it refuses an append.
            StateDirectory.WriteAtomically(path, "ok"u8);
            File.Delete(path);
            return ledger.Writable() ?? new ReadinessCheck("ledger", true, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"control head {control.Head.Seq}"));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return new ReadinessCheck("ledger", false, "The state directory cannot be written.");
        }
    }
}

/// <summary>One part.</summary>
internal sealed record ReadinessCheck(string Name, bool Ok, string Detail);

/// <summary>GET /readyz.</summary>
internal sealed record ReadinessResponse(string Status, IReadOnlyList<ReadinessCheck> Checks);

/// <summary>GET /health: the seed's JSON.</summary>
internal sealed record HealthResponse(
    string Status, string Service, string Version, string ConstitutionalHash, IReadOnlyList<string> RuntimesAvailable, int ActiveSandboxes);
