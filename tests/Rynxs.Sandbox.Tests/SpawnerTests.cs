using System.Diagnostics;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Sandbox.Tests;

/// <summary>The spawner, and what is left when it or its owner is killed.</summary>
public sealed class SpawnerTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Killed_owner_with_programs_and_a_full_pool_leaves_nothing_and_nobody_sweeps()
    {
        host.SkipUnlessAvailable();
        using var agent = new AgentDirectory();
        string key = SandboxHost.NewStateKey();
        using Process owner = await OwnerProcess.StartAsync(key, agent.Files, hasSpawner: true, Token);
        LeftoverTests.Programs(key).ShouldNotBeEmpty("positive control");
        Directory.EnumerateDirectories("/run/rynxs/" + key, "img-*").ShouldNotBeEmpty("positive control: a template was built");

        owner.Kill();
        await owner.WaitForExitAsync(Token);

        await EventuallyAsync(() => LeftoverTests.HostTraces(key).Count == 0 && !Directory.Exists("/run/rynxs/" + key), () => string.Join('\n', LeftoverTests.HostTraces(key)));
        Directory.EnumerateDirectories("/sys/fs/cgroup").Select(hierarchy => $"{hierarchy}/rynxs/{key}").Where(Directory.Exists).ShouldBeEmpty();
        File.Exists(Path.Combine(agent.Root, "inbox.jsonl")).ShouldBeTrue("what was mounted stays");
    }

    [Fact]
    public async Task Next_owner_waits_for_the_spawner_of_the_last_and_begins_clean()
    {
        host.SkipUnlessAvailable();
        using var agent = new AgentDirectory();
        string key = SandboxHost.NewStateKey();
        using Process owner = await OwnerProcess.StartAsync(key, agent.Files, hasSpawner: true, Token);
        owner.Kill();
        await owner.WaitForExitAsync(Token);

        await using GVisorRuntime next = SandboxHost.NewRuntime(key);
        (await next.SweepAsync(Token)).Failed.ShouldBeEmpty();

        LeftoverTests.HostTraces(key).Where(trace => !trace.Contains("spawner", StringComparison.Ordinal)).ShouldBeEmpty();
        await using ISandbox sandbox = await next.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("tests", "next"), Image = host.Image }, Token);
        (await sandbox.ShellAsync("echo works")).Out().ShouldBe("works\n");
    }

    [Fact]
    public async Task Killed_spawner_ends_every_sandbox_and_another_takes_its_place()
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(key, new SandboxTemplate { Name = "t", Size = 1, Ceiling = 1 });
        runtime.StartPools();
        await runtime.PoolsFullAsync(Token);
        var spec = new SandboxSpec { Owner = new SandboxOwner("tests", "orphan"), Image = host.Image };
        ISandbox sandbox = await runtime.CreateAsync(spec, Token);
        var first = (SpawnerProcess)(runtime.Spawner ?? throw new InvalidOperationException("it has started sandboxes"));

        Process.GetProcessById(first.Pid).Kill();

        await EventuallyAsync(() => sandbox.Ended.IsCancellationRequested && runtime.Spawner != first, () => "the sandbox lives or no other spawner came");
        await EventuallyAsync(() => Directory.EnumerateDirectories("/run/rynxs/" + key, sandbox.Id.Value).FirstOrDefault() is null, () => "its directory is there");
        await using ISandbox again = await runtime.CreateAsync(spec, Token);
        (await again.ShellAsync("echo works")).Out().ShouldBe("works\n");
    }

    [Fact]
    public async Task Disposed_runtime_leaves_no_spawner_no_pool_and_no_directory()
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        int spawner;
        await using (GVisorRuntime runtime = SandboxHost.NewRuntime(key, new SandboxTemplate { Name = "t", Size = 2, Ceiling = 2 }))
        {
            runtime.StartPools();
            await runtime.PoolsFullAsync(Token);
            spawner = ((SpawnerProcess)(runtime.Spawner ?? throw new InvalidOperationException("it has started sandboxes"))).Pid;
            Directory.Exists($"/proc/{spawner}").ShouldBeTrue("positive control");
            runtime.List().ShouldBeEmpty("what waits in a pool is nobody's sandbox");
            (await runtime.FindLeftoversAsync(Token)).ShouldBeEmpty("nor left over");
        }

        LeftoverTests.HostTraces(key).ShouldBeEmpty();
        Directory.Exists($"/proc/{spawner}").ShouldBeFalse();
        Directory.Exists("/run/rynxs/" + key).ShouldBeFalse();
    }

    private static async Task EventuallyAsync(Func<bool> holds, Func<string> otherwise)
    {
        var clock = Stopwatch.StartNew();
        while (!holds())
        {
            clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20), otherwise());
            await Task.Delay(20, Token);
        }
    }
}
