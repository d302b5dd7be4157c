using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Cli.Output;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger audit-report</c>: chain, pointers, checkpoint, decisions and drift of one log, with the original's keys.</summary>
internal static class AuditReportCommand
{
    private static readonly string[] Formats = ["json", "md", "text"];

    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        var format = new Option<string>("--format") { Description = "json, md or text.", DefaultValueFactory = _ => "json" };
        format.AcceptOnlyFromAmong(Formats);
        var output = new Option<string?>("--out") { Description = "File to write instead of standard output.", HelpName = "FILE" };
        var checkpoints = new Option<string?>("--checkpoints-dir") { Description = "Directory with checkpoints; the newest up to the end is verified.", HelpName = "DIR" };
        var key = new Option<string?>("--pubkey") { Description = "Public key (PEM) that you trust for the checkpoints.", HelpName = "FILE" };
        var summary = new Option<bool>("--summary") { Description = "Only the summary." };
        var proof = new Option<bool>("--proof") { Description = "Every decision's proof instead of the first three; exit code 2 when an action has no result." };
        var to = new Option<string?>("--at-seq", "--to", "--until", "-u") { Description = "Up to this sequence or time.", HelpName = "SEQ|TIME" };
        var command = new Command("audit-report", "Reports on one log: integrity, decisions, drift. Exit code 2 when the integrity does not hold.")
        {
            path, log, format, output, checkpoints, key, summary, proof, to,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            LogSource source = LogArguments.Open(LogArguments.PathOf(parsed, path, log));
            var report = AuditReport.Make(
                source,
                new AuditReportOptions(
                    LogArguments.EndOf(parsed.GetValue(to), "--at-seq"), parsed.GetValue(proof),
                    parsed.GetValue(checkpoints), parsed.GetValue(key) is { } pem ? CheckpointCommand.ReadText(pem) : null),
                cancellationToken);
            JsonObject shown = parsed.GetValue(summary) ? report.Summary() : report.Full;
            string text = parsed.GetValue(format) switch
            {
                "text" => Lines(report.Summary()),
                "md" => Markdown(report, parsed.GetValue(summary)),
                _ => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(JsonText(shown))),
            };
            ReportOutput.Write(screen, parsed.GetValue(output), text);
            return Task.FromResult(report.Holds ? ExitCodes.Ok : ExitCodes.VerificationFailed);
        });
        return command;
    }

    public static JsonObject? DriftJson(AgentDrift? drift) => drift is null ? null : new JsonObject
    {
        ["missing"] = Texts(drift.Missing), ["extra"] = Texts(drift.Extra), ["applied"] = Texts(drift.Applied), ["desired"] = Texts(drift.Desired),
        ["actions_hash"] = drift.ActionsHash, ["trigger_event_seq"] = drift.TriggerEventSeq, ["trigger_event_hash"] = drift.TriggerEventHash,
        ["trigger_event_type"] = drift.TriggerEventType, ["trigger_spec_hash"] = drift.TriggerSpecHash,
    };

    private static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => (JsonNode)text)]);

    private static string JsonText(JsonObject value) => value.ToJsonString(new System.Text.Json.JsonSerializerOptions
    {
        WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    private static string Lines(JsonObject summary) =>
        string.Join('\n', summary.Select(pair => $"{pair.Key}: {LogArguments.OneLine(pair.Value?.ToString() ?? "-", 400)}"));

    private static string Markdown(AuditReport report, bool summaryOnly)
    {
        var text = new StringBuilder("# Audit report\n\n| key | value |\n|---|---|\n");
        foreach ((string key, JsonNode? value) in report.Summary())
        {
            text.Append(CultureInfo.InvariantCulture, $"| {key} | {Cell(value?.ToString())} |\n");
        }

        if (!summaryOnly)
        {
            text.Append("\n## Everything\n\n```json\n").Append(JsonText(report.Full).Replace("```", "` ` `", StringComparison.Ordinal)).Append("\n```\n");
        }

        return text.ToString();
    }

    private static string Cell(string? text) => LogArguments.OneLine(text ?? "-", 400)
        .Replace("\\", "\\\\", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal);
}
