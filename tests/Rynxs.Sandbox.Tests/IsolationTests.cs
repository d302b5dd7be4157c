using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Tests;

/// <summary>Attacks from inside, by the codes of the catalogue, each with a positive control.</summary>
public sealed class IsolationTests(SandboxHost host)
{
    [Fact]
    public async Task Agent_cannot_reach_its_inbox_outbox_audit_nor_another_agents_workspace()
    {
        using var agent = new AgentDirectory();
        using var other = new AgentDirectory();
        File.WriteAllText(Path.Combine(agent.Files, "mine.txt"), "mine");
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files);
        await using ISandbox neighbour = await host.NewSandboxAsync(other.Files);

        ExecutionResult result = await sandbox.ShellAsync($"""
            cat mine.txt; echo
            cat ../inbox.jsonl ../audit.jsonl {agent.Root}/inbox.jsonl {agent.Root}/audit.jsonl {other.Files}/* /proc/*/root{agent.Root}/outbox.jsonl
            ls -la .. {other.Files}
            echo x > ../outbox.jsonl; echo x > {agent.Root}/audit.jsonl; echo x > {other.Files}/planted
            ln -s {agent.Root}/inbox.jsonl link; cat link; cat link/../inbox.jsonl
            grep -rl secret- / --include='*.jsonl' 2>/dev/null
            true
            """);

