using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator.Control;

/// <summary>What deciding again came to.</summary>
public abstract record DecisionVerdict
{
    private DecisionVerdict()
    {
    }

    /// <summary>The record is no decision.</summary>
    public sealed record None : DecisionVerdict;

    /// <summary>The decider of the recorded version decides the same.</summary>
    public sealed record Same : DecisionVerdict;

    /// <summary>It decides something else.</summary>
    /// <param name="Logged">Hash of the actions that the log holds.</param>
    /// <param name="Recomputed">Hash of those that the decider gives; null when it decides nothing.</param>
    public sealed record Different(string Logged, string? Recomputed) : DecisionVerdict;

    /// <summary>The decider's version is not known here, or the record states none: nothing can be said.</summary>
    public sealed record Unknown(string? Decider) : DecisionVerdict;
}

/// <summary>
/// Decides again what a control chain says was decided. Keeps only what a decision depends on (observations and standing decisions), so
/// outcomes cost nothing.
/// </summary>
public sealed class DecisionCheck
{
    private ControlState _state = ControlState.Empty;

    /// <summary>Takes the next record; records that no decision depends on may be left out.</summary>
    /// <exception cref="LedgerCorruptException">A payload of a known type cannot be read.</exception>
    public DecisionVerdict Observe(LedgerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        if (record.Type is not (nameof(AgentObserved) or nameof(AgentDeletionObserved) or nameof(ActionsDecided)) && !IsRelease(record))
        {
            return new DecisionVerdict.None();
        }

        var controlEvent = ControlEvent.From(record);
        DecisionVerdict verdict = controlEvent.Payload is ActionsDecided decided ? Compare(decided, Decider(record)) : new DecisionVerdict.None();

        // Left-out records are no gap for the fold.
        _state = ControlReducer.Apply(_state with { LastSeq = record.Seq - 1 }, controlEvent);
        return verdict;
    }

    private DecisionVerdict Compare(ActionsDecided decided, string? decider)
    {
        if (decider != AgentDecider.Version)
        {
            return new DecisionVerdict.Unknown(decider);
        }

        ActionsDecided? again = AgentDecider.DecideFor(_state, decided.AgentId);
        bool same = again is not null && again.ActionsHash == decided.ActionsHash && again.TriggerEventHash == decided.TriggerEventHash
            && again.ActionIds.SequenceEqual(decided.ActionIds);
        return same ? new DecisionVerdict.Same() : new DecisionVerdict.Different(decided.ActionsHash, again?.ActionsHash);
    }

    // A released agent is forgotten: the next one of that name starts anew.
    private static bool IsRelease(LedgerRecord record) => record.Type == nameof(ActionApplied)
        && record.Payload.TryGetProperty("action_type"u8, out JsonElement type) && type.ValueKind == JsonValueKind.String
        && type.ValueEquals(nameof(ControlActionType.ReleaseFinalizer));

    private static string? Decider(LedgerRecord record) =>
        record.Meta.ValueKind == JsonValueKind.Object && record.Meta.TryGetProperty("decider"u8, out JsonElement decider) && decider.ValueKind == JsonValueKind.String
            ? decider.GetString()
            : null;
}
