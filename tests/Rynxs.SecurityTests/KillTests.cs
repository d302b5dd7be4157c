using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Verifier;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>The server is killed with SIGKILL while it works, and started again.</summary>
public sealed class KillTests
{
    private const int Tasks = 20;
    private const string Ns = "team";

    [Fact]
    public async Task G4_killed_in_the_middle_of_twenty_tasks_every_task_ends_the_audit_verifies_and_nothing_is_left()
    {
        SandboxRequirement.Require();
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        string state = TestServer.NewStatePath();
        using (Process first = await StartChildAsync(state))
        {
            (Uri url, string token) = await ReadAddressAsync(first);
            using HttpClient http = Client(url, token);
            await PostAsync(http, $"/apis/universe.ai/v1alpha1/namespaces/{Ns}/agents", Manifest("Agent", "worker", new { role = "sandbox" }));
            for (int i = 0; i < Tasks; i++)
            {
                string name = string.Create(CultureInfo.InvariantCulture, $"t{i}");
                await PostAsync(
                    http, $"/apis/universe.ai/v1alpha1/namespaces/{Ns}/tasks",
                    Manifest("Task", name, new { title = name, description = $"run echo {name} in sandbox", assignee = "worker", maxAttempts = 3 }));
            }

            // In the middle: some have ended, some have not.
            await WaitForCountAsync(http, phases => phases.Count(IsFinal) is >= 3 and < Tasks, cancellationToken);
            first.Kill(entireProcessTree: false);
            await first.WaitForExitAsync(cancellationToken);
        }

        await using (TestServer server = await TestServer.StartAsync(state))
        {
            for (int i = 0; i < Tasks; i++)
            {
                JsonElement task = await server.WaitForTaskAsync(Ns, string.Create(CultureInfo.InvariantCulture, $"t{i}"));
                IsFinal(task.GetProperty("status").GetProperty("phase").GetString()).ShouldBeTrue();
            }

            JsonElement doctor = await server.GetAsync("/api/v1/doctor");
            doctor.GetProperty("leftovers").GetArrayLength().ShouldBe(0, string.Join('\n', doctor.GetProperty("leftovers").EnumerateArray().Select(Describe)));
        }

        LedgerVerification verification = ChainVerifier.VerifyPath(state, cancellationToken);
        verification.Failure.ShouldBeNull();
        verification.Chains.ShouldContain(chain => chain.Chain == $"agents/{Ns}/worker" && chain.Records > Tasks, "positive control: the chain was verified");
        Directory.Delete(state, recursive: true);
    }

    [Fact]
    public async Task G4_killed_while_a_program_of_the_execute_api_runs_its_outcome_is_recorded_as_unknown_at_the_next_start()
    {
        SandboxRequirement.Require();
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        string state = TestServer.NewStatePath();
        using (Process first = await StartChildAsync(state))
        {
            (Uri url, string token) = await ReadAddressAsync(first);
            using HttpClient http = Client(url, token);
            using var content = new StringContent("""{"agent_id":"nobody","code":"sleep 60","language":"bash"}""", Encoding.UTF8, "application/json");
            Task<HttpResponseMessage> execution = http.PostAsync("/api/v1/sandbox/execute", content, cancellationToken);
            while (!Records(state, "nobody").Contains("SandboxStarted"))
            {
                execution.IsCompleted.ShouldBeFalse("the program ended before the kill: it would prove nothing");
                await Task.Delay(20, cancellationToken);
            }

            Records(state, "nobody").ShouldNotContain("ToolOutcome");
            first.Kill(entireProcessTree: false);
            await first.WaitForExitAsync(cancellationToken);
            await Should.ThrowAsync<HttpRequestException>(execution);
        }

        for (int start = 0; start < 2; start++)
        {
            await using TestServer server = await TestServer.StartAsync(state);
            (await server.GetAsync("/api/v1/doctor")).GetProperty("leftovers").GetArrayLength().ShouldBe(0);
        }

        List<string> records = Records(state, "nobody");
        records.Count(type => type == "ToolIntent").ShouldBe(1, "it is not repeated");
        records.Count(type => type == "ToolOutcome").ShouldBe(1, "and marked once");
        records.Count(type => type == "SandboxEnded").ShouldBe(1);
        ChainVerifier.VerifyPath(state, cancellationToken).Failure.ShouldBeNull();
        Directory.Delete(state, recursive: true);
    }

    /// <summary>Types of the whole records of a chain, wherever its namespace is.</summary>
    internal static List<string> Records(string state, string agent)
    {
        string ledger = Path.Combine(state, "ledger", "agents");
        var types = new List<string>();
        foreach (string file in Directory.Exists(ledger) ? Directory.GetFiles(ledger, "records-*.jsonl", SearchOption.AllDirectories) : [])
        {
            if (Path.GetFileName(Path.GetDirectoryName(file)) == agent)
            {
                using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
                string text = reader.ReadToEnd();
                types.AddRange(text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries)
                    .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("event").GetProperty("type").GetString() ?? ""));
            }
        }

        return types;
    }

    internal static async Task<Process> StartChildAsync(string state, int warm = 0)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.ArgumentList.Add(Program.HostArgument);
        start.ArgumentList.Add(state);
        start.ArgumentList.Add(warm.ToString(CultureInfo.InvariantCulture));
        var process = new Process { StartInfo = start };
        process.Start().ShouldBeTrue();
        await Task.CompletedTask;
        return process;
    }

    internal static async Task<(Uri Url, string Token)> ReadAddressAsync(Process process)
    {
        string line = await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("the child server did not start");
        string[] parts = line.Split(' ');
        return (new Uri(parts[0]), parts[1]);
    }

    internal static HttpClient Client(Uri url, string token)
    {
        var client = new HttpClient { BaseAddress = url };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }

    private static string Manifest(string kind, string name, object spec) => JsonSerializer.Serialize(
        new { apiVersion = "universe.ai/v1alpha1", kind, metadata = new { name, @namespace = Ns }, spec });

    private static async Task PostAsync(HttpClient http, string path, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(path, content, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.Created, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    private static async Task WaitForCountAsync(HttpClient http, Func<IReadOnlyList<string?>, bool> holds, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(120));
        while (true)
        {
            string text = await http.GetStringAsync($"/apis/universe.ai/v1alpha1/namespaces/{Ns}/tasks", patience.Token);
            using var list = JsonDocument.Parse(text);
            List<string?> phases = [.. list.RootElement.GetProperty("items").EnumerateArray().Select(task =>
                task.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("phase", out JsonElement phase) ? phase.GetString() : null)];
            if (holds(phases))
            {
                return;
            }

            phases.Count(IsFinal).ShouldBeLessThan(Tasks, "the tasks ended before the kill: it would prove nothing");
            await Task.Delay(10, patience.Token);
        }
    }

    private static string Describe(JsonElement leftover)
    {
        string commandLine = $"/proc/{leftover.GetProperty("name").GetString()}/cmdline";
        return $"{leftover} {(File.Exists(commandLine) ? File.ReadAllText(commandLine).Replace('\0', ' ') : "")}";
    }

    private static bool IsFinal(string? phase) => phase is "Completed" or "Failed" or "Cancelled";
}
