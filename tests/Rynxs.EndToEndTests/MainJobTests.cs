using System.Text.Json;

namespace Rynxs.EndToEndTests;

/// <summary>One server for the tests of the main job.</summary>
public sealed class MainJobServer : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();

    internal RunningServer? Server { get; private set; }

    public async ValueTask InitializeAsync()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return; // each test then says why it is skipped
        }

        Server = await RunningServer.StartAsync(_directory.File("state"));
        foreach (string example in (string[])["universe.yaml", "agent.yaml", "analyst.yaml"])
        {
            Finished applied = await Server.RunAsync("apply", "-f", Path.Combine(RynxsProgram.Repository, "examples", example));
            applied.ExitCode.ShouldBe(0, applied.All);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Server is not null)
        {
            await Server.DisposeAsync();
        }

        _directory.Dispose();
    }
}

/// <summary>The main job through the command line: real server, real sandbox, the original's own manifest.</summary>
public sealed class MainJobTests(MainJobServer job) : IClassFixture<MainJobServer>
{
    [Fact]
    public async Task Seeds_task_with_the_seeds_manifest_prints_gvisors_uname()
    {
        RunningServer server = Server();

        Finished task = await server.RunAsync("task", "my-agent", "run uname -a in sandbox", "--wait");

        task.ExitCode.ShouldBe(0, task.All);
        task.Output.ShouldStartWith("Linux ");
        task.Output.ShouldNotContain(Environment.OSVersion.Version.ToString(3), customMessage: "the kernel is the host's");
        Finished boot = await server.RunAsync("exec", "my-agent", "--", "dmesg");
        boot.Output.ShouldContain("gVisor");
    }

    [Fact]
    public async Task Line_appended_by_hand_to_the_inbox_is_answered_in_the_outbox()
    {
        RunningServer server = Server();
        string workspace = Path.Combine(server.State, "workspaces", "rynxs", "my-agent");

        await File.AppendAllTextAsync(Path.Combine(workspace, "inbox.jsonl"), """{"id":"by-hand-1","text":"run echo hello from the inbox in sandbox"}""" + "\n", TestContext.Current.CancellationToken);

        JsonElement answer = await Eventually.Async(() =>
        {
            string outbox = Path.Combine(workspace, "outbox.jsonl");
            IEnumerable<string> lines = File.Exists(outbox) ? File.ReadLines(outbox) : [];
            return lines.Where(line => line.Length > 0).Select(Parse).Cast<JsonElement?>().FirstOrDefault(line => line?.GetProperty("id").GetString() == "by-hand-1");
        });
        answer.GetProperty("status").GetString().ShouldBe("completed", answer.GetRawText());
        answer.GetProperty("output").GetProperty("text").GetString().ShouldNotBeNull().ShouldContain("hello from the inbox");
    }

    [Fact]
    public async Task Failed_task_exits_with_1_and_gives_the_reason()
    {
        Finished task = await Server().RunAsync("task", "my-agent", "run exit 3 in sandbox", "--wait");

        task.ExitCode.ShouldBe(1, task.All);
        task.Error.ShouldContain("Failed");
    }

