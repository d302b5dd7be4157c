namespace Rynxs.Ledger.Replay;

/// <summary>One link of an explanation: a record and what it has to do with the one after it.</summary>
/// <param name="Role">
/// <c>mutation</c> (somebody changed the object), <c>observation</c> (the change was seen), <c>decision</c> (what to do), <c>applied</c>,
/// <c>failed</c>, <c>pending</c> (no outcome yet; the record is the decision).
/// </param>
/// <param name="Record">The record.</param>
/// <param name="ActionId">The action that an outcome is about; null for the others.</param>
/// <param name="ActionType">Its type.</param>
public sealed record WhyStep(string Role, LogRecord Record, string? ActionId = null, string? ActionType = null);

/// <summary>Why an agent's desired state is what it is: the records that led to it, in order, each with its hash.</summary>
public sealed record WhyExplanation
{
    public required string AgentId { get; init; }

    /// <summary>From the change of the object to the outcomes.</summary>
    public required IReadOnlyList<WhyStep> Steps { get; init; }

    /// <summary>Null when the decision names the observation that stands before it; else what does not fit.</summary>
    public string? PointerError { get; init; }

    /// <summary>Earlier decisions about the same agent.</summary>
    public required long EarlierDecisions { get; init; }

    /// <summary>Failures of the standing decision's actions beyond the last of each.</summary>
    public required long EarlierFailures { get; init; }
}

/// <summary>Follows one agent through a control chain and explains its standing decision.</summary>
/// <remarks>Memory holds the last record of each kind for that agent (of its changes the last 20), however long the log is.</remarks>
public sealed class WhyTrace(string agentId)
{
    private const int MaxMutations = 20;

    private readonly Dictionary<string, WhyStep> _outcomes = new(StringComparer.Ordinal);
    private readonly Queue<LogRecord> _mutations = new();
    private LogRecord[] _mutationsOfObservation = [];
    private LogRecord? _observation;
    private LogRecord? _decision;
    private WhyStep[]? _decided;
    private LogRecord? _trigger;
    private LogRecord[] _triggerMutations = [];
    private long _decisions;
    private long _failures;

    /// <summary>Takes the next record.</summary>
    public void Observe(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        switch (record.Type)
        {
            case "ResourceMutated" when IsOurs(record):
                _mutations.Enqueue(record);
                if (_mutations.Count > MaxMutations)
                {
                    _mutations.Dequeue();
                }

                break;
            case "AgentObserved" or "AgentDeletionObserved" when IdOf(record) == agentId:
                // All since the last observation: the last of them may be our own finalizer, and a person's change stands before it.
                (_observation, _mutationsOfObservation) = (record, [.. _mutations]);
                _mutations.Clear();
                break;
            case "ActionsDecided" when (record.PayloadText("agent_id"u8) ?? record.AggregateId) == agentId:
                Decide(record);
                break;
            case "ActionApplied" or "ActionFailed":
                Outcome(record);
                break;
        }
    }

    /// <summary>The explanation; null when nothing was observed or decided about the agent.</summary>
    public WhyExplanation? Explain()
    {
        var steps = new List<WhyStep>();
        LogRecord? observation = _trigger ?? _observation;
        steps.AddRange((_decision is null ? _mutationsOfObservation : _triggerMutations).Select(mutation => new WhyStep("mutation", mutation)));

        if (observation is not null)
        {
            steps.Add(new WhyStep("observation", observation));
        }

        if (_decision is not null)
        {
            steps.Add(new WhyStep("decision", _decision));
            foreach (WhyStep action in _decided ?? [])
            {
                steps.Add(_outcomes.GetValueOrDefault(action.ActionId ?? "") ?? action);
            }
        }

        return steps.Count == 0 ? null : new WhyExplanation
        {
            AgentId = agentId, Steps = steps, PointerError = PointerError(), EarlierDecisions = Math.Max(0, _decisions - 1), EarlierFailures = _failures,
        };
    }

    private void Decide(LogRecord record)
    {
        _decisions++;
        (_decision, _trigger, _triggerMutations) = (record, _observation, _mutationsOfObservation);
        _decided =
        [
            .. DesiredAction.Of(RawJson.Get(record.PayloadUtf8, "actions"u8))
                .Select(action => new WhyStep("pending", record, Utf8Key.Text(action.Id), RawJson.Text(action.Type))),
        ];
        _failures = 0;

        // What took effect before stays in effect when the new decision wants the same action.
        HashSet<string> wanted = [.. _decided.Select(action => action.ActionId ?? "")];
        foreach (string id in _outcomes.Keys.Where(id => !wanted.Contains(id)).ToArray())
        {
            _outcomes.Remove(id);
        }
    }

    private void Outcome(LogRecord record)
    {
        if (record.PayloadText("action_id"u8) is not { } id || _decided is null || Array.Find(_decided, action => action.ActionId == id) is not { } action)
        {
            return;
        }

        bool failed = record.Type == "ActionFailed";
        _failures += failed && _outcomes.GetValueOrDefault(id) is { Role: "failed" } ? 1 : 0;
        _outcomes[id] = new WhyStep(failed ? "failed" : "applied", record, id, action.ActionType);
    }

    private string? PointerError()
    {
        if (_decision is null)
        {
            return null;
        }

        long? seq = RawJson.Integer(RawJson.Get(_decision.PayloadUtf8, "trigger_event_seq"u8));
        return _trigger is null ? "no observation stands before the decision"
            : seq != _trigger.Seq ? $"the decision names record {seq}, the last observation is {_trigger.Seq}"
            : _decision.PayloadText("trigger_event_hash"u8) != _trigger.EventHash ? "the decision names another hash than its trigger has"
            : null;
    }

    private bool IsOurs(LogRecord record) => record.PayloadText("kind"u8) == "Agent"
        && $"{record.PayloadText("namespace"u8)}/{record.PayloadText("name"u8)}" == agentId
        && record.PayloadText("verb"u8) != "update-status";

    private static string? IdOf(LogRecord record) =>
        record.PayloadText("namespace"u8) is { } ns && record.PayloadText("name"u8) is { } name ? $"{ns}/{name}" : null;
}
