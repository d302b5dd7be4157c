using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Namespaces;

namespace Rynxs.Sandbox;

/// <summary>The runtimes of a server: gVisor's unless a sandbox asks for another by name. Nothing is replaced by something weaker: a runtime that is not there refuses.</summary>
public sealed class SandboxTiers : ISandboxRuntime
{
    private readonly GVisorRuntime _gvisor;

    /// <param name="gvisor">The default.</param>
    /// <param name="namespaces">On the host's own kernel, for code that is trusted.</param>
    public SandboxTiers(GVisorRuntime gvisor, NamespacesRuntime namespaces)
    {
        ArgumentNullException.ThrowIfNull(gvisor);
        ArgumentNullException.ThrowIfNull(namespaces);
        _gvisor = gvisor;
        namespaces.Metrics = gvisor.Metrics;
        gvisor.Metrics.AlsoCount(() => namespaces.List().Count);
        Tiers = [gvisor, namespaces];
    }

    /// <inheritdoc/>
    public IReadOnlyList<ISandboxRuntime> Tiers { get; }

    /// <summary>Name of the default.</summary>
    public string Name => _gvisor.Name;

    /// <summary>Of the default; the others answer for themselves (<see cref="Tiers"/>).</summary>
    public Task<RuntimeProbe> ProbeAsync(CancellationToken cancellationToken) => _gvisor.ProbeAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<ISandbox> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ISandboxRuntime runtime = spec.Runtime is null ? _gvisor : Tiers.FirstOrDefault(tier => tier.Name == spec.Runtime)
            ?? throw new SandboxRefusedException("runtime", $"The runtime '{Violations.ViolationDetector.Sanitise(spec.Runtime)}' is not available on this server; available are {string.Join(", ", Tiers.Select(tier => tier.Name))}.");
        return runtime.CreateAsync(spec, cancellationToken);
    }

    /// <inheritdoc/>
    public IReadOnlyList<ISandbox> List() => [.. Tiers.SelectMany(tier => tier.List())];

    /// <inheritdoc/>
    public async Task<SweepReport> SweepAsync(CancellationToken cancellationToken)
    {
        var removed = new List<Leftover>();
        var failed = new List<Leftover>();
        foreach (ISandboxRuntime tier in Tiers)
        {
            SweepReport report = await tier.SweepAsync(cancellationToken);
            removed.AddRange(report.Removed);
            failed.AddRange(report.Failed);
        }

        return new SweepReport(removed, failed);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<Leftover>> FindLeftoversAsync(CancellationToken cancellationToken)
    {
        var found = new List<Leftover>();
        foreach (ISandboxRuntime tier in Tiers)
        {
            found.AddRange(await tier.FindLeftoversAsync(cancellationToken));
        }

        return found;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (ISandboxRuntime tier in Tiers.Reverse())
        {
            await tier.DisposeAsync();
        }
    }
}
