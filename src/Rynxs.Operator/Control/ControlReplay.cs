using Rynxs.Ledger;

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
        var check = new DecisionCheck();
        return [.. records.Where(record => check.Observe(record) is DecisionVerdict.Different).Select(record => record.Seq)];
    }
}
