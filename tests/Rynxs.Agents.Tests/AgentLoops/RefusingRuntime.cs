using Rynxs.Resources.Meta;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Images;

namespace Rynxs.Agents.Tests.AgentLoops;

/// <summary>A host that can run no sandbox: what every agent meets on a machine without one.</summary>
internal sealed class RefusingRuntime : ISandboxRuntime
{
    public string Name => "gvisor";

    public static SandboxSpec Spec(NamespacedName agent) => new()
    {
        Owner = new SandboxOwner(agent.Namespace, agent.Name),
        Image = new ImageDescriptor("rynxs/base:bookworm", "sha256:00", "/nonexistent"),
    };

    public Task<RuntimeProbe> ProbeAsync(CancellationToken cancellationToken) => Task.FromResult(new RuntimeProbe(false, "", "no sandbox here"));

    public Task<ISandbox> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken) =>
        Task.FromException<ISandbox>(new SandboxRefusedException("runtime", "this host cannot run one"));

    public IReadOnlyList<ISandbox> List() => [];

    public Task<SweepReport> SweepAsync(CancellationToken cancellationToken) => Task.FromResult(new SweepReport([], []));

    public Task<IReadOnlyList<Leftover>> FindLeftoversAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<Leftover>>([]);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
