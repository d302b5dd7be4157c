using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>Attacks on the namespaces tier, and the same attacks without isolation, where they must succeed: else a test here could not fail.</summary>
[Collection(NamespacesTests.Name)]
public sealed class NamespacesAttackTests(NamespacesHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    public static TheoryData<string> Names() => [.. Attack.All.Select(attack => attack.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task The_sandbox_holds_against(string name)
    {
        Attack attack = Attack.All.Single(attack => attack.Name == name);
        using var agent = new AgentDirectory();
        using TcpListener listener = Listen();
        await using ISandbox sandbox = await host.NewSandboxAsync(agent.Files);

        ExecutionResult result = await sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = "attack",
            Arguments = ["/usr/bin/python3", "-c", attack.Program],
            Environment = Environment(agent, listener),
        }, Token);

        attack.Failure(result).ShouldBeNull();
        result.Out().ShouldNotContain(agent.Secret);
    }

    /// <summary>The run with isolation switched off: the same programs as the same user, without namespaces, filter or supervisor. Every one of them must be reported as a failure.</summary>
    [Fact]
    public async Task Without_isolation_the_same_suite_is_red()
    {
        host.SkipUnlessAvailable();
        Assert.SkipUnless(File.Exists("/usr/bin/python3"), "the host has no Python");
        using var agent = new AgentDirectory();
        using TcpListener listener = Listen();
        List<string> green = [];
        foreach (Attack attack in Attack.All.Where(attack => attack.WorksOutside))
        {
            ExecutionResult result = await UnisolatedRunner.RunAsync(attack.Program, Environment(agent, listener));
            if (attack.Failure(result) is not { } failure)
            {
                green.Add(attack.Name);
                continue;
            }

            // A kernel without AF_ALG refuses it by itself; that nobody ended the program is the failure then.
            (failure.EndsWith(" worked", StringComparison.Ordinal) || attack.IsKilled).ShouldBeTrue($"{attack.Name} must fail for what it did, not for something else: {failure}");
        }

        green.ShouldBeEmpty();
        Attack.All.Count(attack => attack.WorksOutside).ShouldBeGreaterThan(8);
    }

    [Fact]
    public async Task A_violation_names_the_call_its_arguments_and_its_process()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        ExecutionResult result = await sandbox.PythonAsync("import ctypes; l=ctypes.CDLL(None); [l.unshare(0x10000000) for _ in range(3)]; l.ptrace(16,1,0,0)");

        Violation unshare = result.Violations.Single(violation => violation.ViolationType == "namespace_escape");
        unshare.Indicators["system_call"].ShouldBe("unshare");
        unshare.Indicators["arguments"].ShouldStartWith("0x10000000, ");
        unshare.Indicators["count"].ShouldBe("3");
        unshare.Indicators["process"].ShouldBe("python3");
        unshare.Indicators["errno"].ShouldBe("1");
        int.Parse(unshare.Indicators["process_id"], CultureInfo.InvariantCulture).ShouldBeGreaterThan(1);
        (unshare.Blocked, unshare.DetectionLayer, unshare.Severity).ShouldBe((true, DetectionLayer.Seccomp, Severity.High));
        result.Violations.Select(violation => violation.ViolationType).ShouldBe(["namespace_escape", "ptrace_attempt"]);
        (await sandbox.PythonAsync("print(1)")).Violations.ShouldBeEmpty("each program has its own account");
    }

    [Fact]
    public async Task A_flood_of_attempts_is_bounded_and_slows_only_the_program()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        const int attempts = 2000;
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        ExecutionResult result = await sandbox.PythonAsync($"import ctypes; l=ctypes.CDLL(None)\nfor i in range({attempts}): l.unshare(0x10000000)\nprint('done')");

        result.Out().ShouldBe("done\n", result.Describe());
        result.Violations.Single().Indicators["count"].ShouldBe(attempts.ToString(CultureInfo.InvariantCulture));
        result.Duration.ShouldBeGreaterThan(TimeSpan.FromSeconds(1), "answers after the first 256 wait a millisecond each");
        (Process.GetCurrentProcess().TotalProcessorTime - before).ShouldBeLessThan(result.Duration, "our own time is bounded");
    }

    private static TcpListener Listen()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener;
    }

    private static Dictionary<string, string> Environment(AgentDirectory agent, TcpListener listener)
    {
        // Readable by anybody on the host: what hides it is the sandbox.
        string secret = Path.Combine(agent.Root, "inbox.jsonl");
        File.SetUnixFileMode(agent.Root, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(secret, (UnixFileMode)0b110_100_100);
        return new Dictionary<string, string>
        {
            ["SECRET_FILE"] = secret,
            ["LISTENER"] = ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture),
        };
    }
}

/// <summary>A runner that isolates nothing, for the test of the tests: another user, and that is all.</summary>
internal static class UnisolatedRunner
{
    public static async Task<ExecutionResult> RunAsync(string program, IReadOnlyDictionary<string, string> environment)
    {
        var info = new ProcessStartInfo("setpriv") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string word in (string[])["--reuid=1000", "--regid=1000", "--clear-groups", "/usr/bin/python3", "-c", program])
        {
            info.ArgumentList.Add(word);
        }

        info.WorkingDirectory = "/tmp";
        info.Environment["OUTSIDE"] = "1";
        foreach ((string name, string value) in environment)
        {
            info.Environment[name] = value;
        }

        using Process process = Process.Start(info)!; // not a shell association, so never null
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        string error = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new ExecutionResult
        {
            ExitCode = process.ExitCode,
            Reason = process.ExitCode == 0 ? TerminationReason.Completed : TerminationReason.NonzeroExit,
            StandardOutput = System.Text.Encoding.UTF8.GetBytes(await output),
            StandardError = System.Text.Encoding.UTF8.GetBytes(error),
            StandardOutputTruncated = false,
            StandardErrorTruncated = false,
            Duration = TimeSpan.Zero,
            Violations = [],
            Usage = new ResourceUsage(null, null, null, null),
        };
    }
}
