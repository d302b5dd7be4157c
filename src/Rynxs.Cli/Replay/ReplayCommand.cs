using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Replay;
using Rynxs.Server.Replay;

namespace Rynxs.Cli.Replay;

/// <summary><c>rynxs replay</c>: the state at any point of a log, what changed between two, and why it is what it is.</summary>
internal static class ReplayCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        Option<string?> to = LogArguments.To();
        var diff = new Option<string[]>("--diff")
        {
            Description = "Two points: what changed in the state between them.", HelpName = "SEQ|TIME SEQ|TIME", Arity = new ArgumentArity(2, 2), AllowMultipleArgumentsPerToken = true,
        };
        var step = new Option<bool>("--step") { Description = "Record by record with the state hash after each; on a terminal it waits for a key." };
        var why = new Option<string?>("--why") { Description = "The records that led to the present desired state of this agent.", HelpName = "AGENT" };
        var state = new Option<bool>("--show-state", "-s") { Description = "Adds the whole state." };
        var checkpoint = new Option<string?>("--from-checkpoint") { Description = "Starts from this checkpoint's state instead of the first record. Needs --key.", HelpName = "FILE" };
        var key = new Option<string?>("--key", "-k") { Description = "Public key (PEM) that you trust for the checkpoint.", HelpName = "FILE" };
        Option<string> output = OutputFormat.Create(OutputFormat.Table, OutputFormat.Json);
        var json = new Option<bool>("--json") { Description = "The same as -o json." };
        var command = new Command(
            "replay",
            "Replays a log: state hashes, decisions made again and compared. Takes no lock. Exit code 2 when the chain does not verify or a decision differs.")
        {
            path, log, to, diff, step, why, state, checkpoint, key, output, json,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            var request = new ReplayRequest(
                LogArguments.Open(LogArguments.PathOf(parsed, path, log)), LogArguments.EndOf(parsed.GetValue(to), "--to"),
                parsed.GetValue(json) || parsed.GetRequiredValue(output) == OutputFormat.Json, parsed.GetValue(state));
            string[] modes = [.. ((string?[])[parsed.GetValue(diff) is { Length: > 0 } ? "--diff" : null, parsed.GetValue(step) ? "--step" : null,
                parsed.GetValue(why) is null ? null : "--why", parsed.GetValue(checkpoint) is null ? null : "--from-checkpoint"]).OfType<string>()];
            if (modes.Length > 1)
            {
                throw new CliException($"{modes[0]} and {modes[1]} do not go together.", ExitCodes.Usage);
            }

            try
            {
                return Task.FromResult(modes switch
                {
                    ["--diff"] => StateDiff.Run(screen, request, parsed.GetValue(diff) ?? [], cancellationToken),
                    ["--step"] => StepView.Run(screen, request, cancellationToken),
                    ["--why"] => WhyView.Run(screen, request, parsed.GetValue(why) ?? "", cancellationToken),
                    ["--from-checkpoint"] => FromCheckpoint(screen, request, parsed.GetValue(checkpoint) ?? "", parsed.GetValue(key), cancellationToken),
                    _ => Run(screen, request, cancellationToken),
                });
            }
            catch (LedgerCorruptException exception) when (request.Json)
            {
                LogArguments.WriteJson(screen, new JsonObject { ["success"] = false, ["valid"] = false, ["failure"] = LogArguments.Failure(exception) });
                return Task.FromResult(ExitCodes.VerificationFailed);
            }
        });
        return command;
    }

    private static int Run(Screen screen, ReplayRequest request, CancellationToken cancellationToken)
    {
        var decisions = new DecisionRecheck();
        ReplayResult result = LogReplay.Run(request.Source, request.End, (record, _) => decisions.Observe(record), cancellationToken);
        Show(screen, request, result, decisions);
        return decisions.Different == 0 ? ExitCodes.Ok : ExitCodes.VerificationFailed;
    }

    private static int FromCheckpoint(Screen screen, ReplayRequest request, string file, string? key, CancellationToken cancellationToken)
    {
        if (key is null)
        {
            throw new CliException("--from-checkpoint needs --key: a state that nobody vouches for is no start.", ExitCodes.Usage);
        }

        RynxsCheckpoint checkpoint = CheckpointCommand.ReadCheckpoint(file);
        CheckpointReport verified = CheckpointCommand.VerifyIt(checkpoint, CheckpointCommand.ReadText(key), log: null, cancellationToken);
        if (!verified.Valid)
        {
            throw new CliException($"'{file}' does not verify.", ExitCodes.VerificationFailed, [.. verified.Errors]);
        }

        UniverseState state;
        try
        {
            state = UniverseState.Parse(checkpoint.StateBytes.Span);
        }
        catch (FormatException exception)
        {
            throw new CliException($"'{file}': {exception.Message}", ExitCodes.VerificationFailed);
        }

        Show(
            screen, request,
            LogReplay.RunFrom(request.Source, state, new ChainHead(checkpoint.EventIndex, checkpoint.EventHash), request.End, cancellationToken), decisions: null);
        return ExitCodes.Ok;
    }

    private static void Show(Screen screen, ReplayRequest request, ReplayResult result, DecisionRecheck? decisions)
    {
        JsonObject report = ToJson(result, decisions, request.ShowState);
        if (request.Json)
        {
            LogArguments.WriteJson(screen, report);
            return;
        }

        screen.Line($"chain             {LogArguments.OneLine(request.Source.Chain)}");
        screen.Line($"last_seq          {result.Last.Seq}  {result.Last.EventHash}");
        screen.Line($"state_hash        {result.Universe.Hash()}  (version {result.Universe.Version})");
        screen.Line($"rynxs_state_hash  {result.Rynxs?.Hash() ?? "- (a checkpoint holds only the original's state)"}");
        foreach ((string type, long count) in result.Counts)
        {
            screen.Line($"{count,12}  {LogArguments.OneLine(type, 80)}{(result.UnknownTypes.ContainsKey(type) ? "  (a type that this version does not know)" : "")}");
        }

        ShowDecisions(screen, decisions);
        if (request.ShowState)
        {
            OutputFormat.Write(screen, JsonElement.Parse(result.Universe.ToCanonical()), OutputFormat.Json);
        }
    }

    private static void ShowDecisions(Screen screen, DecisionRecheck? decisions)
    {
        if (decisions is null)
        {
            return;
        }

        screen.Line($"decisions made again: {decisions.Checked}, different: {decisions.Different}");
        foreach ((string decider, long count) in decisions.UnknownDeciders)
        {
            screen.Line($"  {count} by {(decider.Length == 0 ? "a writer that states no decider" : LogArguments.OneLine(decider, 80))}: not checked");
        }

        foreach (DecisionMismatch mismatch in decisions.Mismatches)
        {
            screen.Line($"  DIFFERENT  seq {mismatch.Seq}  logged {LogArguments.OneLine(mismatch.Logged, 64)}  decided again {mismatch.Recomputed ?? "nothing"}");
        }
    }

    private static JsonObject ToJson(ReplayResult result, DecisionRecheck? decisions, bool state)
    {
        var report = new JsonObject
        {
            ["success"] = decisions is null || decisions.Different == 0,
            ["valid"] = true,
            ["last_seq"] = result.Last.Seq,
            ["last_hash"] = result.Last.EventHash,
            ["state_hash"] = result.Universe.Hash(),
            ["state_version"] = result.Universe.Version,
            ["rynxs_state_hash"] = result.Rynxs?.Hash(),
            ["events_replayed"] = result.Records,
            ["event_counts"] = Counts(result.Counts),
            ["unknown_types"] = Counts(result.UnknownTypes),
        };
        if (decisions is not null)
        {
            report["decisions"] = new JsonObject
            {
                ["checked"] = decisions.Checked, ["different"] = decisions.Different, ["unknown_deciders"] = Counts(decisions.UnknownDeciders),
                ["mismatches"] = new JsonArray([.. decisions.Mismatches.Select(mismatch => (JsonNode)new JsonObject
                {
                    ["seq"] = mismatch.Seq, ["logged"] = mismatch.Logged, ["recomputed"] = mismatch.Recomputed,
                })]),
            };
        }

        if (state)
        {
            report["state_aggregates"] = JsonNode.Parse(result.Universe.ToCanonical())?["aggregates"]?.DeepClone();
            report["rynxs_state"] = result.Rynxs is null ? null : JsonNode.Parse(result.Rynxs.ToCanonical());
        }

        return report;
    }

    private static JsonObject Counts(IEnumerable<KeyValuePair<string, long>> counts) =>
        new(counts.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
}

/// <summary>What every form of replay needs.</summary>
internal sealed record ReplayRequest(LogSource Source, ReplayEnd End, bool Json, bool ShowState);
