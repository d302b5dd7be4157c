using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Operator.Control;

/// <summary>
/// What the control chain says: a fold over its records. Immutable; only <see cref="ControlReducer.Apply"/> makes a new one. It holds no
/// clock and no randomness, so the same records give the same state, byte for byte (<see cref="Hash"/>).
/// </summary>
public sealed record ControlState
{
    /// <summary>Before the first record.</summary>
    public static ControlState Empty { get; } = new();

    /// <summary>Sequence of the last record that was applied; -1 before the first.</summary>
    public long LastSeq { get; init; } = -1;

    /// <summary>Sequence of the last LedgerOpened: what a process brought up before it is no longer there.</summary>
    public long EpochSeq { get; init; } = -1;

    /// <summary>Agents by <c>NAMESPACE/NAME</c>.</summary>
    public ImmutableSortedDictionary<string, ObservedAgent> Agents { get; init; } = EmptyMap<ObservedAgent>();

    /// <summary>The latest decision for each agent.</summary>
    public ImmutableSortedDictionary<string, AgentDecision> Desired { get; init; } = EmptyMap<AgentDecision>();

    /// <summary>Last success of each action, by id.</summary>
    public ImmutableSortedDictionary<string, AppliedAction> Applied { get; init; } = EmptyMap<AppliedAction>();

    /// <summary>Failures since the last success or decision, by action id.</summary>
    public ImmutableSortedDictionary<string, FailedAction> Failures { get; init; } = EmptyMap<FailedAction>();

    /// <summary>
    /// Decided and not known to be in effect, in the order to run them. An action is in effect when it was applied after it was decided
    /// and after this process opened the chain.
    /// </summary>
    /// <param name="agentId"><c>NAMESPACE/NAME</c>.</param>
    /// <param name="effectsOutliveProcess">What an earlier process brought about is still there, as objects of a cluster are: only the decision counts.</param>
    public IReadOnlyList<ControlAction> Pending(string agentId, bool effectsOutliveProcess = false)
    {
        if (!Desired.TryGetValue(agentId, out AgentDecision? decision))
        {
            return [];
        }

        // Never "after the decision" alone: an action that a new decision keeps was in effect before it.
        long inEffectFrom = effectsOutliveProcess ? 0 : Math.Max(decision.Seq, EpochSeq);
        return [.. decision.Actions.Where(action => !Applied.TryGetValue(action.Id, out AppliedAction? applied) || applied.Seq < inEffectFrom)];
    }

    /// <summary>The state as JSON, with keys in ordinal order.</summary>
    public JsonElement ToJson()
    {
        var root = new JsonObject
        {
            ["last_seq"] = LastSeq,
            ["epoch_seq"] = EpochSeq,
            ["agents"] = Object(Agents, agent => new JsonObject
            {
                ["spec_hash"] = agent.SpecHash,
                ["deleting"] = agent.Deleting,
                ["event_seq"] = agent.EventSeq,
                ["event_hash"] = agent.EventHash,
            }),
            ["desired"] = Object(Desired, decision => new JsonObject
            {
                ["actions_hash"] = decision.ActionsHash,
                ["seq"] = decision.Seq,
                ["trigger_event_seq"] = decision.TriggerEventSeq,
            }),
            ["applied"] = Object(Applied, applied => new JsonObject
            {
                ["action_type"] = applied.ActionType, ["target"] = applied.Target, ["result_code"] = applied.ResultCode, ["seq"] = applied.Seq,
            }),
            ["failures"] = Object(Failures, failure => new JsonObject
            {
                ["count"] = failure.Count, ["code"] = failure.Code, ["target"] = failure.Target, ["seq"] = failure.Seq,
            }),
        };
        return JsonSerializer.SerializeToElement(root, OperatorJson.Default.JsonObject);
    }

    /// <summary>Lowercase hexadecimal SHA-256 of the canonical state.</summary>
    public string Hash() => CanonicalJson.Sha256Hex(ToJson());

    private static JsonObject Object<T>(ImmutableSortedDictionary<string, T> map, Func<T, JsonObject> convert)
    {
        var result = new JsonObject();
        foreach ((string key, T value) in map)
        {
            result[key] = convert(value);
        }

        return result;
    }

    private static ImmutableSortedDictionary<string, T> EmptyMap<T>() => ImmutableSortedDictionary.Create<string, T>(StringComparer.Ordinal);
}

/// <summary>An agent as last observed.</summary>
public sealed record ObservedAgent
{
    public required string Namespace { get; init; }
    public required string Name { get; init; }

    /// <summary>First 16 hexadecimal digits of SHA-256 over the canonical spec.</summary>
    public required string SpecHash { get; init; }

    /// <summary>The spec with defaults applied.</summary>
    public required JsonElement Spec { get; init; }

    public required ImmutableSortedDictionary<string, string> Labels { get; init; }

    /// <summary>Its deletion was asked for.</summary>
    public bool Deleting { get; init; }

    /// <summary>The record that says so: the trigger of the next decision.</summary>
    public required long EventSeq { get; init; }
    public required string EventHash { get; init; }
}

/// <summary>The intent for one agent.</summary>
public sealed record AgentDecision(
    ImmutableArray<ControlAction> Actions, string ActionsHash, long Seq, long TriggerEventSeq, string TriggerEventHash);

/// <summary>A success.</summary>
public sealed record AppliedAction(string ActionType, string Target, string ResultCode, long Seq);

/// <summary>Failures in a row.</summary>
public sealed record FailedAction(string Target, int Count, string Code, long Seq);
