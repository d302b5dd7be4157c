using Rynxs.Sandbox.Limits;

namespace Rynxs.Sandbox.Tests;

/// <summary>How programs run and end, in real sandboxes.</summary>
public sealed class ExecutionTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Output_and_errors_arrive_apart_with_the_exit_code()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult ok = await sandbox.ShellAsync("echo out; echo err >&2");
        ExecutionResult failed = await sandbox.ShellAsync("exit 7");
        ExecutionResult killed = await sandbox.ShellAsync("kill -TERM $$");
        ExecutionResult unicode = await sandbox.RunAsync(["/bin/echo", "-n", "héllo 世界 🙂", "a b\n'c\""]);
        ExecutionResult lines = await sandbox.ShellAsync("for i in $(seq 1000); do echo line $i; done");

        ok.Reason.ShouldBe(TerminationReason.Completed, ok.Describe());
        (ok.Out(), ok.Err(), ok.ExitCode).ShouldBe(("out\n", "err\n", 0));
        (failed.Reason, failed.ExitCode).ShouldBe((TerminationReason.NonzeroExit, 7));
        (killed.Reason, killed.ExitCode).ShouldBe((TerminationReason.NonzeroExit, 143));
        unicode.Out().ShouldBe("héllo 世界 🙂 a b\n'c\"");
        lines.Out().Split('\n').Length.ShouldBe(1001);
        lines.Out().ShouldEndWith("line 1000\n");
        ok.Violations.ShouldBeEmpty();
        sandbox.Controls.ShouldNotBeEmpty();
        ok.Usage.Cpu.ShouldNotBeNull().ShouldBeGreaterThan(TimeSpan.Zero);
        ok.Usage.MemoryPeakBytes.ShouldNotBeNull().ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Standard_input_environment_and_directory_reach_the_program()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        byte[] input = new byte[300_000];
        Random.Shared.NextBytes(input);

        ExecutionResult sum = await sandbox.ExecuteAsync(new ExecutionRequest { ExecutionId = "in", Arguments = ["sha256sum"], StandardInput = input }, Token);
        ExecutionResult environment = await sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = "env",
            Arguments = ["/bin/bash", "-c", "echo \"$MY_VALUE|$HOME|$PWD|$(id -u)\"; env | grep -c SECRET"],
            Environment = new Dictionary<string, string> { ["MY_VALUE"] = "x y=z" },
            WorkingDirectory = "/tmp",
        }, Token);
        ExecutionResult closed = await sandbox.ExecuteAsync(new ExecutionRequest { ExecutionId = "noread", Arguments = ["/bin/true"], StandardInput = input }, Token);

        sum.Out().ShouldStartWith(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(input)));
        environment.Out().ShouldBe("x y=z|/workspace/files|/tmp|1000\n0\n");
        closed.Reason.ShouldBe(TerminationReason.Completed, "a program need not read its input");
    }

    [Fact]
    public async Task Output_beyond_the_cap_is_dropped_and_flagged_and_a_little_more_does_not_kill()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        int heard = 0;

        ExecutionResult result = await sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = "cap",
            Arguments = ["/bin/bash", "-c", "head -c 5000 /dev/zero | tr '\\0' x; echo small >&2"],
            OutputBytes = 1000,
            OnOutput = chunk => Interlocked.Add(ref heard, chunk.IsError ? 0 : chunk.Data.Length),
        }, Token);
        ExecutionResult whole = await sandbox.ShellAsync("head -c 1000 /dev/zero | tr '\\0' x", outputBytes: 1000);

        (result.Reason, result.StandardOutput.Length, result.StandardOutputTruncated, result.StandardErrorTruncated).ShouldBe((TerminationReason.Completed, 1000, true, false));
        heard.ShouldBe(1000);
        whole.StandardOutputTruncated.ShouldBeFalse("exactly the cap is not truncated");
    }

    [Fact]
    public async Task Log_flood_ends_as_output_limit()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        ExecutionResult result = await sandbox.RunAsync(["/usr/bin/yes"], seconds: 30, outputBytes: 10_000);

        (result.Reason, result.ExitCode, result.StandardOutputTruncated).ShouldBe((TerminationReason.OutputLimit, null, true));
        result.StandardOutput.Length.ShouldBe(10_000);
        await ShouldBeGoneAsync(sandbox);
    }

    [Fact]
    public async Task Deadline_ends_as_timeout_and_a_program_within_it_completes()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        (await sandbox.ShellAsync("sleep 0.2", seconds: 20)).Reason.ShouldBe(TerminationReason.Completed);

        ExecutionResult result = await sandbox.ShellAsync("echo before; trap '' TERM INT HUP; while :; do sleep 1; done", seconds: 1);

        (result.Reason, result.ExitCode, result.Out()).ShouldBe((TerminationReason.Timeout, null, "before\n"));
        result.Err().ShouldBeEmpty("the command's own complaint about its dead sandbox is not the program's");
        result.Duration.ShouldBeInRange(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10));
        await ShouldBeGoneAsync(sandbox);
    }

    [Fact]
    public async Task Cancellation_ends_as_cancelled()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        using var source = new CancellationTokenSource();
        var request = new ExecutionRequest
        {
            ExecutionId = "cancel",
            Arguments = ["/bin/bash", "-c", "echo running; sleep 60"],
            OnOutput = _ => source.Cancel(),
        };

        ExecutionResult result = await sandbox.ExecuteAsync(request, source.Token);

        (result.Reason, result.ExitCode, result.Out()).ShouldBe((TerminationReason.Cancelled, null, "running\n"));
    }

    [Fact]
    public async Task Memory_bomb_ends_as_oom_killed_and_a_modest_program_completes()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync(limits: new SandboxLimits { MemoryBytes = 96L << 20 });
        (await sandbox.PythonAsync("x = bytearray(20 << 20)")).Reason.ShouldBe(TerminationReason.Completed);

        ExecutionResult result = await sandbox.PythonAsync("x = []\nwhile True: x.append(bytearray(b'x' * (8 << 20)))");

        result.Reason.ShouldBe(TerminationReason.OomKilled, result.Describe());
    }

    [Fact]
    public async Task G6_fork_bomb_ends_as_pids_limit_and_the_host_keeps_its_processes()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync(limits: new SandboxLimits { Pids = 32 });
        (await sandbox.ShellAsync("for i in 1 2 3; do sleep 0 & done; wait")).Reason.ShouldBe(TerminationReason.Completed);

        ExecutionResult result = await sandbox.PythonAsync("import os,time\nwhile True:\n  if os.fork()==0: time.sleep(60)");

        result.Reason.ShouldBe(TerminationReason.PidsLimit, result.Describe());
        (await sandbox.ShellAsync("ps aux | grep -c '[t]ime.sleep'")).Out().ShouldBe("0\n", "what a program left behind is ended before the next");
    }

    [Fact]
    public async Task Filling_tmp_or_the_workspace_ends_as_disk_limit()
    {
        using var agent = new AgentDirectory();
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files, new SandboxLimits { TmpBytes = 4L << 20 }, workspaceBytes: 20L << 20);
        (await sandbox.ShellAsync("head -c 1000000 /dev/zero > /tmp/a; head -c 5000000 /dev/zero > b; rm /tmp/a")).Reason.ShouldBe(TerminationReason.Completed);
        (await sandbox.ShellAsync("exit 3")).Reason.ShouldBe(TerminationReason.NonzeroExit, "an ordinary failure is not a full disk");

        ExecutionResult tmp = await sandbox.ShellAsync("head -c 100000000 /dev/zero > /tmp/fill");
        ExecutionResult workspace = await sandbox.ShellAsync("rm -f /tmp/fill; while :; do head -c 4000000 /dev/zero >> fill; sleep 0.05; done", seconds: 60);

        tmp.Reason.ShouldBe(TerminationReason.DiskLimit, tmp.Describe());
        workspace.Reason.ShouldBe(TerminationReason.DiskLimit, workspace.Describe());
    }

    [Fact]
    public async Task Program_that_is_not_there_was_never_started_and_the_sandbox_lives_on()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        SandboxStartException refused = await Should.ThrowAsync<SandboxStartException>(() => sandbox.RunAsync(["/no/such/program"]));

        refused.Message.ShouldContain("/no/such/program");
        (await sandbox.ShellAsync("exit 128")).ExitCode.ShouldBe(128, "a program's own 128 is not a start failure");
    }

    [Theory]
    [InlineData("arguments", "")]
    [InlineData("NUL", "a\0b")]
    public async Task Malformed_requests_are_refused_by_name(string field, string argument)
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        (await Should.ThrowAsync<ArgumentException>(() => sandbox.RunAsync([argument]))).Message.ShouldContain(field);
        (await Should.ThrowAsync<ArgumentException>(() => sandbox.ExecuteAsync(
            new ExecutionRequest { ExecutionId = "x", Arguments = ["true"], Environment = new Dictionary<string, string> { ["A=B"] = "" } }, Token))).Message.ShouldContain("environment");
        (await Should.ThrowAsync<ArgumentException>(() => sandbox.ExecuteAsync(
            new ExecutionRequest { ExecutionId = "x", Arguments = ["true"], Timeout = TimeSpan.FromHours(1) }, Token))).Message.ShouldContain("timeout");
    }

    [Fact]
    public async Task Eight_sandboxes_work_at_once_and_see_only_their_own_files()
    {
        host.SkipUnlessAvailable();
        string[] answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(async i =>
        {
            using var agent = new AgentDirectory();
            await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files);
            ExecutionResult wrote = await sandbox.ShellAsync($"echo {i} > mine; sleep 0.3; ls; cat mine; hostname");
            wrote.Reason.ShouldBe(TerminationReason.Completed, wrote.Describe());
            File.ReadAllText(Path.Combine(agent.Files, "mine")).ShouldBe($"{i}\n");
            return wrote.Out();
        }));

        answers.ShouldBe(Enumerable.Range(0, 8).Select(i => $"mine\n{i}\nsandbox\n"));
    }

    [Fact]
    public async Task Programs_of_one_sandbox_run_one_at_a_time()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();

        await Task.WhenAll(Enumerable.Range(0, 4).Select(i => sandbox.ShellAsync($"echo b >> /tmp/log; sleep 0.1; echo e >> /tmp/log")));

        (await sandbox.ShellAsync("tr -d '\\n' < /tmp/log")).Out().ShouldBe("bebebebe");
    }

    private static async Task ShouldBeGoneAsync(ISandbox sandbox)
    {
        sandbox.Ended.IsCancellationRequested.ShouldBeTrue();
        await Should.ThrowAsync<SandboxStartException>(() => sandbox.ShellAsync("true"));
    }
}
