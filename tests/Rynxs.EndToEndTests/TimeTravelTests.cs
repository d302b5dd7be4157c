using System.Runtime.Versioning;
using System.Text.Json;

namespace Rynxs.EndToEndTests;

/// <summary>Replay, the original's ledger commands, forensics and export as a person runs them: over log files, without a server.</summary>
[SupportedOSPlatform("linux")]
public sealed class TimeTravelTests : IDisposable
{
    private static readonly string Demo = Path.Combine(AppContext.BaseDirectory, "TestData", "demo-log-v1.jsonl");

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Replay_prints_the_state_hash_of_the_original_and_the_last_sequence()
    {
        JsonElement whole = await JsonAsync(0, "replay", "--log", Demo, "-o", "json");
        JsonElement part = await JsonAsync(0, "ledger", "replay", Demo, "--until", "3", "--json");

        whole.GetProperty("state_hash").GetString().ShouldBe("d2a12419f38ab8021099cd7704a220c4c52afc4e70acb8a5c4bbd57e3cea4320");
        whole.GetProperty("last_seq").GetInt64().ShouldBe(6);
        part.GetProperty("last_seq").GetInt64().ShouldBe(3);
        part.GetProperty("state_hash").GetString().ShouldNotBe(whole.GetProperty("state_hash").GetString());
    }

    [Fact]
    public async Task Diff_why_and_step_explain_the_same_log()
    {
        JsonElement diff = await JsonAsync(0, "replay", "--log", Demo, "--diff", "1", "6", "-o", "json");
        diff.GetProperty("changes").GetArrayLength().ShouldBe(4);

        JsonElement why = await JsonAsync(0, "replay", "--log", Demo, "--why", "demo", "-o", "json");
        why.GetProperty("steps").EnumerateArray().Select(step => step.GetProperty("role").GetString())
            .ShouldBe(["observation", "decision", "applied", "applied", "applied", "applied"]);

        Finished step = await RynxsProgram.RunAsync("replay", "--log", Demo, "--step", "--to", "2");
        step.ExitCode.ShouldBe(0, step.All);
        step.Output.TrimEnd().Split('\n').Length.ShouldBe(3);
    }

    [Theory]
    [InlineData("replay", "--log")]
    [InlineData("ledger", "verify-pointers")]
    [InlineData("ledger", "audit-report")]
    [InlineData("ledger", "inspect")]
    [InlineData("ledger", "tail")]
    [InlineData("forensics", "--log")]
    public async Task F1_Every_command_that_reads_an_altered_log_exits_with_2(string first, string second)
    {
        string altered = _directory.File("altered.jsonl");
        await File.WriteAllTextAsync(altered, (await File.ReadAllTextAsync(Demo, Stop)).Replace("IMMUTABLE", "MUTABLE", StringComparison.Ordinal).Replace("\"CREATED\"", "\"PATCHED\"", StringComparison.Ordinal), Stop);

        Finished finished = await RynxsProgram.RunAsync(first, second, altered);
        Finished control = await RynxsProgram.RunAsync(first, second, Demo);

        finished.ExitCode.ShouldBe(2, finished.All);
        control.ExitCode.ShouldBe(0, control.All);
    }

    [Fact]
    public async Task Checkpoints_are_signed_and_a_forged_one_is_refused()
    {
        string key = _directory.File("key");
        JsonElement made = await JsonAsync(0, "ledger", "checkpoint", "create", Demo, "--out", _directory, "--key", key, "--generate-key", "--json");
        string file = made.GetProperty("checkpoint_path").GetString() ?? "";
        Path.GetFileName(file).ShouldBe("cp_6_adeec4ee.json");
        new FileInfo(key).UnixFileMode.ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);

