using System.Text;

namespace Rynxs.Ledger.Replay;

/// <summary>Questions to a state of the original's reducer.</summary>
public static class UniverseQueries
{
    private const int MaxFailures = 20;

    /// <summary>Agents that are observed or desired, <c>NAMESPACE/NAME</c>, in ordinal order.</summary>
    public static IReadOnlyList<string> ListAgents(this UniverseState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        return [.. state.Agents.Keys.Concat(state.Desired.Keys).Distinct(Utf8Key.Comparer).Order(Utf8Key.Comparer).Select(id => Utf8Key.Text(id))];
    }

    /// <summary>The agents that a name means: itself when it is <c>NAMESPACE/NAME</c>, else every agent of that bare name. Empty: there is none.</summary>
    public static IReadOnlyList<string> Resolve(this UniverseState state, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return [.. state.ListAgents().Where(id => id == name || (!name.Contains('/', StringComparison.Ordinal) && id.EndsWith("/" + name, StringComparison.Ordinal)))];
    }

    /// <summary>What an agent's last decision wants and what took effect; null when nothing was decided about it.</summary>
    /// <remarks>
    /// <see cref="AgentDrift.Extra"/> names only what is of this agent. The original lists every other agent's actions there, because its
    /// successes are global. Whose an action is shows in its target: the agent's id, or an object whose name begins with it.
    /// </remarks>
    public static AgentDrift? Drift(this UniverseState state, string agentId)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(agentId);
        if (!state.Desired.TryGetValue(Encoding.UTF8.GetBytes(agentId), out DesiredEntry? desired))
        {
            return null;
        }

        HashSet<byte[]> wanted = new(desired.Actions.Select(action => action.Id), Utf8Key.Comparer);
        HashSet<byte[]> wantedByOthers = new(
            state.Desired.Values.Where(other => !ReferenceEquals(other, desired)).SelectMany(other => other.Actions).Select(action => action.Id), Utf8Key.Comparer);
        IReadOnlyList<string> all = state.ListAgents();
        return new AgentDrift
        {
            AgentId = agentId,
            Desired = Ids(wanted),
            Applied = Ids(wanted.Where(state.Applied.ContainsKey)),
            Missing = Ids(wanted.Where(id => !state.Applied.ContainsKey(id))),
            Extra = Ids(state.Applied
                .Where(pair => !wanted.Contains(pair.Key) && !wantedByOthers.Contains(pair.Key) && OwnerOf(RawJson.Text(pair.Value.Target) ?? "", all) == agentId)
                .Select(pair => pair.Key)),
            ActionsHash = RawJson.Text(desired.ActionsHash),
            TriggerEventSeq = RawJson.Integer(desired.TriggerEventSeq),
            TriggerEventHash = RawJson.Text(desired.TriggerEventHash),
            TriggerEventType = RawJson.Text(desired.TriggerEventType),
            TriggerSpecHash = RawJson.Text(desired.TriggerSpecHash),
        };
    }

    /// <summary>The last 20 failures of the actions that an agent's standing decision wants, oldest first.</summary>
    public static IReadOnlyList<ActionFailure> Failures(this UniverseState state, string agentId)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(agentId);
        if (!state.Desired.TryGetValue(Encoding.UTF8.GetBytes(agentId), out DesiredEntry? desired))
        {
            return [];
        }

        HashSet<string> wanted = [.. desired.Actions.Select(action => Utf8Key.Text(action.Id))];
        return
        [
            .. state.Failures
                .Select(failure => new ActionFailure(
                    RawJson.Text(failure.ActionId) ?? "", RawJson.Text(failure.ResultCode), RawJson.Text(failure.ErrorCode), RawJson.Text(failure.ErrorType), failure.Seq))
                .Where(failure => wanted.Contains(failure.ActionId))
                .TakeLast(MaxFailures),
        ];
    }

    private static IReadOnlyList<string> Ids(IEnumerable<byte[]> ids) => [.. ids.Order(Utf8Key.Comparer).Select(id => Utf8Key.Text(id))];

    /// <summary>The agent with the longest id that a target is, or begins with: <c>ns/demo-spec</c> is of <c>ns/demo</c> unless there is an agent of that very name.</summary>
    private static string? OwnerOf(string target, IReadOnlyList<string> agents) => agents
        .Where(id => target == id || target.StartsWith(id + "-", StringComparison.Ordinal))
        .MaxBy(id => id.Length);
}

/// <summary>What is wanted for an agent and what is in effect. Ids are those of actions, in ordinal order.</summary>
public sealed record AgentDrift
{
    public required string AgentId { get; init; }
    public required IReadOnlyList<string> Desired { get; init; }
    public required IReadOnlyList<string> Applied { get; init; }

    /// <summary>Desired and not known to be in effect.</summary>
    public required IReadOnlyList<string> Missing { get; init; }

    /// <summary>In effect and no longer desired.</summary>
    public required IReadOnlyList<string> Extra { get; init; }

    public string? ActionsHash { get; init; }
    public long? TriggerEventSeq { get; init; }
    public string? TriggerEventHash { get; init; }
    public string? TriggerEventType { get; init; }
    public string? TriggerSpecHash { get; init; }

    /// <summary>Something is missing or too much.</summary>
    public bool HasDrift => Missing.Count + Extra.Count > 0;
}

/// <summary>A failure of a desired action.</summary>
public sealed record ActionFailure(string ActionId, string? ResultCode, string? ErrorCode, string? ErrorType, long Seq);
