using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator.Control;

/// <summary>
/// What should be done about an agent. Pure: it reads the state and the event, nothing else. Its version is recorded with each decision
/// (<c>meta.decider</c>); a change of what it decides needs a new version, and the old one stays for replay.
/// </summary>
public static class AgentDecider
{
    /// <summary>Version of the rules below.</summary>
    public const string Version = "agents/1";

    /// <summary>Held on every Agent while something of it runs here.</summary>
    public const string Finalizer = "universe.ai/agent-runtime";

    /// <summary>Decides after an event was applied. Null: nothing new to decide, because the decision for that spec stands.</summary>
    public static ActionsDecided? Decide(ControlState state, ControlEvent controlEvent) => controlEvent.Payload switch
    {
        AgentObserved observed => DecideFor(state, $"{observed.Namespace}/{observed.Name}"),
        AgentDeletionObserved deletion => DecideFor(state, $"{deletion.Namespace}/{deletion.Name}"),
        _ => null,
    };

    /// <summary>Agents whose observation is recorded and whose decision is not: a crash came between the two.</summary>
    public static IEnumerable<ActionsDecided> DecideMissing(ControlState state) =>
        state.Agents.Keys.Select(id => DecideFor(state, id)).OfType<ActionsDecided>();

    /// <summary>What is to be decided about one agent in this state; null when the standing decision says it already, or there is no such agent.</summary>
    public static ActionsDecided? DecideFor(ControlState state, string agentId)
    {
        if (!state.Agents.TryGetValue(agentId, out ObservedAgent? agent))
        {
            return null;
        }

        ImmutableArray<ControlAction> actions = agent.Deleting ? Remove(agentId) : Run(agentId, agent);
        string actionsHash = ControlAction.HashOf(actions);
        if (state.Desired.TryGetValue(agentId, out AgentDecision? standing) && standing.ActionsHash == actionsHash)
        {
            return null;
        }

        return new ActionsDecided
        {
            AgentId = agentId,
            TriggerEventSeq = agent.EventSeq,
            TriggerEventHash = agent.EventHash,
            TriggerEventType = agent.Deleting ? nameof(AgentDeletionObserved) : nameof(AgentObserved),
            TriggerSpecHash = agent.SpecHash,
            Actions = [.. actions.Select(action => action.ToDecided())],
            ActionsHash = actionsHash,
            ActionIds = [.. actions.Select(action => action.Id)],
        };
    }

    // The order is the order of execution: a loop needs its image, its chain and its directories.
    private static ImmutableArray<ControlAction> Run(string agentId, ObservedAgent agent) =>
    [
        ControlAction.Create(ControlActionType.EnsureWorkspace, agentId, new JsonObject { ["size"] = Text(agent.Spec, "workspace", "size") }),
        ControlAction.Create(ControlActionType.EnsureAuditChain, agentId, []),
        ControlAction.Create(ControlActionType.EnsureImage, agentId, new JsonObject { ["image"] = Image(agent.Spec) }),
        ControlAction.Create(ControlActionType.EnsureAgentRuntime, agentId, new JsonObject { ["spec_hash"] = agent.SpecHash }),
    ];

    private static ImmutableArray<ControlAction> Remove(string agentId) =>
    [
        ControlAction.Create(ControlActionType.RemoveAgentRuntime, agentId, []),
        ControlAction.Create(ControlActionType.ReleaseFinalizer, agentId, new JsonObject { ["finalizer"] = Finalizer }),
    ];

    private static string Image(JsonElement spec)
    {
        string repository = Text(spec, "image", "repository");
        return repository.Length == 0 ? "" : $"{repository}:{Text(spec, "image", "tag")}";
    }

    private static string Text(JsonElement spec, string section, string name) =>
        spec.ValueKind == JsonValueKind.Object
        && spec.TryGetProperty(section, out JsonElement part) && part.ValueKind == JsonValueKind.Object
        && part.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() ?? ""
            : "";
}
