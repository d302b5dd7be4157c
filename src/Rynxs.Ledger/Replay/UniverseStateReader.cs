using System.Text;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Replay;

/// <summary>Reads the original's state from its canonical bytes. What it lets through wrongly shows when the state is written again.</summary>
internal static class UniverseStateReader
{
    /// <exception cref="FormatException">The bytes are not a state.</exception>
    public static UniverseState Read(ReadOnlySpan<byte> canonical)
    {
        try
        {
            var cursor = new CanonicalCursor(canonical);
            cursor.RequireUtf8();
            cursor.Object(depth: 1);
            if (!cursor.IsAtEnd)
            {
                throw new FormatException("Something stands behind the state.");
            }
        }
        catch (NonCanonicalException exception)
        {
            throw new FormatException($"The state is not canonical JSON: {exception.Message}", exception);
        }

        var state = new UniverseState();
        ReadOnlySpan<byte> universe = RawJson.Get(RawJson.Get(canonical, "aggregates"u8), "universe"u8);
        foreach (RawJson.Member agent in Map(universe, "agents"u8))
        {
            state.RestoreAgent(RawJson.Unescape(agent.Key), agent.Value.ToArray());
        }

        foreach (RawJson.Member seen in Map(universe, "last_seen_spec_hash"u8))
        {
            state.RestoreLastSeen(RawJson.Unescape(seen.Key), seen.Value.ToArray());
        }

        foreach (RawJson.Member desired in Map(universe, "desired"u8))
        {
            state.RestoreDesired(RawJson.Unescape(desired.Key), Desired(desired.Value));
        }

        foreach (RawJson.Member applied in Map(universe, "applied"u8))
        {
            state.RestoreApplied(RawJson.Unescape(applied.Key), new AppliedEntry(
                RawJson.Get(applied.Value, "action_type"u8).ToArray(), RawJson.Get(applied.Value, "target"u8).ToArray(),
                RawJson.Get(applied.Value, "result_code"u8).ToArray(), Seq(applied.Value, "applied_seq"u8)));
        }

        ReadOnlySpan<byte> failures = RawJson.Get(universe, "failures"u8);
        foreach (ReadOnlySpan<byte> failure in RawJson.ItemsOf(RawJson.IsArray(failures) ? failures : default))
        {
            state.RestoreFailure(new FailureEntry(
                RawJson.Get(failure, "action_id"u8).ToArray(), RawJson.Get(failure, "result_code"u8).ToArray(), RawJson.Get(failure, "error_code"u8).ToArray(),
                RawJson.Get(failure, "error_type"u8).ToArray(), RawJson.Get(failure, "error_status"u8).ToArray(), RawJson.Get(failure, "error_reason"u8).ToArray(),
                Seq(failure, "failed_seq"u8)));
        }

        state.Restore(Seq(canonical, "version"u8));
        return state;
    }

    private static DesiredEntry Desired(ReadOnlySpan<byte> desired)
    {
        var actions = new List<DesiredAction>();
        foreach (RawJson.Member action in Map(desired, "actions"u8))
        {
            actions.Add(new DesiredAction(
                RawJson.Unescape(action.Key), RawJson.Get(action.Value, "action_type"u8).ToArray(), RawJson.Get(action.Value, "target"u8).ToArray()));
        }

        return new DesiredEntry(
            actions, RawJson.Get(desired, "actions_hash"u8).ToArray(), RawJson.Get(desired, "trigger_event_hash"u8).ToArray(),
            RawJson.Get(desired, "trigger_event_seq"u8).ToArray(), RawJson.Get(desired, "trigger_event_type"u8).ToArray(),
            RawJson.Get(desired, "trigger_spec_hash"u8).ToArray());
    }

    private static RawJson.Members Map(ReadOnlySpan<byte> parent, ReadOnlySpan<byte> key)
    {
        ReadOnlySpan<byte> value = RawJson.Get(parent, key);
        return RawJson.Of(RawJson.IsObject(value) ? value : default);
    }

    private static long Seq(ReadOnlySpan<byte> parent, ReadOnlySpan<byte> key) => RawJson.Integer(RawJson.Get(parent, key))
        ?? throw new FormatException($"The state has no number '{Encoding.ASCII.GetString(key)}' where one must be.");
}
