using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.SandboxCode;
using Rynxs.Cli.Tasks;

namespace Rynxs.Cli.Demo;

/// <summary>A table is put into the workspace, the agent sums it in its sandbox, and we sum it here: two programs, one answer.</summary>
internal static class DataTask
{
    private const int Rows = 5000;

    private const string Instruction = """
        python:
        ```
        import collections, csv, json
        sums = collections.Counter()
        with open("sales.csv", newline="") as table:
            for row in csv.DictReader(table):
                sums[row["region"]] += int(row["cents"])
        with open("sums.json", "w") as report:
            json.dump(sums, report)
        print(json.dumps(sums, sort_keys=True))
        ```
        """;

    public static async Task<Observation> RunAsync(DemoContext context, string agent, CancellationToken cancellationToken)
    {
        (string table, SortedDictionary<string, long> expected) = MakeTable();
        JsonElement written = await ExecCommand.ExecuteAsync(
            context.Client, DemoContext.Namespace, agent, ["sh", "-c", "cat > sales.csv && wc -l sales.csv"], table, 30, cancellationToken);
        if (written.Integer("exit_code") != 0)
        {
            return new Observation(false, ("failed", $"sales.csv could not be written: {written.Text("stderr")}"));
        }

        JsonElement task = await context.RunTaskAsync(agent, Instruction, cancellationToken);
        string answer = TaskSubmission.ResultText(task) ?? "";
        string wanted = string.Join(", ", expected.Select(pair => string.Create(CultureInfo.InvariantCulture, $"\"{pair.Key}\": {pair.Value}")));
        string report = Path.Combine(context.WorkspaceFile(agent, "files"), "sums.json");
        return new Observation(
            task.Text("status.phase") == "Completed" && answer.Contains(wanted, StringComparison.Ordinal) && File.Exists(report),
            ("file", $"sales.csv, {Rows} rows, in the agent's workspace"),
            ("computed", "{" + wanted + "}"),
            ("agent", answer),
            ("task", $"{task.Text("status.phase")} {task.Text("status.error")}"));
    }

    /// <summary>A linear congruential sequence from our process id: other numbers in each run, so that no answer can be remembered.</summary>
    private static (string Table, SortedDictionary<string, long> Sums) MakeTable()
    {
        string[] regions = ["east", "north", "south", "west"];
        var table = new StringBuilder("region,cents\n");
        var sums = new SortedDictionary<string, long>(StringComparer.Ordinal);
        uint value = (uint)Environment.ProcessId;
        for (int row = 0; row < Rows; row++)
        {
            value = unchecked((value * 1664525) + 1013904223);
            string region = regions[value >> 30];
            long cents = (value >> 8) % 100_000;
            table.Append(CultureInfo.InvariantCulture, $"{region},{cents}\n");
            sums[region] = sums.GetValueOrDefault(region) + cents;
        }

        return (table.ToString(), sums);
    }
}
