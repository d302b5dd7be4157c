using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Namespaces;

namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>Programs in the namespaces tier: what they get, how they end, what they leave.</summary>
[Collection(NamespacesTests.Name)]
public sealed class NamespacesExecutionTests(NamespacesHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_program_runs_with_its_input_arguments_environment_and_exit_code()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        ExecutionResult result = await sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = "e",
            PythonSource = "import os,sys; print(sys.stdin.read(), sys.argv[1:], os.environ['NAME'], os.getcwd()); sys.stderr.write('err'); sys.exit(7)"u8.ToArray(),
            Arguments = ["a b", "'$(x)'"],
            Environment = new Dictionary<string, string> { ["NAME"] = "--value\nof it" },
            StandardInput = "in"u8.ToArray(),
        }, Token);

        result.Out().ShouldBe("in ['a b', \"'$(x)'\"] --value\nof it /workspace/files\n", result.Describe());
        (result.Err(), result.ExitCode, result.Reason).ShouldBe(("err", 7, TerminationReason.NonzeroExit));
        result.FirstInstruction.ShouldNotBeNull().ShouldBeLessThan(TimeSpan.FromSeconds(10));
        result.Usage.Cpu.ShouldNotBeNull().ShouldBeGreaterThan(TimeSpan.Zero);
        sandbox.Runtime.ShouldBe("namespaces");
        (await sandbox.ShellAsync("kill -SEGV $$")).ExitCode.ShouldBe(128 + 11);
    }

    [Fact]
    public async Task Controls_name_the_shared_kernel_and_each_was_shown()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        sandbox.Controls.Select(control => control.Control).ShouldBe(
            [
                "isolation", "network", "seccomp", "nested_namespaces", "violation_detection", "user", "no_new_privileges", "root_filesystem", "workspace_mount", "rlimits", "tmp_size",
                "host_environment", "memory_limit", "pids_limit", "cpu_limit", "deadline", "workspace_quota", "kernel",
            ], ignoreOrder: true);
        sandbox.Controls.Single(control => control.Control == "kernel").Requested.ShouldBe("shared kernel");
        sandbox.Controls.Single(control => control.Control == "isolation").Requested.ShouldContain("shared kernel");
    }

    [Fact]
    public async Task Files_and_tmp_outlast_a_program_and_its_processes_do_not()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        (await sandbox.ShellAsync("echo 1 > a; echo 2 > /tmp/b; (trap '' HUP TERM; setsid sleep 300 >/dev/null 2>&1 < /dev/null) & disown; sleep 0.1")).Reason.ShouldBe(TerminationReason.Completed);

        ((NamespacesSandbox)sandbox).Cgroup.Processes().ShouldBeEmpty();
        ExecutionResult next = await sandbox.ShellAsync("cat a /tmp/b; pgrep sleep");
        next.Out().ShouldBe("1\n2\n", next.Describe());
    }

    [Fact]
    public async Task A_workspace_of_the_host_is_written_as_its_owner()
    {
        using var agent = new AgentDirectory();
        File.WriteAllText(Path.Combine(agent.Files, "in"), "from the host");
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files);
        ExecutionResult result = await sandbox.ShellAsync("cat in; echo from inside > out; ls -A ..");

        result.Out().ShouldBe("from the hostfiles\n", result.Describe());
        File.ReadAllText(Path.Combine(agent.Files, "out")).ShouldBe("from inside\n");
    }

    [Fact]
    public async Task A_program_that_does_not_exist_never_started()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        (await Should.ThrowAsync<SandboxStartException>(() => sandbox.RunAsync(["/no/such/program"]))).Message.ShouldContain("/no/such/program");
        (await Should.ThrowAsync<SandboxStartException>(() => sandbox.ExecuteAsync(
            new ExecutionRequest { ExecutionId = "e", Arguments = ["/bin/true"], WorkingDirectory = "/no/such/place" }, Token))).Message.ShouldContain("/no/such/place");
        (await sandbox.ShellAsync("exit 1")).ExitCode.ShouldBe(1, "positive control: a program may end as the starter does");
    }

    [Fact]
    public async Task A_deadline_ends_the_program_and_its_sandbox_and_output_is_capped()
    {
        await using ISandbox late = await host.NewSandboxAsync();
        ExecutionResult timeout = await late.ShellAsync("trap '' TERM; echo begun; sleep 60 & wait", seconds: 1);
        (timeout.Reason, timeout.ExitCode, timeout.Out()).ShouldBe((TerminationReason.Timeout, null, "begun\n"));
        late.Ended.IsCancellationRequested.ShouldBeTrue();
        await Should.ThrowAsync<SandboxStartException>(() => late.ShellAsync("true"));

        await using ISandbox loud = await host.NewSandboxAsync();
        ExecutionResult capped = await loud.ShellAsync("head -c 5000 /dev/zero", outputBytes: 1000);
        (capped.Reason, capped.StandardOutput.Length, capped.StandardOutputTruncated).ShouldBe((TerminationReason.Completed, 1000, true));
        ExecutionResult flood = await loud.ShellAsync("cat /dev/zero", outputBytes: 1000);
        flood.Reason.ShouldBe(TerminationReason.OutputLimit);
    }

    [Fact]
    public async Task Cancelling_kills_the_program_and_a_paused_sandbox_runs_nothing()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        await sandbox.PauseAsync(Token);
        Task<ExecutionResult> waiting = sandbox.ShellAsync("echo ran");
        waiting.IsCompleted.ShouldBeFalse();
        await sandbox.ResumeAsync(Token);
        (await waiting).Out().ShouldBe("ran\n");

        using var cancel = new CancellationTokenSource();
        var began = new TaskCompletionSource();
        Task<ExecutionResult> running = sandbox.ExecuteAsync(
            new ExecutionRequest { ExecutionId = "c", Arguments = ["/bin/bash", "-c", "echo on; sleep 60"], OnOutput = _ => began.TrySetResult() }, cancel.Token);
        await began.Task;
        await cancel.CancelAsync();
        (await running).Reason.ShouldBe(TerminationReason.Cancelled);
    }

    [Fact]
    public async Task Missing_bubblewrap_refuses_sandboxes_with_the_reason()
    {
        host.SkipUnlessAvailable();
        await using NamespacesRuntime runtime = NamespacesHost.NewRuntime(SandboxHost.NewStateKey(), "/no/bwrap");

        RuntimeProbe probe = await runtime.ProbeAsync(Token);
        (probe.Available, probe.Detail.Contains("/no/bwrap", StringComparison.Ordinal)).ShouldBe((false, true));
        SandboxRefusedException refused = await Should.ThrowAsync<SandboxRefusedException>(
            () => runtime.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("a", "b"), Image = host.Image }, Token));
        refused.Control.ShouldBe("runtime");
    }

    [Fact]
    public async Task Something_else_in_place_of_bubblewrap_never_runs_a_program()
    {
        host.SkipUnlessAvailable();
        // Says its version as bubblewrap does and runs the program without any isolation.
        string impostor = Path.Combine(Directory.CreateTempSubdirectory("rynxs-bwrap").FullName, "bwrap");
        File.WriteAllText(impostor, "#!/bin/sh\n[ \"$1\" = --version ] && { echo bubblewrap 9; exit; }\nshift 3\necho '{ \"exit-code\": 0 }' >&5\nexec \"$@\"\n");
        File.SetUnixFileMode(impostor, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(Path.GetDirectoryName(impostor)!, (UnixFileMode)0b111_101_101);
        await using NamespacesRuntime runtime = NamespacesHost.NewRuntime(SandboxHost.NewStateKey(), impostor);

        RuntimeProbe probe = await runtime.ProbeAsync(Token);

        probe.Available.ShouldBeFalse("nobody saw the program being confined");
        Directory.Delete(Path.GetDirectoryName(impostor)!, recursive: true);
    }

    [Fact]
    public async Task Limits_out_of_bounds_are_refused_by_name()
    {
        (await Should.ThrowAsync<ArgumentException>(() => host.NewSandboxAsync(limits: new SandboxLimits { Pids = 0 }))).Message.ShouldContain("limits.pids");
    }
}
