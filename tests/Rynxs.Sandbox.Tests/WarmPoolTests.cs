using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Sandbox.Tests;

/// <summary>Sandboxes from templates: warm, restored, and what they must not share.</summary>
public sealed class WarmPoolTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_template_serves_warm_then_restored_and_programs_behave_as_in_any_sandbox()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 1, Floor = 1, Ceiling = 1 });
        runtime.StartPools();
        await runtime.PoolsPreparedAsync(Token);
        runtime.Pools.ShouldHaveSingleItem().Unusable.ShouldBeNull();
        await runtime.PoolsFullAsync(Token);

        await using ISandbox warm = await runtime.CreateAsync(Spec(), Token);
        await using ISandbox cold = await runtime.CreateAsync(Spec(), Token);

        (warm.Start, cold.Start).ShouldBe((SandboxStart.Warm, SandboxStart.Restored));
        foreach (ISandbox sandbox in (ISandbox[])[warm, cold])
        {
            ExecutionResult result = await sandbox.ExecuteAsync(Python("import sys\nprint('out'); print('err', file=sys.stderr); sys.exit(3)"), Token);
            (result.Out(), result.Err(), result.ExitCode, result.Reason).ShouldBe(("out\n", "err\n", 3, TerminationReason.NonzeroExit));
            TestContext.Current.TestOutputHelper?.WriteLine($"{sandbox.Start}: acquire {sandbox.ColdStart.TotalMilliseconds:F2} ms, first instruction {result.FirstInstruction?.TotalMilliseconds:F2} ms, whole {result.Duration.TotalMilliseconds:F2} ms");
            ExecutionResult again = await sandbox.ExecuteAsync(Python("print(1/0)"), Token);
            again.Err().ShouldEndWith("ZeroDivisionError: division by zero\n", customMessage: again.Describe());
            (await sandbox.ShellAsync("echo $0; exit 4")).ExitCode.ShouldBe(4);
        }
    }

    [Fact]
    public async Task D5_nothing_of_a_tenant_reaches_the_next_and_a_slot_serves_once()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 1, Ceiling = 1 });
        runtime.StartPools();
        string secret = "tenant-secret-" + Guid.NewGuid().ToString("n");
        List<string> ids = [];
        for (int tenant = 0; tenant < 3; tenant++)
        {
            await runtime.PoolsFullAsync(Token);
            await using ISandbox sandbox = await runtime.CreateAsync(Spec(), Token);
            sandbox.Start.ShouldBe(SandboxStart.Warm);
            ids.Add(sandbox.Id.Value);
            // Looks in files, environment, processes and its own interpreter's memory, then leaves the secret in all of them.
            ExecutionResult result = await sandbox.ExecuteAsync(
                Python($$"""
                import os, re, ctypes
                secret = bytes.fromhex('{{Convert.ToHexString(System.Text.Encoding.ASCII.GetBytes(secret))}}')
                found = [os.path.join(d, f) for top in ('/tmp', '/workspace', '/dev/shm', '/var/tmp') for d, _, files in os.walk(top) for f in files]
                memory = 0
                libc = ctypes.CDLL(None); copy = os.memfd_create('m'); scanned = 0
                for line in open('/proc/self/maps').read().splitlines():
                    r = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
                    if not r: continue
                    os.ftruncate(copy, 0); os.lseek(copy, 0, 0)
                    n = libc.write(copy, ctypes.c_void_p(int(r[1], 16)), ctypes.c_size_t(min(int(r[2], 16) - int(r[1], 16), 1 << 24)))
                    if n > 0: scanned += n; memory += os.pread(copy, n, 0).count(b'left by a ' + b'tenant')
                assert scanned > 1 << 20, scanned
                print(found, 'TENANT' in os.environ, memory)
                os.environ['TENANT'] = secret.decode()
                keep = [b'left by ' + b'a tenant ' + secret for _ in range(1000)]
                for path in ('/tmp/left', '/workspace/files/left'): open(path, 'wb').write(secret)
                if os.fork() == 0:
                    import time; time.sleep(60)
                """), Token);
            result.ExitCode.ShouldBe(0, result.Describe());
            result.Out().ShouldStartWith("[] False ", customMessage: result.Describe());
            // Its own source text holds the words once or a few times; what another left would be there a thousand times.
            int.Parse(result.Out().Trim().Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture).ShouldBeLessThan(100, result.Describe());
        }

        ids.Distinct().Count().ShouldBe(3);
    }

    [Fact]
    public async Task D6_random_numbers_and_identifiers_of_sandboxes_from_one_checkpoint_differ()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 2, Ceiling = 2 });
        runtime.StartPools();
        await runtime.PoolsFullAsync(Token);
        List<string[]> seen = [];
        for (int i = 0; i < 3; i++)
        {
            await using ISandbox sandbox = await runtime.CreateAsync(Spec(), Token);
            ExecutionResult result = await sandbox.ExecuteAsync(
                Python("import random,os,uuid,secrets,tempfile,time\nprint(random.random(),random.getrandbits(64),os.urandom(8).hex(),uuid.uuid4(),secrets.token_hex(8),tempfile.mktemp(),sep='|')\nprint(abs(time.time()))"), Token);
            string[] lines = result.Out().Split('\n');
            seen.Add(lines[0].Split('|'));
            double.Parse(lines[1], System.Globalization.CultureInfo.InvariantCulture).ShouldBe(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0, 30, "the clock is the host's, not the checkpoint's");
        }

        seen[0].Length.ShouldBe(6);
        for (int column = 0; column < 6; column++)
        {
            seen.Select(row => row[column]).Distinct().Count().ShouldBe(3, $"column {column}: {string.Join(' ', seen.Select(row => row[column]))}");
        }
    }

    [Fact]
    public async Task Limits_bound_late_hold_and_a_slot_that_died_is_not_handed_out()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(
            SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 1, Ceiling = 1, Limits = new SandboxLimits { MemoryBytes = 64L << 20 } });
        runtime.StartPools();
        await runtime.PoolsFullAsync(Token);
        await using (ISandbox small = await runtime.CreateAsync(Spec() with { Limits = new SandboxLimits { MemoryBytes = 96L << 20, Cpus = 0.5 } }, Token))
        {
            small.Start.ShouldBe(SandboxStart.Warm);
            small.Controls.Single(control => control.Control == "cpu_limit").Result.ShouldStartWith("50000 ");
            ExecutionResult bomb = await small.ExecuteAsync(Python("x = []\nwhile True: x.append(bytearray(b'x' * (8 << 20)))"), Token);
            bomb.Reason.ShouldBe(TerminationReason.OomKilled, bomb.Describe());
        }

        await runtime.PoolsFullAsync(Token);
        GVisorSandbox waiting = runtime.Reserves().Single();
        var gone = new TaskCompletionSource();
        waiting.Ended.Register(() => gone.TrySetResult());
        waiting.Cgroup.Processes().ToList().ForEach(pid => Native.Libc.kill(pid, Native.Libc.SigKill)); // the first takes the others with it
        await gone.Task.WaitAsync(TimeSpan.FromSeconds(20), Token);

        await using ISandbox next = await runtime.CreateAsync(Spec() with { Limits = new SandboxLimits { MemoryBytes = 96L << 20 } }, Token);
        next.Id.ShouldNotBe(waiting.Id);
        (await next.ExecuteAsync(Python("print('alive')"), Token)).Out().ShouldBe("alive\n");
    }

    [Fact]
    public async Task A_waiting_pool_uses_no_CPU()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 2, Ceiling = 2 });
        runtime.StartPools();
        await runtime.PoolsFullAsync(Token);
        TimeSpan[] before = [.. runtime.Reserves().Select(slot => slot.Cgroup.Cpu ?? default)];

        await Task.Delay(300, Token);

        runtime.Reserves().Select((slot, i) => (slot.Cgroup.Cpu ?? default) - before[i]).ShouldAllBe(used => used < TimeSpan.FromMilliseconds(2));
        before.ShouldAllBe(used => used > TimeSpan.Zero, "positive control: the counters count");
    }

    [Fact]
    public async Task A_live_interpreter_keeps_its_state_and_its_violations_are_on_the_right_account()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 1, Ceiling = 1 });
        runtime.StartPools();
        await runtime.PoolsFullAsync(Token);
        await using ISandbox sandbox = await runtime.CreateAsync(Spec(), Token);
        await using ILiveInterpreter live = await sandbox.OpenInterpreterAsync(Token);

        (await live.RunAsync(Python("x = 20; import os"), Token)).Reason.ShouldBe(TerminationReason.Completed);
        ExecutionResult sum = await live.RunAsync(Python("print(x + 22, os.getuid())"), Token);
        ExecutionResult raised = await live.RunAsync(Python("try: os.open('/dev/mem', 0)\nexcept OSError: pass\nraise ValueError('no')"), Token);
        ExecutionResult after = await live.RunAsync(Python("print(x)"), Token);

        (sum.Out(), sum.ExitCode).ShouldBe(("42 1000\n", 0), sum.Describe());
        (raised.ExitCode, raised.Reason).ShouldBe((1, TerminationReason.NonzeroExit), raised.Describe());
        raised.Err().ShouldEndWith("ValueError: no\n");
        raised.Violations.ShouldHaveSingleItem().ViolationType.ShouldBe("device_access");
        (after.Out(), after.Violations.Count).ShouldBe(("20\n", 0), after.Describe());

        ExecutionResult stuck = await live.RunAsync(Python("while True: pass") with { Timeout = TimeSpan.FromMilliseconds(300) }, Token);
        (stuck.Reason, stuck.ExitCode).ShouldBe((TerminationReason.Timeout, null), stuck.Describe());
        await Should.ThrowAsync<SandboxStartException>(() => live.RunAsync(Python("1"), Token));
    }

    private SandboxSpec Spec() => new() { Owner = new SandboxOwner("tests", "pool"), Image = host.Image, WorkspaceBytes = 256L << 20, Limits = new SandboxLimits() };

    private static ExecutionRequest Python(string source) =>
        new() { ExecutionId = Guid.NewGuid().ToString(), Arguments = [], PythonSource = System.Text.Encoding.UTF8.GetBytes(source) };
}
