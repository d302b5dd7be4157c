using System.Text.Json;

namespace Rynxs.EndToEndTests;

/// <summary>Recording, export and replay beside a server that runs: real sandboxes, a real ledger, no lock taken.</summary>
public sealed class LiveLedgerTests
{
    [Fact]
    public async Task Output_is_recorded_exported_and_replayed_while_the_server_runs()
    {
        SandboxRequirement.Require();
        using var directory = new TemporaryDirectory();
        string exported = directory.File("out.ndjson");
        await using RunningServer server = await RunningServer.StartAsync(directory.File("state"), "--record-sessions", "--export", "ocsf+file://" + exported);
        string program = directory.File("program.py");
        await File.WriteAllTextAsync(program, "print('visible', 'rynxs_' + 'a' * 40, '\\x1b[2J')\n", TestContext.Current.CancellationToken);
        (await server.RunAsync("run", program)).ExitCode.ShouldBe(0);

        JsonElement kept = JsonElement.Parse((await server.RunAsync("recording", "list", "--json")).Output).EnumerateArray().ShouldHaveSingleItem();
        string name = kept.GetProperty("recording").GetString() ?? "";
        Finished played = await server.RunAsync("recording", "play", name);
        played.ExitCode.ShouldBe(0, played.All);
        played.Output.ShouldStartWith("visible [redacted]");
        (await server.RunAsync("recording", "verify")).ExitCode.ShouldBe(0);

        (await server.RunAsync("replay", "-o", "json")).ExitCode.ShouldBe(0);
        Finished forensics = await server.RunAsync("forensics");
        forensics.ExitCode.ShouldBe(0, forensics.All);

        // The exporter looks once a second; what has arrived is every record there is.
        int records = Directory.EnumerateFiles(directory.File("state/ledger"), "records-*.jsonl", SearchOption.AllDirectories).Sum(file => File.ReadLines(file).Count());
        (await Eventually.Async<int>(() => File.Exists(exported) && File.ReadLines(exported).Count() is int count && count >= records ? count : null)).ShouldBeGreaterThanOrEqualTo(records);

        // The agents' own tools are recorded as well, on the agent's chain and with the same redaction.
        string manifest = directory.File("agent.yaml");
        await File.WriteAllTextAsync(
            manifest, "apiVersion: universe.ai/v1alpha1\nkind: Agent\nmetadata: {name: recorded, namespace: rynxs}\nspec: {role: sandbox}\n", TestContext.Current.CancellationToken);
        (await server.RunAsync("apply", "-f", manifest)).ExitCode.ShouldBe(0);
        Finished task = await server.RunAsync("task", "recorded", "run echo of-the-agent rynxs_$(printf b%.0s $(seq 40)) in sandbox", "--wait");
        task.ExitCode.ShouldBe(0, task.All);
        JsonElement tool = JsonElement.Parse((await server.RunAsync("recording", "list", "--json")).Output).EnumerateArray()
            .Where(one => (one.GetProperty("path").GetString() ?? "").Contains("/rynxs/recorded/", StringComparison.Ordinal)).ShouldHaveSingleItem();
        string agentsOutput = await File.ReadAllTextAsync(tool.GetProperty("path").GetString() ?? "", TestContext.Current.CancellationToken);
        agentsOutput.ShouldContain("of-the-agent [redacted]");
        agentsOutput.ShouldNotContain("bbbbbbbb");
        (await server.RunAsync("recording", "verify")).ExitCode.ShouldBe(0);

        // F1: a changed recording is refused, and a missing one is named.
        string path = kept.GetProperty("path").GetString() ?? "";
        await File.AppendAllTextAsync(path, "[9,\"o\",\"forged\"]\n", TestContext.Current.CancellationToken);
        (await server.RunAsync("recording", "verify")).ExitCode.ShouldBe(2);
        (await server.RunAsync("recording", "play", name)).ExitCode.ShouldBe(2);
        File.Delete(path);
        Finished missing = await server.RunAsync("recording", "verify");
        (missing.ExitCode, missing.Output.StartsWith("missing", StringComparison.Ordinal)).ShouldBe((0, true), missing.All);
    }
}
