using System.Globalization;
using System.Text.Json;
using Rynxs.Cli.Audit;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Objects;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Demo;

/// <summary>Verifies the chains of the agents, then damages a copy and looks where the verifier finds it.</summary>
internal static class AuditStep
{
    public static async Task<Observation> RunAsync(DemoContext context, IReadOnlyList<string> agents, CancellationToken cancellationToken)
    {
        List<(string Label, string Text)> facts = [];
        bool held = true;
        foreach (string agent in agents)
        {
            LedgerVerification verification = await AuditCommand.FetchAndVerifyAsync(context.Client, DemoContext.Namespace, agent, cancellationToken);
            held &= verification.Valid && verification.Records > 0;
            facts.Add((agent, verification.Failure is { } failure
                ? string.Create(CultureInfo.InvariantCulture, $"INVALID at seq {failure.Seq}: {failure.Message}")
                : string.Create(CultureInfo.InvariantCulture, $"valid, {verification.Records} records, head {verification.Chains[0].HeadHash}")));
        }

        string copy = Path.Combine(context.Directory, "altered.jsonl");
        await AuditCommand.DownloadAsync(context.Client, DemoContext.Namespace, agents[^1], copy, cancellationToken);
        string[] lines = await File.ReadAllLinesAsync(copy, cancellationToken);
        int altered = lines.Length / 2;
        (lines[altered], string change) = Alter(lines[altered]);
        await File.WriteAllTextAsync(copy, string.Join('\n', lines) + "\n", cancellationToken);
        LedgerVerification damaged = LedgerCommand.VerifyPath(copy, cancellationToken);
        held &= damaged.Failure?.Seq == altered;
        facts.Add(("altered", string.Create(CultureInfo.InvariantCulture, $"record {altered} of a copy: {change}")));
        facts.Add(("found", damaged.Failure is { } found
            ? string.Create(CultureInfo.InvariantCulture, $"seq {found.Seq}: {found.Code}, expected {found.Expected}, actual {found.Actual}")
            : "NOTHING: the altered copy verified"));
        return new Observation(held, facts);
    }

    /// <summary>Another event type, everything else as it was: what somebody would do who wants a record to say something else.</summary>
    private static (string Line, string Change) Alter(string line)
    {
        using JsonDocument record = JsonDocument.Parse(line);
        string type = record.RootElement.Text("event.type") ?? throw new CliException("a record has no type.");
        return (line.Replace($"\"type\":\"{type}\"", $"\"type\":\"{type}X\"", StringComparison.Ordinal), $"type {type} became {type}X");
    }
}
