using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Replay;
using Rynxs.Server.Replay;

namespace Rynxs.Cli.Replay;

/// <summary><c>--why AGENT</c>: the chain of records behind an agent's present desired state.</summary>
internal static class WhyView
{
    public static int Run(Screen screen, ReplayRequest request, string name, CancellationToken cancellationToken)
    {
        var decisions = new DecisionRecheck();
        ReplayResult result = LogReplay.Run(request.Source, request.End, (record, _) => decisions.Observe(record), cancellationToken);
        string agent = InspectCommand.ResolveAgent(result.Universe, name);

        // A second reading, because only now is the name known; it stops where the first did.
        var trace = new WhyTrace(agent);
        foreach (LogRecord record in LogWalk.Read(request.Source, cancellationToken).TakeWhile(record => record.Seq <= result.Last.Seq))
        {
            trace.Observe(record);
        }

        WhyExplanation explanation = trace.Explain() ?? throw new CliException($"the log says nothing about what is wanted of '{agent}'.");
        LogRecord? decision = explanation.Steps.FirstOrDefault(step => step.Role == "decision")?.Record;
        DecisionMismatch? mismatch = decisions.Mismatches.FirstOrDefault(found => found.Seq == decision?.Seq);
        string verdict = decision is null ? "none"
            : mismatch is not null ? "different"
            : Decider(decision) == DecisionRecheck.KnownDecider ? "same" : "unknown_decider";
        if (request.Json)
        {
            LogArguments.WriteJson(screen, new JsonObject
            {
                ["agent_id"] = agent, ["last_seq"] = result.Last.Seq, ["state_hash"] = result.Universe.Hash(), ["rynxs_state_hash"] = result.Rynxs?.Hash(),
                ["pointer_error"] = explanation.PointerError, ["decided_again"] = verdict, ["earlier_decisions"] = explanation.EarlierDecisions,
                ["steps"] = new JsonArray([.. explanation.Steps.Select(step => (JsonNode)ToJson(step))]),
            });
        }
        else
        {
            Show(screen, explanation, verdict);
        }

        return explanation.PointerError is null && mismatch is null ? ExitCodes.Ok : ExitCodes.VerificationFailed;
    }

    private static void Show(Screen screen, WhyExplanation explanation, string verdict)
    {
        screen.Line($"Why {LogArguments.OneLine(explanation.AgentId)} is as it is:");
        foreach (WhyStep step in explanation.Steps)
        {
            screen.Line($"  {step.Role,-12}{RecordView.Line(step.Record)}");
            screen.Line($"              {Details(step)}");
            if (step.Role == "decision")
            {
                screen.Line("              " + verdict switch
                {
                    "same" => $"decided again by {DecisionRecheck.KnownDecider}: the same",
                    "different" => "decided again: DIFFERENT",
                    _ => "not decided again: this version does not know its decider",
                });
            }
        }

        if (explanation.PointerError is { } error)
        {
            screen.Line($"  BROKEN      {error}");
        }

        if (explanation.EarlierDecisions + explanation.EarlierFailures > 0)
        {
            screen.Line($"  before it: {explanation.EarlierDecisions} earlier decisions; {explanation.EarlierFailures} earlier failures of these actions");
        }
    }

    private static string Details(WhyStep step)
    {
        LedgerRecord record = step.Record.ToRecord();
        JsonElement payload = record.Payload;
        return LogArguments.OneLine(
            step.Role switch
            {
                "mutation" => $"{payload.Text("verb")} by {record.Meta.Text("principal")}, resource version {payload.Text("resource_version")}",
                "observation" => $"spec {payload.Text("spec_hash") ?? "(its deletion)"}",
                "decision" => $"for record {payload.Text("trigger_event_seq")} ({payload.Text("trigger_event_type")}), actions {payload.Text("actions_hash")}",
                "pending" => $"{step.ActionType} {step.ActionId}: no outcome yet",
                _ => $"{step.ActionType} {step.ActionId}: {payload.Text("result_code")}",
            },
            300);
    }

    private static JsonObject ToJson(WhyStep step)
    {
        LedgerRecord record = step.Record.ToRecord();
        return new JsonObject
        {
            ["role"] = step.Role, ["seq"] = record.Seq, ["type"] = record.Type, ["event_hash"] = record.EventHash, ["prev_hash"] = record.PrevHash,
            ["time"] = record.Meta.Text("time"), ["principal"] = record.Meta.Text("principal"), ["decider"] = record.Meta.Text("decider"),
            ["action_id"] = step.ActionId, ["action_type"] = step.ActionType, ["details"] = Details(step),
        };
    }

    private static string? Decider(LogRecord record) => record.ToRecord().Meta.Text("decider");
}