    [Fact]
    public async Task Run_gives_the_programs_output_error_and_exit_code()
    {
        RunningServer server = Server();
        using var directory = new TemporaryDirectory();
        await File.WriteAllTextAsync(directory.File("p.py"), "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(7)\n", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(directory.File("p.sh"), "echo \"shell $BASH_VERSION\"\n", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(directory.File("slow.py"), "import time\ntime.sleep(30)\n", TestContext.Current.CancellationToken);

        Finished python = await server.RunAsync("run", directory.File("p.py"));
        Finished shell = await server.RunAsync("run", directory.File("p.sh"));
        Finished slow = await server.RunAsync("run", directory.File("slow.py"), "--timeout", "1");

        (python.ExitCode, python.Output, python.Error).ShouldBe((7, "out\n", "err\n"));
        shell.ExitCode.ShouldBe(0, shell.All);
        shell.Output.ShouldStartWith("shell 5");
        slow.ExitCode.ShouldBe(124, slow.All);
    }

    [Fact]
    public async Task Exec_runs_in_the_agents_workspace_with_standard_input()
    {
        RunningServer server = Server();

        Finished written = await RynxsProgram.RunAsync(new Invocation
        {
            Arguments = ["exec", "my-agent", "-i", "--state", server.State, "--", "sh", "-c", "cat > note.txt; exit 5"],
            Input = "kept\n"u8.ToArray(),
        });
        Finished read = await server.RunAsync("exec", "my-agent", "--", "cat", "note.txt");

        written.ExitCode.ShouldBe(5, written.All);
        read.Output.ShouldBe("kept\n", read.All);
    }

    [Fact]
    public async Task E5_call_that_needs_approval_waits_and_runs_after_another_principal_approved()
    {
        RunningServer server = Server();
        Finished created = await server.RunAsync("task", "analyst", "run echo approved-run in sandbox", "--name", "needs-approval");
        created.ExitCode.ShouldBe(0, created.All);
        string approval = await Eventually.Async(async () =>
        {
            Finished open = await server.RunAsync("get", "approvals", "-o", "json", "--field-selector", "spec.agent=analyst");
            using JsonDocument list = JsonDocument.Parse(open.Output);
            return list.RootElement.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("metadata").GetProperty("name").GetString()).FirstOrDefault();
        });
        string token = (await server.RunAsync("token", "create", "user:approver", "--role", "approver")).Output.Trim();
        Finished developer = await server.RunAsync("token", "create", "user:developer", "--role", "developer");

        Finished refused = await server.RunAsync("approve", approval, "--token", developer.Output.Trim());
        Finished approved = await server.RunAsync("approve", approval, "--token", token, "--reason", "for the test");
        Finished again = await server.RunAsync("reject", approval, "--token", token);

        refused.ExitCode.ShouldBe(1, refused.All);
        approved.ExitCode.ShouldBe(0, approved.All);
        again.ExitCode.ShouldBe(1, again.All);
        again.Error.ShouldContain("already_decided");
        string phase = await Eventually.Async(async () =>
        {
            Finished task = await server.RunAsync("get", "task", "needs-approval", "-o", "json");
            using JsonDocument document = JsonDocument.Parse(task.Output);
            string? value = document.RootElement.GetProperty("status").GetProperty("phase").GetString();
            return value is "Completed" or "Failed" ? value : null;
        });
        phase.ShouldBe("Completed");
    }

    [Fact]
    public async Task F1_audit_verifies_online_and_offline_and_logs_show_what_happened()
    {
        RunningServer server = Server();
        (await server.RunAsync("task", "my-agent", "say hello", "--wait")).ExitCode.ShouldBe(0);

        Finished online = await server.RunAsync("audit", "verify", "my-agent");
        Finished offline = await server.RunAsync("audit", "verify", "my-agent", "--offline");
        Finished whole = await RynxsProgram.RunAsync("ledger", "verify", server.State);
        Finished logs = await server.RunAsync("logs", "my-agent", "--tail", "20");

        online.ExitCode.ShouldBe(0, online.All);
        offline.ExitCode.ShouldBe(0, offline.All);
        whole.ExitCode.ShouldBe(0, whole.All);
        whole.Output.ShouldContain("control");
        logs.Output.ShouldContain("TaskFinished");
    }

    [Fact]
    public async Task Unknown_agent_of_a_task_is_an_error_and_not_a_task_that_waits_for_ever()
    {
        Finished task = await Server().RunAsync("task", "nobody", "say hello", "--wait");

        task.ExitCode.ShouldBe(1, task.All);
        task.Error.ShouldContain("there is no agent 'nobody'");
    }

    private static JsonElement Parse(string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        return document.RootElement.Clone();
    }

    private RunningServer Server()
    {
        SandboxRequirement.Require();
        return job.Server ?? throw new InvalidOperationException("The server was not started.");
    }
}
