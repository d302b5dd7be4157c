using System.Diagnostics;
using Rynxs.Sandbox.GVisor;

namespace Rynxs.Sandbox.Tests;

/// <summary>Nothing stays on the host, however a sandbox or its owner ends.</summary>
public sealed class LeftoverTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Killed_owner_leaves_nothing_after_a_sweep_and_other_states_are_untouched()
    {
        await using ISandbox bystander = await host.NewSandboxAsync();
        using var agent = new AgentDirectory();
        string key = SandboxHost.NewStateKey();
        using Process owner = await OwnerProcess.StartAsync(key, agent.Files, hasSpawner: false, Token);
        HostTraces(key).ShouldNotBeEmpty("positive control: the owner's sandboxes are visible on the host");

        owner.Kill();
        await owner.WaitForExitAsync(Token);
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(key);
        (await runtime.FindLeftoversAsync(Token)).ShouldNotBeEmpty();
        SweepReport report = await runtime.SweepAsync(Token);

        report.Removed.ShouldNotBeEmpty();
        report.Failed.ShouldBeEmpty();
        (await runtime.FindLeftoversAsync(Token)).ShouldBeEmpty();
        HostTraces(key).ShouldBeEmpty();
        (await bystander.ShellAsync("echo alive")).Out().ShouldBe("alive\n");
    }

    [Fact]
    public async Task Killed_owner_takes_its_programs_with_it_without_any_sweep()
    {
        host.SkipUnlessAvailable();
        using var agent = new AgentDirectory();
        string key = SandboxHost.NewStateKey();
        using Process owner = await OwnerProcess.StartAsync(key, agent.Files, hasSpawner: false, Token);

        owner.Kill();
        await owner.WaitForExitAsync(Token);

        var clock = Stopwatch.StartNew();
        while (Programs(key).Count > 0 && clock.Elapsed < TimeSpan.FromSeconds(15))
        {
            await Task.Delay(50, Token);
        }

        Programs(key).ShouldBeEmpty("the idle first process sees end of file and ends the sandbox");
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(key);
        (await runtime.SweepAsync(Token)).Failed.ShouldBeEmpty();
    }

    [Fact]
    public async Task Destroying_is_idempotent_races_safely_and_leaves_nothing()
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        await using (GVisorRuntime runtime = SandboxHost.NewRuntime(key))
        {
            ISandbox sandbox = await runtime.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("tests", "race"), Image = host.Image }, Token);
            runtime.List().ShouldBe([sandbox]);
            Task<ExecutionResult> running = sandbox.ShellAsync("sleep 30");
            await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => sandbox.DisposeAsync().AsTask(), Token)));
            await sandbox.DisposeAsync();
            await Should.NotThrowAsync(() => running.ContinueWith(_ => { }, Token, TaskContinuationOptions.None, TaskScheduler.Default));
            runtime.List().ShouldBeEmpty();
            (await runtime.FindLeftoversAsync(Token)).ShouldBeEmpty();
        }

        HostTraces(key).ShouldBeEmpty();
    }

    [Fact]
    public async Task Destroyed_and_killed_sandboxes_leave_no_zombies()
    {
        await using ISandbox first = await host.NewSandboxAsync();
        await using ISandbox second = await host.NewSandboxAsync();
        // Only their own: other tests kill whole owner processes, whose orphans become ours and are nobody's to reap.
        HashSet<string> sessions = [.. ((ISandbox[])[first, second]).SelectMany(sandbox => Processes.ProcessGroupEnd.SessionsOf(((GVisorSandbox)sandbox).Cgroup)).Select(session => $" {session} ")];
        sessions.ShouldNotBeEmpty();
        (await first.ShellAsync("sleep 30", seconds: 1)).Reason.ShouldBe(TerminationReason.Timeout);
        await second.ShellAsync("for i in $(seq 20); do /bin/true & done; wait");
        var clock = Stopwatch.StartNew();
        await second.DisposeAsync();

        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(4), "runsc waits five seconds for a zombie");
        Zombies().Where(stat => sessions.Any(session => stat.Contains(session, StringComparison.Ordinal))).ShouldBeEmpty();
    }

    [Fact]
    public async Task Second_runtime_of_a_live_state_is_refused_and_sees_no_leftovers()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        await using GVisorRuntime second = SandboxHost.NewRuntime(host.StateKey);

        (await Should.ThrowAsync<SandboxRefusedException>(() => second.SweepAsync(Token))).Message.ShouldContain("another process");
        (await second.FindLeftoversAsync(Token)).ShouldBeEmpty();
        (await sandbox.ShellAsync("echo alive")).Out().ShouldBe("alive\n");
    }

    [Fact]
    public async Task Missing_runsc_refuses_sandboxes_with_the_reason()
    {
        host.SkipUnlessAvailable();
        await using var runtime = new GVisorRuntime(
            new GVisorOptions { StateKey = SandboxHost.NewStateKey(), RunscPath = "/no/runsc" }, SandboxHost.Images(), Microsoft.Extensions.Logging.Abstractions.NullLogger<GVisorRuntime>.Instance);

        RuntimeProbe probe = await runtime.ProbeAsync(Token);
        probe.Available.ShouldBeFalse();
        probe.Detail.ShouldContain("/no/runsc");
        await Should.ThrowAsync<SandboxRefusedException>(() => runtime.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("a", "b"), Image = host.Image }, Token));
    }

    private static List<string> Zombies() =>
        [.. Directory.EnumerateDirectories("/proc").Where(directory => int.TryParse(Path.GetFileName(directory), out _)).Select(directory =>
        {
            try
            {
                return File.ReadAllText(directory + "/stat");
            }
            catch (IOException)
            {
                return "";
            }
        }).Where(stat => stat.Contains($") Z {Environment.ProcessId} ", StringComparison.Ordinal))];

    internal static List<string> Programs(string key) =>
        [.. Directory.EnumerateDirectories("/proc").Where(directory => int.TryParse(Path.GetFileName(directory), out _)).Where(directory =>
        {
            try
            {
                return File.ReadAllText(directory + "/cmdline").Contains($"/run/rynxs/{key}/", StringComparison.Ordinal)
                    && !File.ReadAllText(directory + "/status").Contains("State:\tZ", StringComparison.Ordinal);
            }
            catch (IOException)
            {
                return false;
            }
        })];

    /// <summary>Looks for itself, not through the runtime: processes, cgroups, mounts, files and sockets that carry the state's key.</summary>
    internal static List<string> HostTraces(string key)
    {
        List<string> traces = Programs(key);
        traces.AddRange(Directory.EnumerateDirectories("/sys/fs/cgroup").Select(hierarchy => $"{hierarchy}/rynxs/{key}").Where(Directory.Exists)
            .SelectMany(Directory.EnumerateDirectories));
        traces.AddRange(File.ReadLines("/proc/mounts").Where(line => line.Contains(key, StringComparison.Ordinal)));
        traces.AddRange(File.ReadLines("/proc/net/unix").Where(line => line.Contains(key, StringComparison.Ordinal)));
        string run = "/run/rynxs/" + key;
        if (Directory.Exists(run))
        {
            traces.AddRange(Directory.EnumerateFileSystemEntries(run, "*", SearchOption.AllDirectories).Where(entry => Path.GetFileName(entry) is not ("lock" or "spawner.lock" or "r")));
        }

        return traces;
    }
}
