using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// Our state of the control chain, of which <c>rynxs_state_hash</c> is the hash: what the operator's fold knows (its <c>ControlState</c>
/// has the same hash; a test holds the two together), without a clock, randomness or anything outside the chain.
/// </summary>
/// <remarks>
/// It differs from <see cref="UniverseState"/> where the original forgets nothing: successes and failures belong to an agent and go with
/// the decision that they were about, and a released agent is forgotten whole. Only <see cref="Apply"/> changes it.
/// </remarks>
public sealed class RynxsState
{
    private readonly Dictionary<byte[], AgentEntry> _agents = new(Utf8Key.Comparer);
    private readonly Dictionary<byte[], DecisionEntry> _desired = new(Utf8Key.Comparer);
    private readonly OutcomesByTarget<SuccessEntry> _applied = new();
    private readonly OutcomesByTarget<FailuresEntry> _failed = new();

    /// <summary>Sequence of the last record applied; -1 before the first.</summary>
    public long LastSeq { get; private set; } = -1;

    /// <summary>Sequence of the last <c>LedgerOpened</c>; -1 before the first.</summary>
    public long EpochSeq { get; private set; } = -1;

    /// <summary>Applies the next record of a control chain.</summary>
    public void Apply(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        LastSeq = record.Seq;
        switch (record.Type)
        {
            case "AgentObserved":
                Observe(record, deleting: false);
                break;
            case "AgentDeletionObserved":
                Observe(record, deleting: true);
                break;
            case "ActionsDecided":
                Decide(record);
                break;
            case "ActionApplied":
                Succeed(record);
                break;
            case "ActionFailed":
                Fail(record);
                break;
            case "DriftObserved":
                Drift(record);
                break;
            case "LedgerOpened":
                EpochSeq = record.Seq;
                break;
        }
    }

    /// <summary>Lowercase hexadecimal SHA-256 of the canonical state.</summary>
    public string Hash() => Convert.ToHexStringLower(SHA256.HashData(Write().Written));

    /// <summary>The state as canonical JSON.</summary>
    public byte[] ToCanonical() => Write().Written.ToArray();

    private void Observe(LogRecord record, bool deleting)
    {
        var fields = new ObservedFields(record.PayloadUtf8);
        if (fields.Id is not { } id)
        {
            return;
        }

        byte[] hash = Encoding.ASCII.GetBytes(record.EventHash);
        if (!deleting)
        {
            _agents[id] = new AgentEntry(fields.SpecHash.ToArray(), Deleting: false, record.Seq, hash);
        }
        else if (_agents.TryGetValue(id, out AgentEntry? known))
        {
            _agents[id] = known with { Deleting = true, Seq = record.Seq, Hash = hash };
        }
    }

    private void Decide(LogRecord record)
    {
        ReadOnlySpan<byte> payload = record.PayloadUtf8;
        if (RawJson.Utf8(RawJson.Get(payload, "agent_id"u8)) is not { } agentId)
        {
            return;
        }

        _desired[agentId] = new DecisionEntry(
            RawJson.Get(payload, "actions_hash"u8).ToArray(), record.Seq, RawJson.Get(payload, "trigger_event_seq"u8).ToArray());

        // What failed and what took effect under an older decision says nothing about this one.
        var kept = new HashSet<byte[]>(Utf8Key.Comparer);
        foreach (ReadOnlySpan<byte> id in RawJson.ItemsOf(RawJson.Get(payload, "action_ids"u8)))
        {
            if (RawJson.Utf8(id) is { } text)
            {
                kept.Add(text);
            }
        }

        _applied.RemoveOf(agentId, kept);
        _failed.RemoveOf(agentId, kept: []);
    }

    private void Succeed(LogRecord record)
    {
        var fields = new OutcomeFields(record.PayloadUtf8);
        if (RepeatsLastSuccess(fields, out SuccessEntry? last))
        {
            last.Seq = record.Seq;
            return;
        }

        if (RawJson.Utf8(fields.Target) is not { } target || RawJson.Utf8(fields.ActionId) is not { } id)
        {
            return;
        }

        if (fields.ActionType.SequenceEqual("\"ReleaseFinalizer\""u8))
        {
            _agents.Remove(target);
            _desired.Remove(target);
            _applied.RemoveOf(target, kept: []);
            _failed.RemoveOf(target, kept: []);
            return;
        }

        _applied.Set(id, target, new SuccessEntry(fields.ActionType.ToArray(), fields.Target.ToArray(), fields.ResultCode.ToArray(), record.Seq));
        _failed.Remove(id);
    }

    /// <summary>The usual case of a resync: the same action took effect again as it did before, and did not fail between.</summary>
    private bool RepeatsLastSuccess(OutcomeFields fields, [NotNullWhen(true)] out SuccessEntry? last)
    {
        last = null;
        if (!RawJson.IsString(fields.ActionId) || fields.ActionId.Contains((byte)'\\'))
        {
            return false;
        }

        ReadOnlySpan<byte> id = fields.ActionId[1..^1];
        last = _applied.Find(id);
        return last is not null && _failed.Find(id) is null
            && fields.Target.SequenceEqual(last.Target) && fields.ActionType.SequenceEqual(last.ActionType) && fields.ResultCode.SequenceEqual(last.ResultCode);
    }

