namespace Rynxs.Sandbox.Tests;

/// <summary>Ways of a guest to take more of the host's disk than its workspace's limit.</summary>
public sealed class WorkspaceLimitAttackTests(SandboxHost host)
{
    private const long Limit = 8L << 20;

    [Theory]
    [InlineData("plain", "f = open('plain', 'wb')")]
    [InlineData("name that is not text", @"f = open(b'hidden\xff', 'wb')")]
    [InlineData("directory that is not text", @"os.mkdir(b'd\xff'); f = open(b'd\xff/x', 'wb')")]
    [InlineData("unlinked while open", "f = open('gone', 'wb'); os.unlink('gone')")]
    [InlineData("deep directory", "[(os.mkdir('d'), os.chdir('d')) for _ in range(60)]; f = open('x', 'wb')")]
    [InlineData("many small files", "i = 0\nwhile i < 8000:\n  i += 1\n  open(f's{i}', 'wb').write(b'x')\nf = open('y', 'wb')")]
    public async Task B10_bytes_beyond_the_limit_end_the_program_wherever_they_are_hidden(string kind, string opening)
    {
        kind.ShouldNotBeEmpty();
        using var agent = new AgentDirectory();
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files, workspaceBytes: Limit);
        ExecutionResult modest = await sandbox.PythonAsync("open('modest', 'wb').write(bytes(1 << 20))");
        modest.Reason.ShouldBe(TerminationReason.Completed, "positive control: within the limit a program completes: " + modest.Describe());

        ExecutionResult result = await sandbox.PythonAsync($"""
            import os, time
            {opening}
            for _ in range(12):
              f.write(bytes(1 << 20)); f.flush()
            time.sleep(8)
            """);

        result.Reason.ShouldBe(TerminationReason.DiskLimit, result.Describe());
    }

    [Fact]
    public async Task B10_a_program_that_ends_between_two_looks_is_still_over_its_limit_and_the_next_one_cannot_add()
    {
        using var agent = new AgentDirectory();

        ExecutionResult quick = await InOwnSandboxAsync("head -c 12000000 /dev/zero > quick");
        long held = new FileInfo(Path.Combine(agent.Files, "quick")).Length;
        held.ShouldBeGreaterThan(Limit, "positive control: the program did get beyond its limit");
        ExecutionResult more = await InOwnSandboxAsync("head -c 12000000 /dev/zero > more");
        ExecutionResult cleaning = await InOwnSandboxAsync("rm -f quick more && echo cleaned");
        ExecutionResult after = await InOwnSandboxAsync("echo fits > small && cat small");

        quick.Reason.ShouldBe(TerminationReason.DiskLimit, quick.Describe());
        more.Reason.ShouldBe(TerminationReason.DiskLimit, more.Describe());
        cleaning.Out().ShouldBe("cleaned\n", "programs that make it smaller still run: " + cleaning.Describe());
        after.Out().ShouldBe("fits\n", after.Describe());

        async Task<ExecutionResult> InOwnSandboxAsync(string script)
        {
            await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files, workspaceBytes: Limit);
            return await sandbox.ShellAsync(script);
        }
    }
}
