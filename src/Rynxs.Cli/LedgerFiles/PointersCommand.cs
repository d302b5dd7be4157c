using System.CommandLine;
using System.Text.Json.Nodes;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger verify-pointers</c>: the chain, and that each decision names the record that it was made for.</summary>
internal static class PointersCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        Option<string?> to = LogArguments.To();
        Option<bool> json = LogArguments.Json();
        var command = new Command("verify-pointers", "Verifies the chain and that each decision names its trigger truly. Exit code 2 when not.") { path, log, to, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            LogSource source = LogArguments.Open(LogArguments.PathOf(parsed, path, log));
            PointerReport report = PointerCheck.Run(source, LogArguments.EndOf(parsed.GetValue(to), "--to"), cancellationToken);
            if (parsed.GetValue(json))
            {
                LogArguments.WriteJson(screen, ToJson(report));
            }
            else if (report.Failure is { } failure)
            {
                screen.Line($"INVALID  seq {failure.Seq}  {LogArguments.OneLine(failure.Error, 400)}");
                screen.Line($"  expected  {LogArguments.OneLine(failure.Expected ?? "-")}");
                screen.Line($"  actual    {LogArguments.OneLine(failure.Actual ?? "-")}");
            }
            else
            {
                screen.Line($"valid    {report.Checked} decisions");
            }

            return Task.FromResult(report.Valid ? ExitCodes.Ok : ExitCodes.VerificationFailed);
        });
        return command;
    }

    /// <summary>With the keys of the original.</summary>
    public static JsonObject ToJson(PointerReport report) => new()
    {
        ["valid"] = report.Valid, ["checked"] = report.Checked, ["error"] = report.Failure?.Error, ["mismatch_seq"] = report.Failure?.Seq,
        ["expected"] = report.Failure?.Expected, ["actual"] = report.Failure?.Actual,
    };
}
