namespace Rynxs.Ledger.Replay;

/// <summary>The standing decision for one agent. Byte arrays are canonical values; empty is null.</summary>
internal sealed record DesiredEntry(
    IReadOnlyList<DesiredAction> Actions, byte[] ActionsHash, byte[] TriggerEventHash, byte[] TriggerEventSeq, byte[] TriggerEventType, byte[] TriggerSpecHash)
{
    public void Write(CanonicalOutput output)
    {
        output.Begin('{').Key("actions"u8).Begin('{');
        byte[]? before = null;
        foreach (DesiredAction action in Actions)
        {
            // The same action twice in one decision is one entry, as in the original's map.
            if (before is null || !before.AsSpan().SequenceEqual(action.Id))
            {
                output.Key(action.Id).Begin('{').Key("action_type"u8).Raw(action.Type).Key("fingerprint"u8).Text(action.Id).Key("target"u8).Raw(action.Target).End('}');
            }

            before = action.Id;
        }

        output.End('}').Key("actions_hash"u8).Raw(ActionsHash).Key("trigger_event_hash"u8).Raw(TriggerEventHash).Key("trigger_event_seq"u8).Raw(TriggerEventSeq)
            .Key("trigger_event_type"u8).Raw(TriggerEventType).Key("trigger_spec_hash"u8).Raw(TriggerSpecHash).End('}');
    }
}

/// <summary>The last success of one action.</summary>
internal sealed class AppliedEntry(byte[] actionType, byte[] target, byte[] resultCode, long seq)
{
    public byte[] ActionType { get; } = actionType;

    public byte[] Target { get; } = target;

    public byte[] ResultCode { get; } = resultCode;

    /// <summary>The newest success: in place, because a resync repeats the same one of every action.</summary>
    public long Seq { get; set; } = seq;

    public static AppliedEntry Of(OutcomeFields fields, ReadOnlySpan<byte> code, long seq) =>
        new(fields.ActionType.ToArray(), fields.Target.ToArray(), code.ToArray(), seq);

    public bool Agrees(OutcomeFields fields, ReadOnlySpan<byte> code) =>
        fields.ActionType.SequenceEqual(ActionType) && fields.Target.SequenceEqual(Target) && code.SequenceEqual(ResultCode);

    public void Write(CanonicalOutput output) => output.Begin('{').Key("action_type"u8).Raw(ActionType).Key("applied_seq"u8).Number(Seq)
        .Key("result_code"u8).Raw(ResultCode).Key("target"u8).Raw(Target).End('}');
}

/// <summary>One failure.</summary>
internal sealed record FailureEntry(
    byte[] ActionId, byte[] ResultCode, byte[] ErrorCode, byte[] ErrorType, byte[] ErrorStatus, byte[] ErrorReason, long Seq)
{
    public void Write(CanonicalOutput output) => output.Item().Begin('{').Key("action_id"u8).Raw(ActionId).Key("error_code"u8).Raw(ErrorCode).Key("error_reason"u8).Raw(ErrorReason)
        .Key("error_status"u8).Raw(ErrorStatus).Key("error_type"u8).Raw(ErrorType).Key("failed_seq"u8).Number(Seq).Key("result_code"u8).Raw(ResultCode).End('}');
}
