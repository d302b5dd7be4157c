using System.Text.Json;

namespace Rynxs.EndToEndTests;

/// <summary><c>rynxs ledger verify</c> over the vectors of the original: accepted as they are, refused after each kind of alteration.</summary>
public sealed class LedgerVerifyTests
{
    private static readonly string Vectors = Path.Combine(AppContext.BaseDirectory, "TestData");

    public static TheoryData<string> Logs => ["demo-log-v1.jsonl", "single-record.jsonl", "single-record-with-meta.jsonl"];

    /// <summary>Name, the line at which the alteration must be found, and the alteration.</summary>
    public static TheoryData<string, int> Alterations => new()
    {
        { "payload changed", 2 },
        { "prev_hash changed", 3 },
        { "event_hash changed", 3 },
        { "line removed", 3 },
        { "line inserted", 3 },
        { "lines reordered", 2 },
        { "duplicate key", 4 },
        { "space added", 1 },
        { "unknown field", 5 },
        { "not json", 0 },
    };

    [Theory]
    [MemberData(nameof(Logs))]
    public async Task Vector_logs_are_accepted(string log)
    {
        Finished finished = await RynxsProgram.RunAsync("ledger", "verify", Path.Combine(Vectors, log));

        finished.ExitCode.ShouldBe(0, finished.All);
        finished.Output.ShouldStartWith("valid");
    }

    [Theory]
    [MemberData(nameof(Alterations))]
    public async Task F1_altered_log_exits_with_2_and_names_the_first_bad_sequence(string alteration, int seq)
    {
        using var directory = new TemporaryDirectory();
        List<string> lines = [.. await File.ReadAllLinesAsync(Path.Combine(Vectors, "demo-log-v1.jsonl"), TestContext.Current.CancellationToken)];
        List<string> before = [.. lines];
        Alter(lines, alteration);
        lines.ShouldNotBe(before);
        await File.WriteAllTextAsync(directory.File("log.jsonl"), string.Join('\n', lines) + "\n", TestContext.Current.CancellationToken);

        Finished text = await RynxsProgram.RunAsync("ledger", "verify", directory.File("log.jsonl"));
        Finished json = await RynxsProgram.RunAsync("ledger", "verify", "--log", directory.File("log.jsonl"), "--json");

        text.ExitCode.ShouldBe(2, text.All);
        text.Output.ShouldStartWith("INVALID");
        text.Output.ShouldContain("expected");
        text.Output.ShouldContain("actual");
        json.ExitCode.ShouldBe(2, json.All);
        using JsonDocument report = JsonDocument.Parse(json.Output);
        report.RootElement.GetProperty("valid").GetBoolean().ShouldBeFalse();
        report.RootElement.GetProperty("chains")[0].GetProperty("failure").GetProperty("seq").GetInt64().ShouldBe(seq, json.Output);
        report.RootElement.GetProperty("chains")[0].GetProperty("records").GetInt64().ShouldBe(seq, "all records before it verify");
    }

    [Fact]
    public async Task Torn_last_line_is_a_warning()
    {
        using var directory = new TemporaryDirectory();
        string log = await File.ReadAllTextAsync(Path.Combine(Vectors, "demo-log-v1.jsonl"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(directory.File("log.jsonl"), log + """{"event":{"aggr""", TestContext.Current.CancellationToken);

        Finished finished = await RynxsProgram.RunAsync("ledger", "verify", directory.File("log.jsonl"));

        finished.ExitCode.ShouldBe(0, finished.All);
        finished.Output.ShouldContain("warning");
    }

    [Fact]
    public async Task Missing_path_is_a_failure_and_not_a_verdict()
    {
        Finished finished = await RynxsProgram.RunAsync("ledger", "verify", "/nonexistent/log.jsonl");

        finished.ExitCode.ShouldBe(1, finished.All);
        finished.Error.ShouldContain("there is no file or directory");
    }

    [Fact]
    public async Task Cat_prints_the_stored_lines_unchanged_and_filters()
    {
        string log = Path.Combine(Vectors, "demo-log-v1.jsonl");

        (await RynxsProgram.RunAsync("ledger", "cat", log)).Output.ShouldBe(await File.ReadAllTextAsync(log, TestContext.Current.CancellationToken));
        (await RynxsProgram.RunAsync("ledger", "cat", log, "--from", "2", "--until", "3")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(2);
        Finished applied = await RynxsProgram.RunAsync("ledger", "cat", log, "--type", "ActionApplied", "-o", "table");
        applied.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(4, applied.All);
    }

    private static void Alter(List<string> lines, string alteration)
    {
        switch (alteration)
        {
            case "payload changed":
                lines[2] = lines[2].Replace("\"result_code\":\"CREATED\"", "\"result_code\":\"PATCHED\"", StringComparison.Ordinal);
                break;
            case "prev_hash changed":
                lines[3] = ChangeLastDigit(lines[3], "\"prev_hash\":\"");
                break;
            case "event_hash changed":
                lines[3] = ChangeLastDigit(lines[3], "\"event_hash\":\"");
                break;
            case "line removed":
                lines.RemoveAt(3);
                break;
            case "line inserted":
                lines.Insert(3, lines[2]);
                break;
            case "lines reordered":
                (lines[2], lines[3]) = (lines[3], lines[2]);
                break;
            case "duplicate key":
                lines[4] = lines[4].Replace("\"seq\":4,", "\"seq\":4,\"seq\":4,", StringComparison.Ordinal);
                break;
            case "space added":
                lines[1] = lines[1].Replace("\"seq\":1,", "\"seq\": 1,", StringComparison.Ordinal);
                break;
            case "unknown field":
                lines[5] = lines[5][..^1] + ",\"zzz\":1}";
                break;
            case "not json":
                lines[0] = "{" + lines[0];
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(alteration), alteration, "no such alteration");
        }
    }

    private static string ChangeLastDigit(string line, string field)
    {
        int at = line.IndexOf(field, StringComparison.Ordinal) + field.Length + 63;
        return line[..at] + (line[at] == '0' ? '1' : '0') + line[(at + 1)..];
    }
}
