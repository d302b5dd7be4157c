using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Tests;

/// <summary>Writes the lines of a chain record by record, with the meta that a test wants: times, epochs, writers.</summary>
internal sealed class ChainBuilder
{
    private readonly List<string> _lines = [];
    private DateTimeOffset _time = new(2026, 11, 22, 8, 0, 0, TimeSpan.Zero);

    public IReadOnlyList<string> Lines => _lines;

    public string LastHash { get; private set; } = Logs.Genesis;

    public long Seq => _lines.Count - 1;

    public long Epoch { get; set; } = 1;

    public string? Writer { get; set; }

    public string Principal { get; set; } = "alice";

    /// <summary>Moves the writer's clock before the next record; backwards, too.</summary>
    public ChainBuilder After(TimeSpan span)
    {
        _time += span;
        return this;
    }

    public ChainBuilder Open()
    {
        return Add("LedgerOpened", new JsonObject { ["epoch"] = Epoch });
    }

    public ChainBuilder Add(string type, JsonObject payload, string aggregate = "ns/a", string? decider = null)
    {
        _time += TimeSpan.FromMilliseconds(10);
        var meta = new JsonObject
        {
            ["epoch"] = Epoch,
            ["principal"] = Principal,
            ["time"] = _time.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture),
        };
        if (decider is not null)
        {
            meta["decider"] = decider;
        }

        if (Writer is not null)
        {
            meta["writer_id"] = Writer;
        }

        string content = Canonical(new JsonObject
        {
            ["aggregate_id"] = aggregate, ["hash_version"] = "v2", ["meta"] = meta, ["payload"] = payload, ["seq"] = _lines.Count, ["ts"] = _lines.Count + 1, ["type"] = type,
        });
        string line = Logs.Line(content, LastHash);
        LastHash = JsonElement.Parse(line).GetProperty("event_hash").GetString() ?? "";
        _lines.Add(line);
        return this;
    }

    /// <summary>A decision for an agent, triggered by the record before it.</summary>
    public ChainBuilder Decide(string agent, params string[] actionTypes)
    {
        var actions = new JsonArray([.. actionTypes.Select(type => (JsonNode)new JsonObject { ["action_type"] = type, ["params"] = new JsonObject(), ["target"] = agent })]);
        return Add(
            "ActionsDecided",
            new JsonObject
            {
                ["agent_id"] = agent, ["trigger_event_seq"] = Math.Max(0, Seq), ["trigger_event_hash"] = LastHash, ["trigger_event_type"] = "AgentObserved", ["actions"] = actions,
                ["actions_hash"] = new string('a', 64), ["action_ids"] = new JsonArray([.. actionTypes.Select(type => (JsonNode)IdOf(agent, type))]),
            },
            agent);
    }

    public ChainBuilder Observe(string agent, string specHash = "0123456789abcdef") => Add(
        "AgentObserved",
        new JsonObject
        {
            ["name"] = agent.Split('/')[1], ["namespace"] = agent.Split('/')[0], ["labels"] = new JsonObject(), ["annotations"] = new JsonObject(), ["spec"] = new JsonObject(),
            ["spec_hash"] = specHash, ["observed_logical_time"] = Seq + 1,
        },
        agent);

    public ChainBuilder Applied(string agent, string actionType) => Add(
        "ActionApplied",
        new JsonObject { ["action_id"] = IdOf(agent, actionType), ["action_type"] = actionType, ["target"] = agent, ["status"] = "success", ["result_code"] = "CREATED" }, agent);

    public ChainBuilder Failed(string agent, string actionType) => Add(
        "ActionFailed",
        new JsonObject
        {
            ["action_id"] = IdOf(agent, actionType), ["action_type"] = actionType, ["target"] = agent, ["result_code"] = "disk_full",
            ["error"] = new JsonObject { ["type"] = "Workspace", ["code"] = "disk_full" },
        },
        agent);

    public static JsonObject Text() => new() { ["commitment"] = "sha256:" + new string('c', 64), ["bytes"] = 3 };

    public ChainBuilder Intent(string call) => Add("ToolIntent", new JsonObject { ["call_id"] = call, ["tool"] = "sandbox.shell", ["arguments"] = Text() });

    public ChainBuilder Outcome(string call, string status = "ok") => Add("ToolOutcome", new JsonObject { ["call_id"] = call, ["tool"] = "sandbox.shell", ["status"] = status });

    public static string IdOf(string agent, string type) => StableId.Compute(type, agent, "{}");

    private static string Canonical(JsonObject value) => Encoding.UTF8.GetString(CanonicalJson.Serialize(JsonElement.Parse(value.ToJsonString())));
}
