using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Namespaces;

namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>One real runtime for the tests of this tier, in a state of its own; skips where the host cannot run it.</summary>
public sealed class NamespacesHost : IAsyncLifetime
{
    private string? _unavailable;

    public NamespacesRuntime Runtime { get; } = NewRuntime(SandboxHost.NewStateKey());

    public ImageDescriptor Image { get; private set; } = null!; // set before any test that asks for a sandbox

    public static NamespacesRuntime NewRuntime(string stateKey, string bubblewrap = "bwrap") =>
        new(new NamespacesOptions { StateKey = stateKey, BubblewrapPath = bubblewrap }, SandboxHost.Images(), NullLogger<NamespacesRuntime>.Instance);

    public async ValueTask InitializeAsync()
    {
        if (Environment.GetEnvironmentVariable(NamespacesOwner.Variable) is not null)
        {
            return;
        }

        try
        {
            Image = await SandboxHost.Images().EnsureBuiltInAsync(null, CancellationToken.None);
        }
        catch (ImageException missing)
        {
            _unavailable = missing.Message;
            return;
        }

        RuntimeProbe probe = await Runtime.ProbeAsync(CancellationToken.None);
        _unavailable = probe.Available ? null : probe.Detail;
    }

    public async ValueTask DisposeAsync() => await Runtime.DisposeAsync();

    public void SkipUnlessAvailable() => Assert.SkipUnless(_unavailable is null, _unavailable ?? "");

    public async Task<ISandbox> NewSandboxAsync(string? workspace = null, SandboxLimits? limits = null, long workspaceBytes = 64L << 20)
    {
        SkipUnlessAvailable();
        return await Runtime.CreateAsync(new SandboxSpec
        {
            Owner = new SandboxOwner("tests", "tester"),
            Image = Image,
            WorkspaceDirectory = workspace,
            WorkspaceBytes = workspaceBytes,
            Limits = limits ?? new SandboxLimits(),
        }, TestContext.Current.CancellationToken);
    }
}

/// <summary>The tests of this tier share one runtime.</summary>
[CollectionDefinition(Name)]
public sealed class NamespacesTests : ICollectionFixture<NamespacesHost>
{
    public const string Name = "namespaces tier";
}