        JsonElement full = await JsonAsync(0, "ledger", "checkpoint", "verify", file, "--log", Demo, "--key", key + ".pub", "--full", "--json");
        full.GetProperty("event_hash_valid").GetBoolean().ShouldBeTrue();
        JsonElement from = await JsonAsync(0, "replay", "--log", Demo, "--from-checkpoint", file, "--key", key + ".pub", "-o", "json");
        from.GetProperty("state_hash").GetString().ShouldBe(made.GetProperty("state_hash").GetString());

        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, Stop)).Replace("\"event_index\": 6", "\"event_index\": 5", StringComparison.Ordinal), Stop);
        (await JsonAsync(2, "ledger", "checkpoint", "verify", file, "--key", key + ".pub", "--json")).GetProperty("success").GetBoolean().ShouldBeFalse();

        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        Finished open = await RynxsProgram.RunAsync("ledger", "checkpoint", "create", Demo, "--out", _directory, "--key", key);
        (open.ExitCode, open.Error.Contains("read by others", StringComparison.Ordinal)).ShouldBe((1, true), open.All);
    }

    [Fact]
    public async Task F4_No_escape_of_a_log_reaches_the_output_of_commands_for_people()
    {
        const string Content = "{\"aggregate_id\":\"a\\u001b[2J\\n7  forged\u202e\u200b\",\"hash_version\":\"v2\",\"payload\":{\"x\":\"\\u001b]0;t\\u0007\"},\"seq\":0,\"ts\":1,\"type\":\"T\\u001b[31m\"}";
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(new string('0', 64) + Content)));
        string log = _directory.File("hostile.jsonl");
        await File.WriteAllTextAsync(log, $"{{\"event\":{Content},\"event_hash\":\"{hash}\",\"prev_hash\":\"{new string('0', 64)}\"}}\n", Stop);

        string[][] commands =
        [
            ["ledger", "tail", log], ["ledger", "inspect", log, "--payload"], ["replay", "--log", log], ["replay", "--log", log, "--step"], ["forensics", log],
            ["forensics", log, "-o", "markdown"], ["forensics", log, "-o", "html"], ["ledger", "audit-report", log, "--format", "md"],
        ];
        foreach (string[] command in commands)
        {
            Finished finished = await RynxsProgram.RunAsync(command);
            finished.ExitCode.ShouldBe(0, finished.All);
            finished.Output.ShouldNotContain('\u001b');
            finished.Output.ShouldNotContain('\u202e');
            finished.Output.ShouldNotContain('\u200b');
            finished.Output.ShouldNotContain("\n7  forged");
        }
    }

    [Fact]
    public async Task Exported_records_continue_at_the_cursor()
    {
        string target = "ocsf+file://" + _directory.File("out.ndjson");
        (await RynxsProgram.RunAsync("ledger", "export", Demo, "--to", target, "--cursor", _directory.File("cursor.json"))).Output.ShouldStartWith("7 records");
        (await RynxsProgram.RunAsync("ledger", "export", Demo, "--to", target, "--cursor", _directory.File("cursor.json"))).Output.ShouldStartWith("0 records");

        (await File.ReadAllLinesAsync(_directory.File("out.ndjson"), Stop)).Length.ShouldBe(7);
    }

    [Theory]
    [InlineData(64, "replay", "--log", "LOG", "--to", "yesterday")]
    [InlineData(64, "replay", "--log", "LOG", "--step", "--why", "demo")]
    [InlineData(64, "ledger", "export", "LOG", "--to", "gopher://x")]
    [InlineData(64, "ledger", "export", "LOG", "--to", "ocsf+file:///tmp/x")]
    [InlineData(64, "forensics", "LOG", "--burst", "1")]
    [InlineData(1, "replay", "--log", "/nonexistent")]
    [InlineData(1, "replay", "--log", "LOG", "--why", "nobody")]
    public async Task Bad_input_is_named_with_its_exit_code(int exitCode, params string[] arguments)
    {
        Finished finished = await RynxsProgram.RunAsync([.. arguments.Select(argument => argument == "LOG" ? Demo : argument)]);

        finished.ExitCode.ShouldBe(exitCode, finished.All);
        finished.Error.ShouldStartWith("rynxs: ");
        finished.Error.ShouldNotContain("   at ");
    }

    private static async Task<JsonElement> JsonAsync(int exitCode, params string[] arguments)
    {
        Finished finished = await RynxsProgram.RunAsync(arguments);
        finished.ExitCode.ShouldBe(exitCode, finished.All);
        return JsonElement.Parse(finished.Output);
    }
}
