using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// The original's state: its reducer over its four event types, byte for byte, so that <c>state_hash</c> is the same there and here. All
/// events fall into one aggregate, <c>universe</c>.
/// </summary>
/// <remarks>
/// Only <see cref="Apply"/> changes it. Records of other types are left out and do not count into <see cref="Version"/>: the original would
/// refuse such a log. Quirks of the original are kept here because the hash fixes them: <c>applied</c> is global and failures are never
/// cleared. <see cref="UniverseQueries"/> does better where a hash does not bind it.
/// </remarks>
public sealed class UniverseState
{
    private readonly Dictionary<byte[], byte[]> _agents = new(Utf8Key.Comparer);
    private readonly Dictionary<byte[], byte[]> _lastSeen = new(Utf8Key.Comparer);
    private readonly Dictionary<byte[], DesiredEntry> _desired = new(Utf8Key.Comparer);
    private readonly Dictionary<byte[], AppliedEntry> _applied = new(Utf8Key.Comparer);
    private readonly List<FailureEntry> _failures = [];
    private readonly CanonicalOutput _agentText = new();

    /// <summary>Number of events applied.</summary>
    public long Version { get; private set; }

    internal IReadOnlyDictionary<byte[], byte[]> Agents => _agents;
    internal IReadOnlyDictionary<byte[], DesiredEntry> Desired => _desired;
    internal IReadOnlyDictionary<byte[], AppliedEntry> Applied => _applied;
    internal IReadOnlyList<FailureEntry> Failures => _failures;

    /// <summary>Applies a record; false when its type is none of the four.</summary>
    public bool Apply(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        switch (record.Type)
        {
            case "AgentObserved":
                Observe(record);
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
            default:
                return false;
        }

        Version++;
        return true;
    }

    /// <summary>Lowercase hexadecimal SHA-256 of <see cref="ToCanonical"/>.</summary>
    public string Hash() => Convert.ToHexStringLower(SHA256.HashData(Write().Written));

    /// <summary>The whole state, canonical: <c>{"aggregates":{"universe":{…}},"version":N}</c>.</summary>
    public byte[] ToCanonical() => Write().Written.ToArray();

    /// <summary>Reads the canonical form back (the <c>state_bytes</c> of a checkpoint).</summary>
    /// <exception cref="FormatException">The bytes are not a state in canonical form.</exception>
    public static UniverseState Parse(ReadOnlySpan<byte> canonical)
    {
        UniverseState state = UniverseStateReader.Read(canonical);
        return state.Write().Written.SequenceEqual(canonical)
            ? state
            : throw new FormatException("The state is not one that this reducer makes.");
    }

    internal void Restore(long version) => Version = version;

    internal void RestoreAgent(byte[] id, byte[] agent) => _agents[id] = agent;

    internal void RestoreLastSeen(byte[] id, byte[] specHash) => _lastSeen[id] = specHash;

    internal void RestoreDesired(byte[] id, DesiredEntry desired) => _desired[id] = desired;

    internal void RestoreApplied(byte[] id, AppliedEntry applied) => _applied[id] = applied;

    internal void RestoreFailure(FailureEntry failure) => _failures.Add(failure);

    private void Observe(LogRecord record)
    {
        var fields = new ObservedFields(record.PayloadUtf8);
        byte[] id = Encoding.UTF8.GetBytes(record.AggregateId);
        CanonicalOutput agent = _agentText;
        agent.Clear();
        agent.Begin('{').Key("labels"u8).Raw(fields.Labels.Length == 0 ? "{}"u8 : fields.Labels).Key("name"u8).Raw(fields.Name)
            .Key("namespace"u8).Raw(fields.Namespace).Key("spec"u8).Raw(fields.Spec).Key("spec_hash"u8).Raw(fields.SpecHash).End('}');
        _agents[id] = agent.Written.ToArray();
        _lastSeen[id] = fields.SpecHash.Length == 0 ? "null"u8.ToArray() : fields.SpecHash.ToArray();
    }