        result.Out().ShouldStartWith("mine\n", customMessage: result.Describe());
        result.Out().ShouldNotContain(agent.Secret);
        result.Out().ShouldNotContain(other.Secret);
        File.ReadAllText(Path.Combine(agent.Root, "outbox.jsonl")).ShouldBe(agent.Secret);
        File.ReadAllText(Path.Combine(agent.Root, "audit.jsonl")).ShouldBe(agent.Secret);
        Directory.EnumerateFileSystemEntries(other.Files).ShouldBeEmpty();
        // Positive control: the same greps see the secret where it really is.
        File.ReadAllText(Path.Combine(agent.Files, "link")).ShouldContain(agent.Secret);
    }

    [Fact]
    public async Task B6_magic_links_lead_nowhere_and_mounts_show_no_host_path()
    {
        using var agent = new AgentDirectory();
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files);

        ExecutionResult result = await sandbox.ShellAsync("ls /proc/self/root/; ls /proc/1/root/workspace 2>&1; cat /proc/self/mountinfo; cat /proc/self/root/etc/shadow; ls -la /proc/self/fd /proc/1/fd; cat /proc/self/environ");

        result.Out().ShouldContain("workspace");
        result.Out().ShouldNotContain(agent.Root);
        result.Out().ShouldNotContain("/var/lib/rynxs");
        result.Err().ShouldContain("Permission denied");
    }

    [Fact]
    public async Task A5_packet_and_raw_sockets_are_refused_and_seen()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.PythonAsync("""
            import socket
            for a in ((17,3,3),(2,3,1),(10,3,58)):
                try: socket.socket(*a); print('OPEN', a)
                except OSError as e: print('refused', a)
            socket.socket(socket.AF_INET, socket.SOCK_STREAM); print('control')
            """);

        result.Out().ShouldNotContain("OPEN");
        result.Out().ShouldEndWith("control\n");
        result.Violations.Count(violation => violation is { ViolationType: "raw_socket", Blocked: true }).ShouldBe(3, result.Describe());
    }

    [Theory]
    [InlineData(38, 5)] // AF_ALG, CVE-2026-31431
    [InlineData(15, 3)] // AF_KEY
    [InlineData(33, 2)] // AF_RXRPC, CVE-2026-43500
    public async Task A5_A6_socket_families_of_kernel_escapes_end_the_program(int family, int type)
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.PythonAsync($"""
            import socket, time
            try: socket.socket({family},{type},0); print('OPEN')
            except OSError: pass
            time.sleep(10); print('survived')
            """);

        result.Reason.ShouldBe(TerminationReason.SecurityViolation, result.Describe());
        result.Out().ShouldBeEmpty();
        result.Violations.ShouldHaveSingleItem().ViolationType.ShouldBe("dangerous_socket_family");
    }

    [Fact]
    public async Task A9_kernel_interfaces_fail_and_are_seen()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.PythonAsync("""
            import ctypes
            c=ctypes.CDLL(None)
            for n in (425,321,323,250,298): print(n, c.syscall(n,0,0,0,0,0) < 0)
            print('control', c.syscall(39) > 0)
            """);

        result.Out().ShouldBe("425 True\n321 True\n323 True\n250 True\n298 True\ncontrol True\n");
        string[] types = [.. result.Violations.Select(violation => violation.ViolationType)];
        types.ShouldBe(["io_uring", "bpf", "userfaultfd", "keyring", "perf_event"]);
        result.Violations.ShouldAllBe(violation => violation.Blocked);
    }

    [Fact]
    public async Task A15_host_devices_and_runtime_sockets_are_absent()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.ShellAsync("ls /dev; ls /dev/kvm /dev/mem /dev/vda /dev/sda /var/run/docker.sock /run/containerd /run/rynxs 2>&1 | grep -vc 'No such file'");

        result.Out().ShouldContain("null");
        result.Out().ShouldEndWith("\n0\n");
    }

    [Fact]
    public async Task A16_kernel_controls_cannot_be_read_or_written()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.ShellAsync("cat /proc/kcore 2>&1; find /sys/firmware -type f 2>/dev/null | wc -l; cat /proc/version");
        ExecutionResult write = await sandbox.ShellAsync("echo '|/bin/sh' > /proc/sys/kernel/core_pattern; cat /proc/sys/kernel/core_pattern");

        result.Out().ShouldContain("No such file");
        result.Out().ShouldContain("\n0\n");
        result.Out().ShouldContain("Linux version");
        write.Out().ShouldNotContain("/bin/sh", Case.Sensitive, write.Describe());
        write.Violations.ShouldContain(violation => violation.ViolationType == "kernel_memory_access" && violation.Blocked, write.Describe());
    }

    [Theory]
    [InlineData("open('/dev/mem')", "device_access", false)]
    [InlineData("open('/dev/../dev//mem')", "device_access", false)]
    [InlineData("import os; os.chdir('/dev'); open('mem')", "device_access", false)]
    [InlineData("import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')", "container_runtime_access", false)]
    [InlineData("import ctypes; ctypes.CDLL(None).syscall(175,0,0,0)", "kernel_module", true)]
    [InlineData("import socket; socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)", "dangerous_socket_family", true)] // A5
    [InlineData("import ctypes; ctypes.CDLL(None).mount(b'none',b'/tmp',b'tmpfs',0,None)", "mount_attempt", false)]
    [InlineData("import os; os.chroot('/tmp')", "chroot_attempt", false)]
    [InlineData("import ctypes; ctypes.CDLL(None).setns(0,0)", "namespace_escape", false)]
    [InlineData("import ctypes; ctypes.CDLL(None).unshare(0x10000000)", "namespace_escape", false)]
    [InlineData("import ctypes; ctypes.CDLL(None).ptrace(16,1,0,0)", "ptrace_attempt", false)]
    [InlineData("import socket; socket.socket().connect(('8.8.8.8',53))", "network_egress", false)]
    [InlineData("import socket; socket.socket().connect(('169.254.169.254',80))", "metadata_access", false)]
    [InlineData("import socket; socket.socket(socket.AF_INET6).connect(('::ffff:100.100.100.200',80))", "metadata_access", false)]
    public async Task Attempt_is_reported_once_with_its_rule(string code, string type, bool kills)
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        // A rule that kills does so within milliseconds: the program is given time to be killed in.
        ExecutionResult result = await sandbox.PythonAsync(kills ? $"try:\n  {code}\nexcept OSError: pass\nimport time; time.sleep(10)" : code);

        Violation violation = result.Violations.ShouldHaveSingleItem(result.Describe());
        violation.ViolationType.ShouldBe(type);
        violation.DetectionLayer.ShouldBe(DetectionLayer.SyscallMonitor);
        violation.Indicators["process"].ShouldBe("python3");
        result.Reason.ShouldBe(kills ? TerminationReason.SecurityViolation : result.Reason);
        (result.Reason == TerminationReason.SecurityViolation).ShouldBe(kills, result.Describe());
        if (type != "namespace_escape")
        {
            violation.Blocked.ShouldBeTrue(result.Describe());
        }
    }

    [Fact]
    public async Task Ordinary_work_reports_nothing()
    {
        using var agent = new AgentDirectory();
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files);

        ExecutionResult result = await sandbox.ShellAsync("""
            set -e
            cat > job.py <<'X'
            import json, subprocess, threading, tempfile, sqlite3, socket
            result = sum(range(10)); match = 'su tc docker mount'.split()
            t = threading.Thread(target=print, args=(result,)); t.start(); t.join()
            print(subprocess.run(['echo', 'sub'], capture_output=True, text=True).stdout)
            s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); c = socket.create_connection(s.getsockname()); c.close()
            X
            python3 job.py
            git init -q repo; cd repo; git config user.email a@b; git config user.name n; echo hi > f; git add f; git commit -qm m; git log --oneline | wc -l
            curl --version > /dev/null; jq -n 1; ls -la /proc/self > /dev/null; ps aux > /dev/null; cat /proc/mounts > /dev/null; df > /dev/null; id; uname -a
            tar czf /tmp/x.tgz f; find / -name nothing 2>/dev/null || true
            """, seconds: 60);

        result.Reason.ShouldBe(TerminationReason.Completed, result.Describe());
        // Lost events say that the host is too busy to watch, not what the program did.
        result.Violations.Where(violation => violation.ViolationType != "monitor_events_dropped").ShouldBeEmpty(result.Describe());
    }

    [Fact]
    public async Task Violations_belong_to_the_program_that_caused_them()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        for (int i = 0; i < 5; i++)
        {
            (await sandbox.PythonAsync("import socket\ntry: socket.socket().connect(('8.8.8.8',53))\nexcept OSError: pass")).Violations.Count.ShouldBe(1);
            (await sandbox.ShellAsync("true")).Violations.ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task Losing_the_monitor_kills_the_sandbox()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        Task<ExecutionResult> running = sandbox.ShellAsync("sleep 30; echo survived", seconds: 60);
        await Task.Delay(500, TestContext.Current.CancellationToken);

        ((GVisor.GVisorSandbox)sandbox).Monitor!.CutForTest(); // a live sandbox has a monitor

        ExecutionResult result = await running;
        result.Reason.ShouldBe(TerminationReason.SecurityViolation, result.Describe());
        result.Violations.ShouldContain(violation => violation.ViolationType == "monitor_lost");
        sandbox.Ended.IsCancellationRequested.ShouldBeTrue();
    }

    [Fact]
    public async Task Hostile_names_are_escaped_in_indicators()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.ShellAsync("cp /usr/bin/python3.11 $'/tmp/\\e[31m\\nx'; $'/tmp/\\e[31m\\nx' -c \"import os; os.chroot('/tmp/'+chr(27)+'A'*3000)\"");

        Violation violation = result.Violations.ShouldHaveSingleItem(result.Describe());
        violation.Indicators.Values.ShouldAllBe(value => value.Length < 300 && !value.Any(char.IsControl));
        violation.Indicators["target"].ShouldContain("\\x1b");
    }
}