    private void Fail(LogRecord record)
    {
        var fields = new OutcomeFields(record.PayloadUtf8);
        if (RawJson.Utf8(fields.Target) is not { } target || RawJson.Utf8(fields.ActionId) is not { } id)
        {
            return;
        }

        int count = (_failed.Find(id)?.Count ?? 0) + 1;
        _failed.Set(id, target, new FailuresEntry(fields.Target.ToArray(), count, RawJson.Get(fields.Error, "code"u8).ToArray(), record.Seq));
    }

    private void Drift(LogRecord record)
    {
        var fields = new OutcomeFields(record.PayloadUtf8);
        if (RawJson.Utf8(fields.ActionId) is { } id)
        {
            _applied.Remove(id);
        }
    }

    private CanonicalOutput Write()
    {
        var output = new CanonicalOutput();
        output.Begin('{').Key("agents"u8).Begin('{');
        foreach ((byte[] id, AgentEntry agent) in _agents.OrderBy(pair => pair.Key, Utf8Key.Comparer))
        {
            output.Key(id).Begin('{').Key("deleting"u8).Flag(agent.Deleting).Key("event_hash"u8).Text(agent.Hash).Key("event_seq"u8).Number(agent.Seq)
                .Key("spec_hash"u8).Raw(agent.SpecHash).End('}');
        }

        output.End('}').Key("applied"u8).Begin('{');
        foreach ((byte[] id, SuccessEntry success) in _applied.Sorted())
        {
            output.Key(id).Begin('{').Key("action_type"u8).Raw(success.ActionType).Key("result_code"u8).Raw(success.ResultCode)
                .Key("seq"u8).Number(success.Seq).Key("target"u8).Raw(success.Target).End('}');
        }

        output.End('}').Key("desired"u8).Begin('{');
        foreach ((byte[] id, DecisionEntry decision) in _desired.OrderBy(pair => pair.Key, Utf8Key.Comparer))
        {
            output.Key(id).Begin('{').Key("actions_hash"u8).Raw(decision.ActionsHash).Key("seq"u8).Number(decision.Seq)
                .Key("trigger_event_seq"u8).Raw(decision.TriggerSeq).End('}');
        }

        output.End('}').Key("epoch_seq"u8).Number(EpochSeq).Key("failures"u8).Begin('{');
        foreach ((byte[] id, FailuresEntry failure) in _failed.Sorted())
        {
            output.Key(id).Begin('{').Key("code"u8).Raw(failure.Code).Key("count"u8).Number(failure.Count).Key("seq"u8).Number(failure.Seq)
                .Key("target"u8).Raw(failure.Target).End('}');
        }

        return output.End('}').Key("last_seq"u8).Number(LastSeq).End('}');
    }

    private sealed record AgentEntry(byte[] SpecHash, bool Deleting, long Seq, byte[] Hash);

    private sealed record DecisionEntry(byte[] ActionsHash, long Seq, byte[] TriggerSeq);

    private sealed class SuccessEntry(byte[] actionType, byte[] target, byte[] resultCode, long seq)
    {
        public byte[] ActionType { get; } = actionType;

        public byte[] Target { get; } = target;

        public byte[] ResultCode { get; } = resultCode;

        public long Seq { get; set; } = seq;
    }

    private sealed record FailuresEntry(byte[] Target, int Count, byte[] Code, long Seq);

    /// <summary>Outcomes by action id, with an index by target: a decision must not look at every outcome of every agent.</summary>
    private sealed class OutcomesByTarget<T>
        where T : class
    {
        private readonly Dictionary<byte[], (byte[] Target, T Entry)> _byId = new(Utf8Key.Comparer);
        private readonly Dictionary<byte[], HashSet<byte[]>> _idsOf = new(Utf8Key.Comparer);

        public T? Find(ReadOnlySpan<byte> id) =>
            _byId.Count > 0 && _byId.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(id, out (byte[] Target, T Entry) found) ? found.Entry : null;

        public void Set(byte[] id, byte[] target, T entry)
        {
            if (_byId.TryGetValue(id, out (byte[] Target, T Entry) before) && !before.Target.AsSpan().SequenceEqual(target))
            {
                Remove(id);
            }

            _byId[id] = (target, entry);
            if (!_idsOf.TryGetValue(target, out HashSet<byte[]>? ids))
            {
                _idsOf[target] = ids = new HashSet<byte[]>(Utf8Key.Comparer);
            }

            ids.Add(id);
        }

        public void Remove(byte[] id)
        {
            if (_byId.Remove(id, out (byte[] Target, T Entry) removed) && _idsOf.TryGetValue(removed.Target, out HashSet<byte[]>? ids) && ids.Remove(id) && ids.Count == 0)
            {
                _idsOf.Remove(removed.Target);
            }
        }

        public void RemoveOf(byte[] target, HashSet<byte[]> kept)
        {
            if (_idsOf.TryGetValue(target, out HashSet<byte[]>? ids))
            {
                foreach (byte[] id in ids.Where(id => !kept.Contains(id)).ToArray())
                {
                    Remove(id);
                }
            }
        }

        public IEnumerable<(byte[] Id, T Entry)> Sorted() => _byId.OrderBy(pair => pair.Key, Utf8Key.Comparer).Select(pair => (pair.Key, pair.Value.Entry));
    }
}
