using System.Security.Cryptography;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// The parts of the control payloads that the folds read, found in one pass over the canonical bytes. Absent fields are empty: the
/// original reads them as null.
/// </summary>
internal readonly ref struct ObservedFields
{
    public ObservedFields(ReadOnlySpan<byte> payload)
    {
        foreach (RawJson.Member member in RawJson.Of(payload))
        {
            switch (member.Key)
            {
                case var key when key.SequenceEqual("labels"u8):
                    Labels = member.Value;
                    break;
                case var key when key.SequenceEqual("name"u8):
                    Name = member.Value;
                    break;
                case var key when key.SequenceEqual("namespace"u8):
                    Namespace = member.Value;
                    break;
                case var key when key.SequenceEqual("spec"u8):
                    Spec = member.Value;
                    break;
                case var key when key.SequenceEqual("spec_hash"u8):
                    SpecHash = member.Value;
                    break;
            }
        }
    }

    public ReadOnlySpan<byte> Labels { get; }
    public ReadOnlySpan<byte> Name { get; }
    public ReadOnlySpan<byte> Namespace { get; }
    public ReadOnlySpan<byte> Spec { get; }
    public ReadOnlySpan<byte> SpecHash { get; }

    /// <summary><c>NAMESPACE/NAME</c>; null when a part is missing.</summary>
    public byte[]? Id => RawJson.Utf8(Namespace) is { } ns && RawJson.Utf8(Name) is { } name ? [.. ns, (byte)'/', .. name] : null;
}

/// <summary>The parts of an outcome: <c>ActionApplied</c> or <c>ActionFailed</c>.</summary>
internal readonly ref struct OutcomeFields
{
    public OutcomeFields(ReadOnlySpan<byte> payload)
    {
        foreach (RawJson.Member member in RawJson.Of(payload))
        {
            switch (member.Key)
            {
                case var key when key.SequenceEqual("action_id"u8):
                    ActionId = member.Value;
                    break;
                case var key when key.SequenceEqual("action_type"u8):
                    ActionType = member.Value;
                    break;
                case var key when key.SequenceEqual("error"u8):
                    Error = member.Value;
                    break;
                case var key when key.SequenceEqual("result_code"u8):
                    ResultCode = member.Value;
                    break;
                case var key when key.SequenceEqual("target"u8):
                    Target = member.Value;
                    break;
            }
        }
    }

    public ReadOnlySpan<byte> ActionId { get; }
    public ReadOnlySpan<byte> ActionType { get; }
    public ReadOnlySpan<byte> Error { get; }
    public ReadOnlySpan<byte> ResultCode { get; }
    public ReadOnlySpan<byte> Target { get; }
}

/// <summary>One action of a decision.</summary>
/// <param name="Id">Its stable id in UTF-8, computed from the other three.</param>
/// <param name="Type">Canonical string.</param>
/// <param name="Target">Canonical string.</param>
internal sealed record DesiredAction(byte[] Id, byte[] Type, byte[] Target)
{
    /// <summary>The actions of a decision's payload; what is no action is left out.</summary>
    public static IReadOnlyList<DesiredAction> Of(ReadOnlySpan<byte> actions)
    {
        var found = new List<DesiredAction>();
        if (!RawJson.IsArray(actions))
        {
            return found;
        }

        foreach (ReadOnlySpan<byte> action in RawJson.ItemsOf(actions))
        {
            if (RawJson.IsObject(action) && TryRead(action) is { } read)
            {
                found.Add(read);
            }
        }

        return found;
    }

    private static DesiredAction? TryRead(ReadOnlySpan<byte> action)
    {
        ReadOnlySpan<byte> type = RawJson.Get(action, "action_type"u8);
        ReadOnlySpan<byte> target = RawJson.Get(action, "target"u8);
        ReadOnlySpan<byte> parameters = RawJson.Get(action, "params"u8);
        if (RawJson.Utf8(type) is not { } typeText || RawJson.Utf8(target) is not { } targetText)
        {
            return null;
        }

        // StableId over canonical parameters, which is what the line holds.
        byte[] id = System.Text.Encoding.ASCII.GetBytes(Convert.ToHexStringLower(
            SHA256.HashData([.. typeText, (byte)'|', .. targetText, (byte)'|', .. parameters])));
        return new DesiredAction(id, type.ToArray(), target.ToArray());
    }
}
