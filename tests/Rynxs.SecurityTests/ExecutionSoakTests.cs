using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Rynxs.Ledger.Verifier;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>Many executions at once: each has its own answer and its own pair of records, and nothing grows.</summary>
public sealed class ExecutionSoakTests
{
    private static readonly bool s_isSoak = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1";
    private static readonly int s_executions = s_isSoak ? 1000 : 24;
    private static readonly int s_parallel = s_isSoak ? 50 : 8;

    [Fact]
    public async Task G6_every_execution_in_parallel_has_one_answer_and_one_pair_of_records_and_nothing_leaks()
    {
        SandboxRequirement.Require();
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        string state = TestServer.NewStatePath();
        var answers = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        int descriptors = 0;
        long memory = 0;
        var clock = Stopwatch.StartNew();
        await using (TestServer server = await TestServer.StartAsync(state, options => options with { WarmSandboxes = 2 }))
        {
            int done = 0;
            await Parallel.ForEachAsync(Enumerable.Range(0, s_executions), new ParallelOptions { MaxDegreeOfParallelism = s_parallel, CancellationToken = cancellationToken }, async (number, _) =>
            {
                JsonElement answer = await server.PostAsync(
                    "/api/v1/sandbox/execute", JsonSerializer.Serialize(new { agent_id = "soak", code = string.Create(CultureInfo.InvariantCulture, $"print({number})"), memory_limit_mb = 512 }));
                answer.GetProperty("stdout").GetString().ShouldBe(string.Create(CultureInfo.InvariantCulture, $"{number}\n"), answer.ToString());
                answers.TryAdd(answer.GetProperty("execution_id").GetString() ?? "", "").ShouldBeTrue();
                if (Interlocked.Increment(ref done) == s_executions / 4)
                {
                    Interlocked.Exchange(ref memory, Resident());
                    Interlocked.Exchange(ref descriptors, Directory.GetFileSystemEntries("/proc/self/fd").Length);
                }
            });
            await server.WaitForAsync("/api/v1/sandbox/status", status => status.GetProperty("total_count").GetInt32() == 0);
            answers.Count.ShouldBe(s_executions);
            (await server.GetAsync("/api/v1/doctor")).GetProperty("leftovers").GetArrayLength().ShouldBe(0);
            int stored = 0;
            for (string next = ""; ;)
            {
                JsonElement page = await server.GetAsync($"/api/v1/sandbox/executions?state=finished&limit=500{next}");
                stored += page.GetProperty("executions").GetArrayLength();
                if (page.GetProperty("continue").GetString() is not { } more)
                {
                    break;
                }

                next = $"&continue={more}";
            }

            stored.ShouldBe(s_executions);
            Directory.GetFileSystemEntries("/proc/self/fd").Length.ShouldBeLessThan(descriptors + 64, "descriptors of ended sandboxes are closed");
            (Resident() - memory).ShouldBeLessThan(160L * 1024 * 1024, "what is kept of an execution is on disk");
        }

        string[] files = [.. Directory.GetFiles(Path.Combine(state, "ledger", "agents"), "records-*.jsonl", SearchOption.AllDirectories).Where(file => file.Contains("/x-soak-", StringComparison.Ordinal) || file.Contains("/soak/", StringComparison.Ordinal))];
        string records = string.Concat(files.Select(File.ReadAllText));
        foreach (string type in (string[])["ToolIntent", "ToolOutcome", "SandboxStarted", "SandboxEnded"])
        {
            (records.Split($"\"type\":\"{type}\"").Length - 1).ShouldBe(s_executions, type);
        }

        answers.Keys.ShouldAllBe(id => records.Contains(id, StringComparison.Ordinal));
        ChainVerifier.VerifyPath(state, cancellationToken).Failure.ShouldBeNull();
        TestContext.Current.SendDiagnosticMessage($"{s_executions} executions, {s_parallel} at a time: {clock.Elapsed.TotalSeconds:F1} s");
        Directory.Delete(state, recursive: true);
    }

    private static long Resident()
    {
        GC.Collect();
        return Environment.WorkingSet;
    }
}
