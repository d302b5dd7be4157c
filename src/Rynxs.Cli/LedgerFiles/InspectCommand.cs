using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger inspect</c>: records in detail, or one agent's state at a sequence, as the two inspect commands of the original.</summary>
internal static class InspectCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        var from = new Option<long>("--from") { Description = "First sequence.", HelpName = "SEQ" };
        var to = new Option<string?>("--to", "--at-seq", "--until", "-u") { Description = "Last sequence or time.", HelpName = "SEQ|TIME" };
        var type = new Option<string?>("--event-type", "-t") { Description = "Only this type.", HelpName = "TYPE" };
        var payload = new Option<bool>("--payload", "-p") { Description = "Shows payloads." };
        var agent = new Option<string?>("--agent") { Description = "Instead of records: the state of this agent, NAMESPACE/NAME or NAME.", HelpName = "AGENT" };
        Option<bool> json = LogArguments.Json();
        var command = new Command("inspect", "Shows records in detail, or what the log says of one agent. Exit code 2 when the chain does not verify.")
        {
            path, log, from, to, type, payload, agent, json,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            LogSource source = LogArguments.Open(LogArguments.PathOf(parsed, path, log));
            ReplayEnd end = LogArguments.EndOf(parsed.GetValue(to), "--to");
            if (parsed.GetValue(agent) is { } name)
            {
                LogArguments.WriteJson(screen, AgentState(source, name, end, cancellationToken));
                return Task.FromResult(ExitCodes.Ok);
            }

            IEnumerable<LogRecord> records = LogWalk.Read(source, cancellationToken).TakeWhile(end.Includes)
                .Where(record => record.Seq >= parsed.GetValue(from) && (parsed.GetValue(type) is not { } only || record.Type == only));
            if (parsed.GetValue(json))
            {
                WriteEvents(screen, records, parsed.GetValue(payload));
                return Task.FromResult(ExitCodes.Ok);
            }

            foreach (LogRecord record in records)
            {
                Show(screen, record, parsed.GetValue(payload));
            }

            return Task.FromResult(ExitCodes.Ok);
        });
        return command;
    }

    /// <summary>The agent that a name means in a state.</summary>
    /// <exception cref="CliException">None, or more than one.</exception>
    public static string ResolveAgent(UniverseState state, string name)
    {
        IReadOnlyList<string> found = name.Length == 0 ? [] : state.Resolve(name);
        return found.Count switch
        {
            1 => found[0],
            0 => throw new CliException($"the log knows no agent '{name}' up to there."),
            _ => throw new CliException($"'{name}' is the name of several agents.", hints: [.. found.Take(20)]),
        };
    }

    // One record at a time: the list may be as long as the log.
    private static void WriteEvents(Screen screen, IEnumerable<LogRecord> records, bool payload)
    {
        long count = 0;
        screen.Text("{\"events\":[");
        foreach (LogRecord record in records)
        {
            screen.Text((count++ == 0 ? "\n" : ",\n") + LogArguments.Element(RecordView.ToJson(record, payload)).GetRawText());
        }

        screen.Line($"\n],\"count\":{count}}}");
    }

    private static void Show(Screen screen, LogRecord record, bool payload)
    {
        screen.Line(RecordView.Line(record));
        screen.Line($"          hash {record.EventHash}  prev {record.PrevHash}  format v{record.HashVersion}");
        JsonElement meta = record.ToRecord().Meta;
        if (meta.GetPropertyCount() > 0)
        {
            screen.Line("          meta " + LogArguments.OneLine(meta.GetRawText(), 2_000));
        }

        if (payload)
        {
            screen.Line("          payload " + LogArguments.OneLine(record.ToRecord().Payload.GetRawText(), 20_000));
        }
    }

    private static JsonObject AgentState(LogSource source, string name, ReplayEnd end, CancellationToken cancellationToken)
    {
        ReplayResult replay = LogReplay.Run(source, end, observe: null, cancellationToken);
        string agent = ResolveAgent(replay.Universe, name);
        using JsonDocument state = JsonDocument.Parse(replay.Universe.ToCanonical());
        JsonElement universe = state.RootElement.GetProperty("aggregates").GetProperty("universe");
        return new JsonObject
        {
            ["agent_id"] = agent,
            ["at_seq"] = replay.Last.Seq,
            ["state_hash"] = replay.Universe.Hash(),
            ["agent"] = Node(universe.GetProperty("agents"), agent),
            ["desired"] = Node(universe.GetProperty("desired"), agent),
            ["drift"] = AuditReportCommand.DriftJson(replay.Universe.Drift(agent)),
            ["failures"] = new JsonArray([.. replay.Universe.Failures(agent).Select(failure => (JsonNode)new JsonObject
            {
                ["action_id"] = failure.ActionId, ["error_code"] = failure.ErrorCode, ["error_type"] = failure.ErrorType,
                ["result_code"] = failure.ResultCode, ["failed_seq"] = failure.Seq,
            })]),
        };
    }

    private static JsonNode? Node(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out JsonElement value) ? JsonNode.Parse(value.GetRawText()) : null;
}