    private void Decide(LogRecord record)
    {
        ReadOnlySpan<byte> payload = record.PayloadUtf8;
        byte[] id = RawJson.Utf8(RawJson.Get(payload, "agent_id"u8)) ?? Encoding.UTF8.GetBytes(record.AggregateId);
        _desired[id] = new DesiredEntry(
            [.. DesiredAction.Of(RawJson.Get(payload, "actions"u8)).OrderBy(action => action.Id, Utf8Key.Comparer)],
            RawJson.Get(payload, "actions_hash"u8).ToArray(),
            RawJson.Get(payload, "trigger_event_hash"u8).ToArray(),
            RawJson.Get(payload, "trigger_event_seq"u8).ToArray(),
            RawJson.Get(payload, "trigger_event_type"u8).ToArray(),
            RawJson.Get(payload, "trigger_spec_hash"u8).ToArray());
    }

    private void Succeed(LogRecord record)
    {
        var fields = new OutcomeFields(record.PayloadUtf8);
        if (!RawJson.IsString(fields.ActionId))
        {
            return;
        }

        ReadOnlySpan<byte> code = fields.ResultCode.Length == 0 ? "\"OK\""u8 : fields.ResultCode;
        ReadOnlySpan<byte> key = fields.ActionId[1..^1];
        Dictionary<byte[], AppliedEntry>.AlternateLookup<ReadOnlySpan<byte>> bySpan = _applied.GetAlternateLookup<ReadOnlySpan<byte>>();
        if (!key.Contains((byte)'\\') && bySpan.TryGetValue(key, out byte[]? known, out AppliedEntry? before))
        {
            // The usual case of a resync: the same action took effect again.
            if (before.Agrees(fields, code))
            {
                before.Seq = record.Seq;
            }
            else
            {
                _applied[known] = AppliedEntry.Of(fields, code, record.Seq);
            }

            return;
        }

        _applied[RawJson.Unescape(key)] = AppliedEntry.Of(fields, code, record.Seq);
    }

    private void Fail(LogRecord record)
    {
        var fields = new OutcomeFields(record.PayloadUtf8);
        ReadOnlySpan<byte> error = RawJson.IsObject(fields.Error) ? fields.Error : "{}"u8;
        _failures.Add(new FailureEntry(
            fields.ActionId.ToArray(), fields.ResultCode.ToArray(), RawJson.Get(error, "code"u8).ToArray(), RawJson.Get(error, "type"u8).ToArray(),
            RawJson.Get(error, "status"u8).ToArray(), RawJson.Get(error, "reason"u8).ToArray(), record.Seq));
    }

    private CanonicalOutput Write()
    {
        var output = new CanonicalOutput();
        output.Begin('{').Key("aggregates"u8).Begin('{');
        if (Version > 0)
        {
            output.Key("universe"u8).Begin('{');
            output.Key("agents"u8).Begin('{');
            foreach ((byte[] id, byte[] agent) in Sorted(_agents))
            {
                output.Key(id).Raw(agent);
            }

            output.End('}').Key("applied"u8).Begin('{');
            foreach ((byte[] id, AppliedEntry applied) in Sorted(_applied))
            {
                applied.Write(output.Key(id));
            }

            output.End('}').Key("desired"u8).Begin('{');
            foreach ((byte[] id, DesiredEntry desired) in Sorted(_desired))
            {
                desired.Write(output.Key(id));
            }

            output.End('}').Key("failures"u8).Begin('[');
            foreach (FailureEntry failure in _failures)
            {
                failure.Write(output);
            }

            output.End(']').Key("last_seen_spec_hash"u8).Begin('{');
            foreach ((byte[] id, byte[] specHash) in Sorted(_lastSeen))
            {
                output.Key(id).Raw(specHash);
            }

            output.End('}').End('}');
        }

        return output.End('}').Key("version"u8).Number(Version).End('}');
    }

    private static IEnumerable<KeyValuePair<byte[], T>> Sorted<T>(Dictionary<byte[], T> map) => map.OrderBy(pair => pair.Key, Utf8Key.Comparer);
}
