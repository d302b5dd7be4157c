using System.Net;
using System.Text.Json;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>What an agent reaches from inside: its own files, and nothing of others, of its mailboxes or of its audit.</summary>
public sealed class AgentIsolationTests
{
    private const string Ns = "team";

    [Fact]
    public async Task F2_an_agent_reaches_neither_anothers_workspace_nor_its_own_mailboxes_and_audit()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        await server.CreateAgentAsync(Ns, "alice", """{"role":"sandbox"}""");
        await server.CreateAgentAsync(Ns, "bob", """{"role":"sandbox"}""");
        string workspaces = Path.Combine(server.State, "workspaces", Ns);
        string secret = "bobs-secret-" + Guid.NewGuid().ToString("N");
        await File.WriteAllTextAsync(Path.Combine(workspaces, "bob", "files", "secret.txt"), secret, TestContext.Current.CancellationToken);
        (await ShellAsync(server, "bob", "cat /workspace/files/secret.txt")).Output.ShouldContain(secret, Case.Sensitive, "positive control: its owner reads it");
        (await ShellAsync(server, "alice", "echo mine > /workspace/files/own && cat /workspace/files/own")).Output.ShouldContain("mine", Case.Sensitive, "positive control: it writes its own");

        // Code: by path, by climbing, by links, through /proc.
        string host = Path.Combine(workspaces, "bob", "files", "secret.txt");
        string[] attacks =
        [
            $"cat {host}", "cat /workspace/files/../../bob/files/secret.txt", $"ln -s {host} /workspace/files/link; cat /workspace/files/link",
            $"cat /proc/1/root{host}", $"cat /proc/self/root{host}", "cat /workspace/inbox.jsonl", "cat /workspace/audit.jsonl", "cat /workspace/files/../audit.jsonl",
            "grep -rl " + secret + " / --exclude-dir=proc --exclude-dir=sys 2>/dev/null | head -3", "for p in /proc/[0-9]*; do cat $p/root" + host + " $p/environ 2>/dev/null; done",
        ];
        foreach (string attack in attacks)
        {
            (string output, _) = await ShellAsync(server, "alice", attack);
            output.ShouldNotContain(secret, Case.Sensitive, attack);
            output.ShouldNotContain("prev_hash", Case.Sensitive, attack);
            output.ShouldNotContain(server.Server.AdminToken, Case.Sensitive, attack);
        }

        string auditBefore = AccessTests.ReadShared(Path.Combine(workspaces, "alice", "audit.jsonl"));
        (string _, int? code) = await ShellAsync(server, "alice", "echo forged >> /workspace/audit.jsonl || echo forged > /workspace/files/../outbox.jsonl");
        code.ShouldNotBe(0);
        AccessTests.ReadShared(Path.Combine(workspaces, "alice", "audit.jsonl")).ShouldStartWith(auditBefore);
        File.ReadAllText(Path.Combine(workspaces, "alice", "outbox.jsonl")).ShouldNotContain("forged");

        // Tools of the agent itself: a planted link must not lead fs.read and fs.write out of the workspace.
        await server.CreateTaskAsync(Ns, "steal", "alice", "read file link");
        JsonElement task = await server.WaitForTaskAsync(Ns, "steal");
        task.ToString().ShouldNotContain(secret);
        (await server.GetTextAsync($"/api/v1/namespaces/{Ns}/agents/alice/logs")).ShouldNotContain(secret[12..] + "\\n");
    }

    [Fact]
    public async Task D1_a_sandbox_sees_no_token_no_secret_and_no_state()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        JsonElement run = await server.PostAsync(
            "/api/v1/sandbox/execute",
            """{"agent_id":"d1","language":"bash","code":"env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; mount; ls -la / /run 2>&1","environment":{"VISIBLE":"yes-it-is"}}""");
        string output = run.GetProperty("output").GetString()!;

        output.ShouldContain("yes-it-is", Case.Sensitive, "positive control: the environment was read");
        output.ShouldNotContain(server.Server.AdminToken);
        output.ShouldNotContain(server.State);
        output.ShouldNotContain("RYNXS_TOKEN");
    }

    private static async Task<(string Output, int? Code)> ShellAsync(TestServer server, string agent, string command)
    {
        JsonElement result = await server.PostAsync(
            $"/api/v1/namespaces/{Ns}/agents/{agent}/exec", JsonSerializer.Serialize(new { argv = (string[])["bash", "-c", command], timeout_seconds = 60 }), HttpStatusCode.OK);
        JsonElement code = result.GetProperty("exit_code");
        return (result.GetProperty("stdout").GetString() + result.GetProperty("stderr").GetString(), code.ValueKind == JsonValueKind.Null ? null : code.GetInt32());
    }
}
