using System.Diagnostics;
using Rynxs.Sandbox.Limits;

namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>Floods: each meets its limit, ends as what it is, and leaves host and sandbox as they were.</summary>
[Collection(NamespacesTests.Name)]
public sealed class NamespacesLimitTests(NamespacesHost host)
{
    private const long Mebibyte = 1024 * 1024;

    [Fact]
    public async Task Fork_bomb_is_refused_processes_and_the_sandbox_lives_on()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync(limits: new SandboxLimits { Pids = 32 });
        (await sandbox.ShellAsync("for i in $(seq 20); do sleep 1 & done; echo 20; kill $(jobs -p)")).Out().ShouldStartWith("20", customMessage: "positive control: below the limit");

        ExecutionResult counted = await sandbox.PythonAsync("""
            import os,time
            n=0
            try:
                while True:
                    if os.fork()==0: time.sleep(60); os._exit(0)
                    n+=1
            except OSError as e: print(n,e.errno)
            raise SystemExit(3)
            """);
        string[] words = counted.Out().Split();
        int.Parse(words[0], System.Globalization.CultureInfo.InvariantCulture).ShouldBeInRange(30, 31, counted.Describe());
        words[1].ShouldBe("11", "EAGAIN");
        (await sandbox.ShellAsync("echo alive")).Out().ShouldBe("alive\n");
        counted.Reason.ShouldBe(TerminationReason.PidsLimit);

        ExecutionResult bomb = await sandbox.ShellAsync("b() { b | b & }; b; sleep 60", seconds: 1);
        bomb.Reason.ShouldBe(TerminationReason.Timeout, "the bomb is still burning when its deadline comes");
        ((Rynxs.Sandbox.Namespaces.NamespacesSandbox)sandbox).Cgroup.Processes().ShouldBeEmpty();
    }

    [Fact]
    public async Task Memory_flood_is_killed_by_the_kernel_in_its_own_cgroup()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync(limits: new SandboxLimits { MemoryBytes = 64 * Mebibyte, TmpBytes = 16 * Mebibyte });
        (await sandbox.PythonAsync("b=bytearray(16<<20); print(len(b))")).Reason.ShouldBe(TerminationReason.Completed, "positive control");

        ExecutionResult flood = await sandbox.PythonAsync("b=[]\nwhile True: b.append(bytearray(4<<20))");
        flood.Reason.ShouldBe(TerminationReason.OomKilled, flood.Describe());
        flood.Usage.MemoryPeakBytes.ShouldNotBeNull().ShouldBeInRange(48 * Mebibyte, 80 * Mebibyte);

        await using ISandbox byTmp = await host.NewSandboxAsync(limits: new SandboxLimits { MemoryBytes = 32 * Mebibyte, TmpBytes = 512 * Mebibyte });
        (await byTmp.ShellAsync("cat /dev/zero > /tmp/x")).Reason.ShouldBe(TerminationReason.OomKilled, "files in memory count");
    }

    [Fact]
    public async Task Disk_descriptor_and_name_floods_meet_their_limits()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync(
            limits: new SandboxLimits { TmpBytes = 4 * Mebibyte, FileBytes = 2 * Mebibyte, OpenFiles = 64 }, workspaceBytes: 4 * Mebibyte);
        ExecutionResult file = await sandbox.ShellAsync("head -c 1000000 /dev/zero > a && echo control; exec cat /dev/zero > /tmp/big");
        (file.Out(), file.Reason).ShouldBe(("control\n", TerminationReason.DiskLimit), file.Describe());

        ExecutionResult disk = await sandbox.ShellAsync("for i in 1 2 3 4 5 6; do head -c 1900000 /dev/zero > f$i || exit 9; done");
        (disk.ExitCode, disk.Reason).ShouldBe((9, TerminationReason.DiskLimit), disk.Describe());
        disk.Err().ShouldContain("No space left");

        ExecutionResult names = await sandbox.PythonAsync("""
            import os
            n=0
            try:
                while n<1000000: open(f'/tmp/n{n}','w').close(); n+=1
            except OSError as e: print(n<10000,e.errno)
            """);
        names.Out().ShouldBe("True 28\n", names.Describe());

        ExecutionResult descriptors = await sandbox.PythonAsync("import os\nl=[]\ntry:\n  while True: l.append(os.dup(0))\nexcept OSError as e: print(len(l)<64,e.errno)");
        descriptors.Out().ShouldBe("True 24\n", descriptors.Describe());

        ExecutionResult shared = await sandbox.ShellAsync("head -c 20000000 /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x");
        int.Parse(shared.Out(), System.Globalization.CultureInfo.InvariantCulture).ShouldBeLessThanOrEqualTo(4 * 1024 * 1024);
    }

    [Fact]
    public async Task B10_workspace_of_the_host_beyond_its_quota_ends_the_program()
    {
        using var agent = new AgentDirectory();
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files, workspaceBytes: 2 * Mebibyte);
        (await sandbox.ShellAsync("head -c 1000000 /dev/zero > small")).Reason.ShouldBe(TerminationReason.Completed, "positive control");

        ExecutionResult flood = await sandbox.ShellAsync("i=0; while :; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); sleep 0.01; done");
        (flood.Reason, flood.ExitCode).ShouldBe((TerminationReason.DiskLimit, null), flood.Describe());

        // Over its limit, it can be made smaller but not larger.
        await using ISandbox again = await host.NewSandboxAsync(agent.Files, workspaceBytes: 2 * Mebibyte);
        (await again.ShellAsync("echo more > x")).ExitCode.ShouldNotBe(0);
        (await again.ShellAsync("rm f*; ls")).Out().ShouldStartWith("small\n");
    }

    [Fact]
    public async Task Cpu_beyond_its_share_is_throttled_and_the_server_is_not()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync(limits: new SandboxLimits { Cpus = 0.2 });
        var clock = Stopwatch.StartNew();
        Task<ExecutionResult> busy = sandbox.PythonAsync("import time\ne=time.time()+1\nwhile time.time()<e: pass\nprint(time.process_time()<0.6)");
        while (!busy.IsCompleted)
        {
            long before = Stopwatch.GetTimestamp();
            GC.Collect(0);
            Stopwatch.GetElapsedTime(before).ShouldBeLessThan(TimeSpan.FromSeconds(2), "no thread of ours is throttled with the sandbox");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        (await busy).Out().ShouldBe("True\n", (await busy).Describe());
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
    }
}
