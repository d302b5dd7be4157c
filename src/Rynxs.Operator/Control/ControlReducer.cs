using System.Collections.Immutable;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator.Control;

/// <summary>The only way from one control state to the next.</summary>
public static class ControlReducer
{
    /// <summary>Applies one record. Records must come in sequence, without a gap.</summary>
    /// <exception cref="LedgerCorruptException">The record is not the next one.</exception>
    public static ControlState Apply(ControlState state, ControlEvent controlEvent)
    {
        if (controlEvent.Seq != state.LastSeq + 1)
        {
            throw new LedgerCorruptException(
                $"The control chain continues with record {controlEvent.Seq} instead of {state.LastSeq + 1}.", "control", controlEvent.Seq,
                $"{state.LastSeq + 1}", $"{controlEvent.Seq}");
        }

        ControlState next = state with { LastSeq = controlEvent.Seq };
        return controlEvent.Payload switch
        {
            AgentObserved observed => Observe(next, observed, controlEvent),
            AgentDeletionObserved deletion => ObserveDeletion(next, deletion, controlEvent),
            ActionsDecided decided => Decide(next, decided, controlEvent),
            ActionApplied applied => Succeed(next, applied, controlEvent),
            ActionFailed failed => Fail(next, failed, controlEvent),
            DriftObserved drift => next with { Applied = next.Applied.Remove(drift.ActionId) },
            LedgerOpened => next with { EpochSeq = controlEvent.Seq },

            // Mutations, refusals and types of later versions do not concern the fold.
            _ => next,
        };
    }

    private static ControlState Observe(ControlState state, AgentObserved observed, ControlEvent controlEvent)
    {
        string id = $"{observed.Namespace}/{observed.Name}";
        var agent = new ObservedAgent
        {
            Namespace = observed.Namespace,
            Name = observed.Name,
            SpecHash = observed.SpecHash,
            Spec = observed.Spec,
            Labels = observed.Labels.ToImmutableSortedDictionary(StringComparer.Ordinal),
            EventSeq = controlEvent.Seq,
            EventHash = controlEvent.EventHash,
        };
        return state with { Agents = state.Agents.SetItem(id, agent) };
    }

    private static ControlState ObserveDeletion(ControlState state, AgentDeletionObserved deletion, ControlEvent controlEvent)
    {
        string id = $"{deletion.Namespace}/{deletion.Name}";
        return state.Agents.TryGetValue(id, out ObservedAgent? agent)
            ? state with
            {
                Agents = state.Agents.SetItem(
                    id, agent with { Deleting = true, EventSeq = controlEvent.Seq, EventHash = controlEvent.EventHash }),
            }
            : state;
    }

    private static ControlState Decide(ControlState state, ActionsDecided decided, ControlEvent controlEvent)
    {
        var decision = new AgentDecision(
            [.. decided.Actions.Select(ControlAction.TryParse).OfType<ControlAction>()],
            decided.ActionsHash, controlEvent.Seq, decided.TriggerEventSeq, decided.TriggerEventHash);

        // What failed and what took effect under an older decision says nothing about this one.
        // By the recorded ids, not the actions that this version knows: the state must not depend on the version that folds.
        HashSet<string> kept = [.. decided.ActionIds];
        return state with
        {
            Desired = state.Desired.SetItem(decided.AgentId, decision),
            Applied = state.Applied.RemoveRange(Stale(state.Applied, decided.AgentId, applied => applied.Target, kept)),
            Failures = state.Failures.RemoveRange(Stale(state.Failures, decided.AgentId, failure => failure.Target, kept: [])),
        };
    }

    private static ControlState Succeed(ControlState state, ActionApplied applied, ControlEvent controlEvent)
    {
        if (applied.ActionType == nameof(ControlActionType.ReleaseFinalizer))
        {
            return Forget(state, applied.Target);
        }

        return state with
        {
            Applied = state.Applied.SetItem(
                applied.ActionId, new AppliedAction(applied.ActionType, applied.Target, applied.ResultCode, controlEvent.Seq)),
            Failures = state.Failures.Remove(applied.ActionId),
        };
    }

    private static ControlState Fail(ControlState state, ActionFailed failed, ControlEvent controlEvent)
    {
        int count = state.Failures.TryGetValue(failed.ActionId, out FailedAction? before) ? before.Count + 1 : 1;
        return state with
        {
            Failures = state.Failures.SetItem(failed.ActionId, new FailedAction(failed.Target, count, failed.Error.Code, controlEvent.Seq)),
        };
    }

    private static ControlState Forget(ControlState state, string agentId) => state with
    {
        Agents = state.Agents.Remove(agentId),
        Desired = state.Desired.Remove(agentId),
        Applied = state.Applied.RemoveRange(Stale(state.Applied, agentId, applied => applied.Target, kept: [])),
        Failures = state.Failures.RemoveRange(Stale(state.Failures, agentId, failure => failure.Target, kept: [])),
    };

    private static IEnumerable<string> Stale<T>(
        ImmutableSortedDictionary<string, T> map, string agentId, Func<T, string> target, HashSet<string> kept) =>
        [.. map.Where(pair => target(pair.Value) == agentId && !kept.Contains(pair.Key)).Select(pair => pair.Key)];
}
