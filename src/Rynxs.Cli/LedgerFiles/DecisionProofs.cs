using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Objects;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary>For each decision the record that triggered it, its actions and what became of them: the original's decision proof.</summary>
/// <remarks>An outcome counts for the latest decision that wants its action. Only a bounded number of proofs is kept; all are counted.</remarks>
internal sealed class DecisionProofs(int kept)
{
    private readonly List<Proof> _proofs = [];
    private readonly Dictionary<string, Proof> _wantedBy = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, long> _actionTypes = new(StringComparer.Ordinal);

    public long Actions { get; private set; }

    public IReadOnlyDictionary<string, long> ActionTypes => _actionTypes;

    /// <summary>Kept decisions with an action that has no result and that no later decision replaced.</summary>
    public int Incomplete => _proofs.Count(proof => !proof.Replaced && proof.Ids.Any(id => !proof.Results.ContainsKey(id)));

    public void Observe(LogRecord record)
    {
        JsonElement payload = record.ToRecord().Payload;
        if (record.Type != "ActionsDecided")
        {
            if (payload.Text("action_id") is { } id && _wantedBy.TryGetValue(id, out Proof? wanting))
            {
                wanting.Results[id] = (record.Seq, record.Type == "ActionApplied", payload.Text("result_code"));
            }

            return;
        }

        string agent = payload.Text("agent_id") ?? record.AggregateId;
        var proof = new Proof(record, payload, agent, [.. payload.Items("action_ids").Where(id => id.ValueKind == JsonValueKind.String).Select(id => id.GetString() ?? "")]);
        foreach (JsonElement action in payload.Items("actions"))
        {
            Actions++;
            string type = action.Text("action_type") ?? "?";
            _actionTypes[type] = _actionTypes.GetValueOrDefault(type) + 1;
        }

        foreach (Proof earlier in _proofs.Where(earlier => earlier.Agent == agent))
        {
            earlier.Replaced = true;
        }

        if (_proofs.Count < kept)
        {
            _proofs.Add(proof);
            foreach (string id in proof.Ids)
            {
                _wantedBy[id] = proof;
            }
        }
    }

    public JsonArray ToJson() => new([.. _proofs.Select(ToJson)]);

    private static JsonNode ToJson(Proof proof)
    {
        var results = new JsonObject();
        var errors = new JsonArray();
        foreach (string id in proof.Ids)
        {
            if (proof.Results.TryGetValue(id, out (long Seq, bool Applied, string? Code) result))
            {
                results[id] = new JsonObject { ["seq"] = result.Seq, ["status"] = result.Applied ? "applied" : "failed", ["result_code"] = result.Code };
            }
            else
            {
                results[id] = new JsonObject { ["missing"] = true };
                errors.Add((JsonNode)$"no result for {id}");
            }
        }

        bool valid = errors.Count == 0;
        int applied = proof.Results.Values.Count(result => result.Applied);
        string status = applied == proof.Ids.Count ? "applied" : applied == 0 && proof.Results.Count > 0 ? "failed" : "partial";
        return new JsonObject
        {
            ["valid"] = valid,
            ["verification"] = new JsonObject { ["valid"] = valid, ["errors"] = errors },
            ["status"] = status,
            ["replaced"] = proof.Replaced,
            ["trigger_event"] = new JsonObject
            {
                ["seq"] = proof.Payload.Integer("trigger_event_seq"), ["hash"] = proof.Payload.Text("trigger_event_hash"),
                ["type"] = proof.Payload.Text("trigger_event_type"), ["spec_hash"] = proof.Payload.Text("trigger_spec_hash"),
            },
            ["actions_decided"] = new JsonObject
            {
                ["seq"] = proof.Record.Seq, ["hash"] = proof.Record.EventHash, ["agent_id"] = proof.Agent, ["actions_hash"] = proof.Payload.Text("actions_hash"),
                ["action_ids"] = new JsonArray([.. proof.Ids.Select(id => (JsonNode)id)]),
            },
            ["action_results"] = results,
        };
    }

    private sealed record Proof(LogRecord Record, JsonElement Payload, string Agent, IReadOnlyList<string> Ids)
    {
        public Dictionary<string, (long Seq, bool Applied, string? Code)> Results { get; } = new(StringComparer.Ordinal);

        public bool Replaced { get; set; }
    }
}
