using System.Diagnostics;
using Rynxs.Sandbox.Namespaces;

namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>Nothing stays on the host, however a sandbox or its owner ends.</summary>
[Collection(NamespacesTests.Name)]
public sealed class NamespacesLeftoverTests(NamespacesHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_killed_owner_takes_its_programs_with_it_and_a_sweep_removes_the_rest_of_its_state_only()
    {
        host.SkipUnlessAvailable();
        await using ISandbox bystander = await host.NewSandboxAsync();
        using var agent = new AgentDirectory();
        File.WriteAllText(Path.Combine(agent.Files, "kept"), "kept");
        string key = SandboxHost.NewStateKey();
        using Process owner = await NamespacesOwner.StartAsync(key, agent.Files, Token);
        HostTraces(key).ShouldNotBeEmpty("positive control: the owner's sandboxes are visible on the host");
        Processes(key).ShouldNotBeEmpty();

        owner.Kill();
        await owner.WaitForExitAsync(Token);

        var clock = Stopwatch.StartNew();
        while (Processes(key).Count > 0 && clock.Elapsed < TimeSpan.FromSeconds(10))
        {
            await Task.Delay(10, Token);
        }

        Processes(key).ShouldBeEmpty("the starter dies with us, the namespace with the starter, before any sweep");
        await using NamespacesRuntime runtime = NamespacesHost.NewRuntime(key);
        (await runtime.FindLeftoversAsync(Token)).ShouldNotBeEmpty();
        SweepReport report = await runtime.SweepAsync(Token);
        (report.Removed.Count > 0, report.Failed.Count).ShouldBe((true, 0));
        HostTraces(key).ShouldBeEmpty();
        File.ReadAllText(Path.Combine(agent.Files, "kept")).ShouldBe("kept", "a workspace is unmounted, never deleted");
        (await bystander.ShellAsync("echo alive")).Out().ShouldBe("alive\n");
    }

    [Fact]
    public async Task Destroying_is_idempotent_races_safely_and_leaves_nothing()
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        using var agent = new AgentDirectory();
        await using (NamespacesRuntime runtime = NamespacesHost.NewRuntime(key))
        {
            ISandbox sandbox = await runtime.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("tests", "race"), Image = host.Image, WorkspaceDirectory = agent.Files }, Token);
            runtime.List().ShouldBe([sandbox]);
            var began = new TaskCompletionSource();
            Task<ExecutionResult> running = sandbox.ExecuteAsync(
                new ExecutionRequest { ExecutionId = "r", Arguments = ["/bin/bash", "-c", "echo on; sleep 30"], OnOutput = _ => began.TrySetResult() }, Token);
            await began.Task;
            await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => sandbox.DisposeAsync().AsTask(), Token)));
            (await running).Reason.ShouldBe(TerminationReason.Cancelled);
            runtime.List().ShouldBeEmpty();
            (await runtime.FindLeftoversAsync(Token)).ShouldBeEmpty();
        }

        HostTraces(key).ShouldBeEmpty();
        Directory.Exists("/run/rynxs/" + key + "n").ShouldBeFalse();
    }

    [Fact]
    public async Task A_second_runtime_of_a_live_state_is_refused()
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        await using NamespacesRuntime first = NamespacesHost.NewRuntime(key);
        await first.SweepAsync(Token);
        Directory.Exists("/run/rynxs/" + key + "n").ShouldBeFalse("a sweep of nothing makes nothing");
        await using ISandbox living = await first.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("tests", "first"), Image = host.Image }, Token);
        await using NamespacesRuntime second = NamespacesHost.NewRuntime(key);

        (await Should.ThrowAsync<SandboxRefusedException>(() => second.SweepAsync(Token))).Message.ShouldContain("another process");
        (await second.FindLeftoversAsync(Token)).ShouldBeEmpty();
        (await living.ShellAsync("echo alive")).Out().ShouldBe("alive\n");
    }

    [Fact]
    public async Task Sandboxes_run_beside_each_other_and_none_is_lost()
    {
        host.SkipUnlessAvailable();
        await using ISandbox one = await host.NewSandboxAsync();
        await using ISandbox two = await host.NewSandboxAsync();
        int rounds = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 200 : 6;
        for (int i = 0; i < rounds; i++)
        {
            ExecutionResult[] results = await Task.WhenAll(one.ShellAsync($"echo one {i}; echo $$ > f"), two.ShellAsync($"echo two {i}; ls"));
            results.Select(result => result.Out()).ShouldBe([$"one {i}\n", $"two {i}\n"]);
        }
    }

    [Fact]
    public async Task Programs_leave_no_zombie_behind_however_they_end()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        List<string> before = ZombiesOf("bwrap"); // tests that start bubblewrap without the runtime leave some
        for (int i = 0; i < 3; i++)
        {
            await sandbox.ShellAsync("for i in $(seq 10); do /bin/true & done; setsid sleep 100 & true");
        }

        (await sandbox.ShellAsync("sleep 30", seconds: 1)).Reason.ShouldBe(TerminationReason.Timeout);

        ZombiesOf("bwrap").Except(before).ShouldBeEmpty();
    }

    /// <summary>Ours only: other tests of this tier do not run beside this one.</summary>
    private static List<string> ZombiesOf(string program) =>
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
        }).Where(stat => stat.Contains($"({program}) Z {Environment.ProcessId} ", StringComparison.Ordinal))];

    /// <summary>Looks for itself, not through the runtime. A mounted image is named by its mount: what is in it is not walked through.</summary>
    private static List<string> HostTraces(string key)
    {
        string run = $"/run/rynxs/{key}n";
        return
        [
            .. Processes(key).Select(pid => "process " + pid.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            .. Directory.EnumerateDirectories("/sys/fs/cgroup").Select(hierarchy => $"{hierarchy}/rynxs/{key}n").Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories),
            .. File.ReadLines("/proc/mounts").Where(line => line.Contains(key, StringComparison.Ordinal)),
            .. Directory.Exists(run) ? Directory.EnumerateFileSystemEntries(run).Where(entry => Path.GetFileName(entry) != "lock") : [],
        ];
    }

    private static List<int> Processes(string key) =>
        [.. Directory.EnumerateDirectories("/sys/fs/cgroup").Select(hierarchy => $"{hierarchy}/rynxs/{key}n").Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories)
            .SelectMany(sandbox => File.ReadLines(sandbox + "/cgroup.procs")).Select(line => int.Parse(line, System.Globalization.CultureInfo.InvariantCulture)).Distinct()];
}
