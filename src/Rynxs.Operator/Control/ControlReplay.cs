using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator.Control;

/// <summary>Replays a control chain: the state it leads to, and whether its decisions are those that the decider makes.</summary>
public static class ControlReplay
{
    /// <summary>Folds every record.</summary>
    public static async Task<ControlState> ReadAsync(ILedgerChain chain, CancellationToken cancellationToken)
    {
        ControlState state = ControlState.Empty;
        await foreach (LedgerRecord record in chain.ReadAsync(0, cancellationToken))
        {
            state = ControlReducer.Apply(state, ControlEvent.From(record));
        }

        return state;
    }

    /// <summary>
    /// The sequences of decisions that differ from what the decider of the recorded version decides. A version that is not known here
    /// cannot be checked and is left out.
    /// </summary>
    public static IReadOnlyList<long> FindDifferences(IEnumerable<LedgerRecord> records)
    {
        var differences = new List<long>();
        ControlState state = ControlState.Empty;
        foreach (LedgerRecord record in records)
        {
            var controlEvent = ControlEvent.From(record);
            if (controlEvent.Payload is ActionsDecided decided && IsOurs(record))
            {
                ActionsDecided? again = AgentDecider.DecideMissing(state).FirstOrDefault(decision => decision.AgentId == decided.AgentId);
                if (again is null || again.ActionsHash != decided.ActionsHash || again.TriggerEventHash != decided.TriggerEventHash
                    || !again.ActionIds.SequenceEqual(decided.ActionIds))
                {
                    differences.Add(record.Seq);
                }
            }

            state = ControlReducer.Apply(state, controlEvent);
        }

        return differences;
    }

    private static bool IsOurs(LedgerRecord record) =>
        record.Meta.ValueKind == System.Text.Json.JsonValueKind.Object
        && record.Meta.TryGetProperty("decider", out System.Text.Json.JsonElement decider)
        && decider.ValueKind == System.Text.Json.JsonValueKind.String
        && decider.GetString() == AgentDecider.Version;
}
