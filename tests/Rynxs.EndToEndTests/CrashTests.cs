using System.Text.Json;

namespace Rynxs.EndToEndTests;

/// <summary>kill -9 of the server in the middle of work.</summary>
public sealed class CrashTests
{
    private const int Tasks = 20;

    [Fact]
    public async Task F4_twenty_tasks_survive_kill_9_of_the_server_and_nothing_is_left_behind()
    {
        SandboxRequirement.Require();
        using var directory = new TemporaryDirectory();
        string state = directory.File("state");
        await using (RunningServer first = await RunningServer.StartAsync(state))
        {
            (await first.RunAsync("apply", "-f", Path.Combine(RynxsProgram.Repository, "examples", "agent.yaml"))).ExitCode.ShouldBe(0);
            string manifest = directory.File("tasks.yaml");
            await File.WriteAllTextAsync(manifest, string.Join("---\n", Enumerable.Range(0, Tasks).Select(Manifest)), TestContext.Current.CancellationToken);
            Finished applied = await first.RunAsync("apply", "-f", manifest);
            applied.ExitCode.ShouldBe(0, applied.All);
            // In the middle: some are final, and some are not.
            await Eventually.Async(async () => (await FinalPhasesAsync(first)).Count is > 2 and < Tasks ? "now" : null);
            await first.KillAsync();
        }

        await using RunningServer second = await RunningServer.StartAsync(state);
        Dictionary<string, string> phases = await Eventually.Async(async () => await FinalPhasesAsync(second) is { Count: Tasks } all ? all : null);

        phases.Values.ShouldAllBe(phase => phase == "Completed" || phase == "Failed");
        // At most the one that ran when the server died may have an unknown outcome; it is marked, not repeated.
        phases.Values.Count(phase => phase == "Failed").ShouldBeLessThanOrEqualTo(1, string.Join(", ", phases));
        Finished audit = await second.RunAsync("audit", "verify", "my-agent");
        audit.ExitCode.ShouldBe(0, audit.All);
        Finished doctor = await second.RunAsync("doctor");
        doctor.ExitCode.ShouldBe(0, doctor.All);
        doctor.Output.ShouldContain("Nothing was left behind.");
        (await second.StopAsync()).ShouldBe(0, second.Log);
        Finished after = await second.RunAsync("doctor");
        after.Output.ShouldContain("Nothing was left behind.", customMessage: after.All);
        // One line for each effect: none was lost among the completed, none was done twice.
        string[] effects = await File.ReadAllLinesAsync(Path.Combine(state, "workspaces", "rynxs", "my-agent", "files", "effects.txt"), TestContext.Current.CancellationToken);
        effects.ShouldBeUnique();
        phases.Where(phase => phase.Value == "Completed").Select(phase => phase.Key).Except(effects).ShouldBeEmpty();
    }

    private static string Manifest(int number) => $$"""
        apiVersion: universe.ai/v1alpha1
        kind: Task
        metadata: {name: crash-{{number}}, namespace: rynxs}
        spec:
          title: crash {{number}}
          description: run sleep 0.2; echo crash-{{number}} >> effects.txt in sandbox
          assignee: my-agent

        """;

    private static async Task<Dictionary<string, string>> FinalPhasesAsync(RunningServer server)
    {
        Finished tasks = await server.RunAsync("get", "tasks", "-o", "json");
        tasks.ExitCode.ShouldBe(0, tasks.All);
        using JsonDocument list = JsonDocument.Parse(tasks.Output);
        return list.RootElement.GetProperty("items").EnumerateArray()
            .Select(item => (Name: item.GetProperty("metadata").GetProperty("name").GetString() ?? "", Phase: Phase(item)))
            .Where(task => task.Phase is "Completed" or "Failed" or "Cancelled")
            .ToDictionary(task => task.Name, task => task.Phase);
    }

    private static string Phase(JsonElement task) =>
        task.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("phase", out JsonElement phase) ? phase.GetString() ?? "" : "";
}
