namespace Rynxs.Ledger.Replay;

/// <summary>What the pointers of the decisions in a log came to.</summary>
/// <param name="Checked">Decisions looked at.</param>
/// <param name="Failure">The first that is wrong, or the first record that does not verify; null when all agree.</param>
public sealed record PointerReport(long Checked, PointerFailure? Failure)
{
    public bool Valid => Failure is null;
}

/// <summary>Why a pointer, or the chain under it, is wrong.</summary>
/// <param name="Error">
/// As the original says it: <c>prev_hash mismatch</c>, <c>event_hash mismatch</c>, <c>missing trigger_event_seq</c>, <c>trigger_seq not found</c>,
/// <c>trigger_event_hash mismatch</c>, <c>trigger_event_type mismatch</c>, <c>trigger_spec_hash mismatch</c>; else what is wrong with the record.
/// </param>
/// <param name="Seq">Where.</param>
/// <param name="Expected">What should have been there.</param>
/// <param name="Actual">What is there.</param>
public sealed record PointerFailure(string Error, long Seq, string? Expected, string? Actual);

/// <summary>
/// Checks that each decision names the record that it was made for: its sequence, hash, type and spec hash. Memory holds the newest
/// 100,000 observations and the decisions that name something else; those are resolved in one second reading.
/// </summary>
public static class PointerCheck
{
    private const int MaxRemembered = 100_000;

    /// <summary>Checks a chain.</summary>
    public static PointerReport Run(LogSource source, ReplayEnd end, CancellationToken cancellationToken)
    {
        var observed = new Dictionary<long, TriggerFacts>();
        var open = new List<Pointer>();
        long count = 0;
        PointerFailure? failure = null;
        try
        {
            foreach (LogRecord record in LogWalk.Read(source, cancellationToken).TakeWhile(end.Includes))
            {
                if (record.Type is "AgentObserved" or "AgentDeletionObserved")
                {
                    if (observed.Count >= MaxRemembered)
                    {
                        observed.Clear(); // Decisions follow their triggers closely.
                    }

                    observed[record.Seq] = TriggerFacts.Of(record);
                }
                else if (record.Type == "ActionsDecided")
                {
                    count++;
                    var pointer = Pointer.Of(record);
                    if (pointer.TriggerSeq is { } seq && !observed.ContainsKey(seq) && seq >= 0 && seq < record.Seq)
                    {
                        open.Add(pointer);
                    }
                    else if ((failure = pointer.Check(pointer.TriggerSeq is { } known ? observed.GetValueOrDefault(known) : null)) is not null)
                    {
                        break;
                    }
                }
            }
        }
        catch (LedgerCorruptException exception)
        {
            failure = Of(exception);
        }

        return new PointerReport(count, Resolve(source, open, failure, cancellationToken) ?? failure);
    }

    /// <summary>The words of the original for a chain that does not verify.</summary>
    public static PointerFailure Of(LedgerCorruptException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        string error = exception.Code is "prev_hash" or "event_hash" ? exception.Code + " mismatch" : exception.Message;
        return new PointerFailure(error, exception.Seq, exception.Expected, exception.Actual);
    }

    /// <summary>The first of the open pointers that is wrong; all of them lie before what was found already.</summary>
    private static PointerFailure? Resolve(LogSource source, List<Pointer> open, PointerFailure? found, CancellationToken cancellationToken)
    {
        if (open.Count == 0)
        {
            return null;
        }

        HashSet<long> wanted = [.. open.Select(pointer => pointer.TriggerSeq ?? -1)];
        var facts = new Dictionary<long, TriggerFacts>();
        long last = wanted.Max();
        foreach (LogRecord record in LogWalk.Read(source, cancellationToken).TakeWhile(record => record.Seq <= last && record.Seq < (found?.Seq ?? long.MaxValue)))
        {
            if (wanted.Contains(record.Seq))
            {
                facts[record.Seq] = TriggerFacts.Of(record);
            }
        }

        return open.Select(pointer => pointer.Check(facts.GetValueOrDefault(pointer.TriggerSeq ?? -1))).FirstOrDefault(failure => failure is not null);
    }

    private sealed record TriggerFacts(string Hash, string Type, string? SpecHash)
    {
        public static TriggerFacts Of(LogRecord record) => new(record.EventHash, record.Type, record.PayloadText("spec_hash"u8));
    }

    private sealed record Pointer(long Seq, long? TriggerSeq, string? Hash, string? Type, string? SpecHash)
    {
        public static Pointer Of(LogRecord decision) => new(
            decision.Seq, RawJson.Integer(RawJson.Get(decision.PayloadUtf8, "trigger_event_seq"u8)), decision.PayloadText("trigger_event_hash"u8),
            decision.PayloadText("trigger_event_type"u8), decision.PayloadText("trigger_spec_hash"u8));

        public PointerFailure? Check(TriggerFacts? trigger) => trigger switch
        {
            _ when TriggerSeq is null => new PointerFailure("missing trigger_event_seq", Seq, null, null),
            null => new PointerFailure("trigger_seq not found", Seq, TriggerSeq.Value.ToString(System.Globalization.CultureInfo.InvariantCulture), null),
            _ when trigger.Hash != Hash => new PointerFailure("trigger_event_hash mismatch", Seq, trigger.Hash, Hash),
            _ when trigger.Type != Type => new PointerFailure("trigger_event_type mismatch", Seq, trigger.Type, Type),

            // A deletion names no spec; the decision then repeats that of the last observation.
            _ when SpecHash is not null && trigger.Type != "AgentDeletionObserved" && trigger.SpecHash != SpecHash =>
                new PointerFailure("trigger_spec_hash mismatch", Seq, trigger.SpecHash, SpecHash),
            _ => null,
        };
    }
}
