using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Tests;

/// <summary>Attacks from inside a sandbox of a template, where a first process of ours runs as another user and a control socket exists.</summary>
public sealed class PooledIsolationTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A5_A8_A9_A15_A16_a_restored_sandbox_holds_and_sees_what_a_plain_one_does()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = await PoolAsync();
        await using ISandbox sandbox = await TakeAsync(runtime);

        ExecutionResult result = await RunAsync(sandbox, """
            import os, socket, ctypes, signal
            def attempt(name, f):
                try: f(); print('WORKED', name)
                except (OSError, PermissionError) as e: pass
            libc = ctypes.CDLL(None, use_errno=True)
            def check(r):
                if r < 0: raise OSError(ctypes.get_errno(), '')
            attempt('raw', lambda: socket.socket(2, 3, 1))
            attempt('packet', lambda: socket.socket(17, 3, 3))
            attempt('mem', lambda: os.open('/dev/mem', 0))
            attempt('kcore', lambda: open('/proc/kcore', 'rb').read(1))
            attempt('docker', lambda: socket.socket(1).connect('/var/run/docker.sock'))
            attempt('metadata', lambda: socket.create_connection(('169.254.169.254', 80), 2))
            attempt('mount', lambda: check(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)))
            attempt('bpf', lambda: check(libc.syscall(321, 0, 0, 0)))
            # Our own first process: user 0 inside.
            attempt('setuid', lambda: os.setuid(0))
            attempt('setgid', lambda: os.setgid(0))
            attempt('kill init', lambda: os.kill(1, signal.SIGKILL))
            attempt('stop init', lambda: os.kill(1, signal.SIGSTOP))
            attempt('trace init', lambda: check(libc.ptrace(16, 1, 0, 0)))
            attempt('memory of init', lambda: os.open('/proc/1/mem', 2))
            # gVisor shows it to every user: it must hold nothing but what every program has anyway.
            base = {'PATH', 'HOME', 'USER', 'LANG', 'TMPDIR', 'PYTHONDONTWRITEBYTECODE', 'RYNXS_SANDBOX'}
            print(sorted(set(v.split('=')[0] for v in open('/proc/1/environ').read().split('\0') if v) - base))
            attempt('descriptors of init', lambda: os.open('/proc/1/fd/0', 0))
            attempt('root', lambda: open('/etc/planted', 'w'))
            attempt('shadow', lambda: open('/etc/shadow').read())
            caps = [l for l in open('/proc/self/status') if l.startswith('Cap')]
            print('CAPS' if any(l.split()[1].strip('0') for l in caps if not l.startswith('CapBnd')) else 'none')
            socket.socket(socket.AF_INET, socket.SOCK_STREAM); open('/workspace/files/mine', 'w').write('x'); print('control', os.getuid())
            """);

        result.Out().ShouldBe("[]\nnone\ncontrol 1000\n", result.Describe());
        result.Violations.Select(violation => violation.ViolationType).Distinct().ShouldBe(
            ["raw_socket", "device_access", "kernel_memory_access", "container_runtime_access", "metadata_access", "mount_attempt", "bpf", "ptrace_attempt", "host_file_access", "process_memory_access"],
            ignoreOrder: true, customMessage: result.Describe());
    }

    [Fact]
    public async Task A5_A6_a_forbidden_socket_family_ends_a_restored_sandbox_at_once()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = await PoolAsync();
        await using ISandbox sandbox = await TakeAsync(runtime);

        ExecutionResult result = await RunAsync(sandbox, "import socket,time\ntry: socket.socket(38,5,0)\nexcept OSError: pass\ntime.sleep(20); print('survived')");

        result.Reason.ShouldBe(TerminationReason.SecurityViolation, result.Describe());
        result.Out().ShouldBeEmpty();
        TimeSpan taken = ((GVisorSandbox)sandbox).DetectedToKilled.ShouldNotBeNull();
        TestContext.Current.TestOutputHelper?.WriteLine($"detected to killed: {taken.TotalMilliseconds:F2} ms");
        taken.ShouldBeLessThan(TimeSpan.FromSeconds(5), "some milliseconds, on a loaded machine more");
    }

    [Fact]
    public async Task Monitor_that_is_cut_off_ends_a_sandbox_in_use_and_one_that_waits()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = await PoolAsync();
        await using ISandbox used = await TakeAsync(runtime);
        await runtime.PoolsFullAsync(Token);
        GVisorSandbox waiting = runtime.Reserves().Single();
        Task<ExecutionResult> running = used.ExecuteAsync(Python("import time\nprint('on', flush=True)\ntime.sleep(60)"), Token);

        ((GVisorSandbox)used).Monitor.ShouldNotBeNull().CutForTest();
        waiting.Monitor.ShouldNotBeNull().CutForTest();

        ExecutionResult result = await running;
        result.Reason.ShouldBe(TerminationReason.SecurityViolation, result.Describe());
        result.Violations.ShouldContain(violation => violation.ViolationType == "monitor_lost");
        await WhenAsync(waiting.Ended);
        await using ISandbox next = await TakeAsync(runtime);
        next.Id.ShouldNotBe(waiting.Id);
        (await RunAsync(next, "print('watched')")).Out().ShouldBe("watched\n");
    }

    [Fact]
    public async Task Monitor_flood_is_counted_whole_what_was_dropped_included()
    {
        host.SkipUnlessAvailable();
        int attempts = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 1_000_000 : 20_000;
        await using GVisorRuntime runtime = await PoolAsync();
        await using ISandbox sandbox = await TakeAsync(runtime);
        long droppedBefore = ((GVisorSandbox)sandbox).Monitor.ShouldNotBeNull().Dropped;

        ExecutionResult result = await RunAsync(sandbox, $"""
            import os
            for _ in range({attempts}):
                try: os.open('/dev/mem', 0)
                except OSError: pass
            print('done')
            """, seconds: 300);

        result.Out().ShouldBe("done\n", result.Describe());
        Violation seen = result.Violations.Single(violation => violation.ViolationType == "device_access");
        long counted = long.Parse(seen.Indicators["count"], System.Globalization.CultureInfo.InvariantCulture);
        long dropped = ((GVisorSandbox)sandbox).Monitor.ShouldNotBeNull().Dropped - droppedBefore;
        TestContext.Current.TestOutputHelper?.WriteLine($"{attempts} attempts: {counted} counted, {dropped} dropped");
        (counted + dropped).ShouldBeGreaterThanOrEqualTo(attempts);
        counted.ShouldBeLessThanOrEqualTo(attempts);
        result.Violations.Any(violation => violation.ViolationType == "monitor_events_dropped").ShouldBe(dropped > 0);
    }

    private static async Task<GVisorRuntime> PoolAsync()
    {
        GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 1, Ceiling = 1 });
        runtime.StartPools();
        await runtime.PoolsFullAsync(Token);
        return runtime;
    }

    private async Task<ISandbox> TakeAsync(GVisorRuntime runtime)
    {
        ISandbox sandbox = await runtime.CreateAsync(
            new SandboxSpec { Owner = new SandboxOwner("tests", "pool"), Image = host.Image, WorkspaceBytes = 256L << 20, SingleUse = true }, Token);
        sandbox.Start.ShouldNotBe(SandboxStart.Plain);
        return sandbox;
    }

    private static Task<ExecutionResult> RunAsync(ISandbox sandbox, string source, int seconds = 30) =>
        sandbox.ExecuteAsync(Python(source) with { Timeout = TimeSpan.FromSeconds(seconds) }, Token);

    private static ExecutionRequest Python(string source) =>
        new() { ExecutionId = Guid.NewGuid().ToString(), Arguments = [], PythonSource = System.Text.Encoding.UTF8.GetBytes(source) };

    private static Task WhenAsync(CancellationToken ended)
    {
        var seen = new TaskCompletionSource();
        ended.Register(() => seen.TrySetResult());
        return seen.Task.WaitAsync(TimeSpan.FromSeconds(20), Token);
    }
}
