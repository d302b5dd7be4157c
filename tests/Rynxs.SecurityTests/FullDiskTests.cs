using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Verifier;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>The disk of a running server fills up and has space again later: a real file system of 24 MiB, really full.</summary>
public sealed class FullDiskTests
{
    private const string Tasks = "/apis/universe.ai/v1alpha1/namespaces/team/tasks", Messages = "/api/v1/namespaces/team/agents/worker/messages";

    [Fact]
    public async Task G4_a_full_disk_refuses_what_cannot_be_recorded_and_the_same_server_goes_on_when_there_is_space()
    {
        SandboxRequirement.Require();
        string disk = TestServer.NewStatePath();
        Directory.CreateDirectory(disk);
        Run("mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", disk);
        try
        {
            string state = Path.Combine(disk, "s");
            List<string> accepted;
            await using (TestServer server = await TestServer.StartAsync(state))
            {
                await server.CreateAgentAsync("team", "worker", """{"role":"sandbox"}""");
                await server.CreateTaskAsync("team", "before", "worker", "run echo before in sandbox");
                await server.WaitForTaskAsync("team", "before");

                string filler = Path.Combine(disk, "filler");
                Fill(filler);
                accepted = await SendUntilRefusedAsync(server);
                (HttpStatusCode status, string code) = await PostAsync(server, "/api/v1/sandbox/execute", """{"agent_id":"other","code":"echo hi","language":"bash"}""");
                status.ShouldBeOneOf(HttpStatusCode.ServiceUnavailable, HttpStatusCode.InsufficientStorage);
                code.ShouldBeOneOf("ledger_unavailable", "storage_unavailable");
                (status, _) = await PostAsync(server, Tasks, TaskOf("refused"));
                status.ShouldBe(HttpStatusCode.InsufficientStorage);
                JsonElement ready = await server.GetAsync("/readyz", HttpStatusCode.ServiceUnavailable);
                ready.GetProperty("status").GetString().ShouldBe("not_ready");

                File.Delete(filler);
                (await server.CreateTaskAsync("team", "after", "worker", "run echo after >> effects in sandbox")).ValueKind.ShouldBe(JsonValueKind.Object);
                (await server.WaitForTaskAsync("team", "after")).GetProperty("status").GetProperty("phase").GetString().ShouldBe("Completed");
                server.Server.Completion.IsCompleted.ShouldBeFalse("no part of the server died");
                await server.GetAsync($"{Tasks}/refused", HttpStatusCode.NotFound);
            }

            string[] answered = [.. File.ReadAllLines(Path.Combine(state, "workspaces", "team", "worker", "outbox.jsonl"))
                .Select(line => JsonDocument.Parse(line).RootElement)
                .Where(line => line.TryGetProperty("id", out _))
                .Select(line => line.GetProperty("id").GetString() ?? "")];
            answered.ShouldBeUnique();
            accepted.ShouldBeSubsetOf(answered, "what was accepted is answered");
            File.ReadAllLines(Path.Combine(state, "workspaces", "team", "worker", "files", "effects")).ShouldBe(["after"]);
            LedgerVerification verification = ChainVerifier.VerifyPath(state, TestContext.Current.CancellationToken);
            verification.Failure.ShouldBeNull();
            verification.Chains.ShouldContain(chain => chain.Chain == "agents/team/worker" && chain.Records > 5, "positive control: the chain was verified");
        }
        finally
        {
            Run("umount", disk);
            Directory.Delete(disk);
        }
    }

    /// <summary>The rest of the inbox's last block may take a line or two; then there is no more.</summary>
    private static async Task<List<string>> SendUntilRefusedAsync(TestServer server)
    {
        var accepted = new List<string>();
        string body = JsonSerializer.Serialize(new { text = "say " + new string('m', 3000) });
        for (int i = 0; i < 4; i++)
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using HttpResponseMessage response = await server.Http.PostAsync(Messages, content, TestContext.Current.CancellationToken);
            using var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
            if (response.StatusCode != HttpStatusCode.Accepted)
            {
                response.StatusCode.ShouldBe(HttpStatusCode.InsufficientStorage, answer.RootElement.ToString());
                answer.RootElement.GetProperty("code").GetString().ShouldBe("storage_unavailable");
                return accepted;
            }

            accepted.Add(answer.RootElement.GetProperty("message_id").GetString() ?? "");
        }

        throw new ShouldAssertException("a full disk took every message");
    }

    private static async Task<(HttpStatusCode Status, string Code)> PostAsync(TestServer server, string path, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await server.Http.PostAsync(path, content, TestContext.Current.CancellationToken);
        using var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        return (response.StatusCode, answer.RootElement.TryGetProperty("code", out JsonElement code) ? code.ToString() : "");
    }

    private static string TaskOf(string name) => JsonSerializer.Serialize(new
    {
        apiVersion = "universe.ai/v1alpha1", kind = "Task", metadata = new { name, @namespace = "team" },
        spec = new { title = name, description = "run echo refused >> effects in sandbox", assignee = "worker" },
    });

    private static void Fill(string path)
    {
        foreach (int size in (int[])[64 * 1024, 512])
        {
            using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
            byte[] block = new byte[size];
            try
            {
                while (true)
                {
                    file.Write(block);
                }
            }
            catch (IOException)
            {
                // Full: what was wanted.
            }
        }
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, $"{program} {string.Join(' ', arguments)}");
    }
}
