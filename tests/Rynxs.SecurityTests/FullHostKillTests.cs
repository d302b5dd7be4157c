using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Sandbox.GVisor;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>A server with many living sandboxes and a full pool is killed with SIGKILL.</summary>
public sealed class FullHostKillTests
{
    private const string Sessions = "/api/v1/sandbox/sessions";
    private static readonly bool s_isSoak = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1";
    private static readonly int s_live = s_isSoak ? 50 : 4;
    private static readonly int s_pool = s_isSoak ? 4 : 1;

    [Fact]
    public async Task G4_killed_with_living_sandboxes_and_a_full_pool_nothing_is_orphaned_and_every_session_ends_on_the_record()
    {
        SandboxRequirement.Require();
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        string state = TestServer.NewStatePath();
        List<string> ids = [];
        string key;
        using (Process first = await KillTests.StartChildAsync(state, s_pool))
        {
            (Uri url, string token) = await KillTests.ReadAddressAsync(first);
            key = GVisorOptions.StateKeyOf(new DirectoryInfo(state).FullName);
            using HttpClient http = KillTests.Client(url, token);
            http.Timeout = TimeSpan.FromMinutes(5);
            await WaitForPoolAsync(http, cancellationToken);
            for (int i = 0; i < s_live; i++)
            {
                string template = i % 2 == 0 ? "workspace" : "memory";
                JsonElement session = await PostAsync(http, Sessions, $$"""{"agent_id":"many","template":"{{template}}"}""");
                ids.Add(session.GetProperty("session_id").GetString() ?? "");
            }

            await WaitForPoolAsync(http, cancellationToken);
            // One works and one is stopped when it happens.
            await PostAsync(http, $"{Sessions}/{ids[0]}/processes", """{"argv":["/bin/sleep","1000"]}""");
            await WaitForRunningAsync(http, cancellationToken);
            await PostAsync(http, $"{Sessions}/{ids[1]}/pause", "{}");
            HostTraces(key).Count.ShouldBeGreaterThan(s_live + s_pool, "positive control: they are there");
            first.Kill(entireProcessTree: false);
            await first.WaitForExitAsync(cancellationToken);
        }

        await using (TestServer server = await TestServer.StartAsync(state))
        {
            (await server.GetAsync("/api/v1/doctor")).GetProperty("leftovers").GetArrayLength().ShouldBe(0);
            HostTraces(key).ShouldAllBe(trace => !trace.Contains("sb-", StringComparison.Ordinal));
            foreach (string id in ids)
            {
                JsonElement session = await server.GetAsync($"{Sessions}/{id}");
                (session.GetProperty("state").GetString(), session.GetProperty("end_reason").GetString()).ShouldBe(("ended", "host_restarted"));
            }

            Directory.GetDirectories(Path.Combine(state, "sessions")).ShouldBeEmpty();
            string audit = await server.GetTextAsync("/api/v1/namespaces/rynxs/agents/many/audit");
            audit.Split("\"host_restarted\"").Length.ShouldBe(s_live + 1, "each sandbox's end is on the record once");
            JsonElement cut = await server.GetAsync("/api/v1/sandbox/executions?agent_id=many");
            cut.GetProperty("executions").EnumerateArray().Single().GetProperty("state").GetString().ShouldBe("unknown", "it is not repeated");
        }

        HostTraces(key).ShouldBeEmpty("after a stop nothing at all stays");
        Directory.Delete(state, recursive: true);
    }

    /// <summary>Processes, mounts, cgroups and files of one state, found by its key and not by asking the product.</summary>
    private static List<string> HostTraces(string key)
    {
        List<string> traces = [.. File.ReadAllLines("/proc/mounts").Where(line => line.Contains(key, StringComparison.Ordinal)).Select(line => $"mount {line}")];
        foreach (string directory in Directory.GetDirectories("/proc").Where(path => Path.GetFileName(path).All(char.IsAsciiDigit)))
        {
            try
            {
                string command = File.ReadAllText(Path.Combine(directory, "cmdline")).Replace('\0', ' ');
                if (command.Contains($"/{key}/", StringComparison.Ordinal) && command.Contains("runsc", StringComparison.Ordinal))
                {
                    traces.Add($"process {command}");
                }
            }
            catch (IOException)
            {
                // It ended meanwhile.
            }
            catch (UnauthorizedAccessException)
            {
                // Not ours.
            }
        }

        foreach (string root in Directory.GetDirectories("/sys/fs/cgroup").Append("/sys/fs/cgroup"))
        {
            string path = Path.Combine(root, "rynxs", key);
            traces.AddRange(Directory.Exists(path) ? Directory.GetDirectories(path).Select(cgroup => $"cgroup {cgroup}") : []);
        }

        string run = Path.Combine("/run/rynxs", key);
        traces.AddRange(Directory.Exists(run) ? Directory.GetFileSystemEntries(run).Select(entry => $"file {entry}") : []);
        return traces;
    }

    private static async Task WaitForPoolAsync(HttpClient http, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(3));
        string full = string.Create(CultureInfo.InvariantCulture, $"execute: {s_pool} of {s_pool} wait.");
        while (JsonDocument.Parse(await http.GetStringAsync("/api/v1/doctor", patience.Token)).RootElement.GetProperty("checks").EnumerateArray()
                .Where(check => check.GetProperty("name").GetString() == "sandbox_pool").All(check => !IsFull(check.GetProperty("detail").GetString() ?? "", full)))
        {
            await Task.Delay(100, patience.Token);
        }
    }

    /// <summary>Until the one execution runs: one that is killed before has not started, and says so.</summary>
    private static async Task WaitForRunningAsync(HttpClient http, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(TimeSpan.FromMinutes(1));
        while (JsonDocument.Parse(await http.GetStringAsync("/api/v1/sandbox/executions?agent_id=many&state=running", patience.Token)).RootElement.GetProperty("executions").GetArrayLength() == 0)
        {
            await Task.Delay(50, patience.Token);
        }
    }

    /// <summary>Its target grows when requests found it empty.</summary>
    private static bool IsFull(string detail, string full) => detail == full || (detail.Split(' ') is [_, string ready, _, string target, _] && ready == target && ready != "0");

    private static async Task<JsonElement> PostAsync(HttpClient http, string path, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(path, content, TestContext.Current.CancellationToken);
        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBeOneOf([HttpStatusCode.OK, HttpStatusCode.Created, HttpStatusCode.Accepted], text);
        return JsonDocument.Parse(text).RootElement.Clone();
    }
}
