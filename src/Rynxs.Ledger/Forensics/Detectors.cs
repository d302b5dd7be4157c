using System.Globalization;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Forensics;

/// <summary>Epochs only grow, each is opened once, and one epoch has one writer.</summary>
internal sealed class EpochDetector : IChainDetector
{
    private long _highest;
    private long _highestSeq = -1;
    private string? _writer;
    private bool _behind;

    public void Observe(LogRecord record, ReportFinding report)
    {
        long epoch = EpochOf(record);
        string? writer = record.MetaText("writer_id"u8);
        if (epoch > _highest)
        {
            (_highest, _highestSeq, _writer, _behind) = (epoch, record.Seq, writer, false);
            return;
        }

        if (epoch < _highest)
        {
            // One finding per stretch: an old writer that goes on is one event.
            if (!_behind)
            {
                report(
                    FindingKind.EpochOverlap, FindingSeverity.Error, _highestSeq, record.Seq, record.Time,
                    string.Create(CultureInfo.InvariantCulture, $"A writer of epoch {epoch} appended after epoch {_highest} had begun (at {_highestSeq})."));
            }

            _behind = true;
            return;
        }

        _behind = false;
        if (record.Type == nameof(LedgerOpened) && record.Seq != _highestSeq && epoch > 0)
        {
            report(
                FindingKind.EpochOverlap, FindingSeverity.Error, _highestSeq, record.Seq, record.Time,
                string.Create(CultureInfo.InvariantCulture, $"Epoch {epoch} was opened twice."));
        }
        else if (writer is null)
        {
            // Not another writer: the role 'ledger' names the writer in its claim, and nobody in what it records itself.
        }
        else if (_writer is null)
        {
            _writer = writer;
        }
        else if (writer != _writer && epoch > 0)
        {
            report(
                FindingKind.EpochOverlap, FindingSeverity.Error, _highestSeq, record.Seq, record.Time,
                string.Create(CultureInfo.InvariantCulture, $"Two writers in epoch {epoch}: '{_writer}' and '{writer}'."));
            _writer = writer;
        }
    }

    /// <summary>The original keeps its epoch in a fencing token.</summary>
    private static long EpochOf(LogRecord record) => record.Epoch > 0
        ? record.Epoch
        : RawJson.Integer(RawJson.Get(RawJson.Get(record.MetaUtf8, "fencing_token"u8), "epoch"u8)) ?? 0;
}

/// <summary>Stated times: steps back, and long silences of one writer.</summary>
internal sealed class ClockDetector(ForensicOptions options) : IChainDetector
{
    private DateTimeOffset? _last;
    private long _lastSeq;

    public void Observe(LogRecord record, ReportFinding report)
    {
        if (record.Time is not { } time)
        {
            return;
        }

        if (_last is { } last && last - time > options.BackwardsTolerance)
        {
            report(FindingKind.TimeBackwards, FindingSeverity.Warning, _lastSeq, record.Seq, time, $"The stated time goes back by {Span(last - time)}.");
        }

        // After an opening nobody was there to write, which is no gap of a writer.
        if (_last is { } before && time - before > options.Gap && record.Type != nameof(LedgerOpened))
        {
            report(FindingKind.TimeGap, FindingSeverity.Info, _lastSeq, record.Seq, before, $"No record for {Span(time - before)}.");
        }

        (_last, _lastSeq) = (time, record.Seq);
    }

    private static string Span(TimeSpan span) => span.ToString(span.TotalSeconds < 60 ? @"s\.fff' s'" : @"d\.hh\:mm\:ss", CultureInfo.InvariantCulture);
}

/// <summary>Every intent has an outcome, and every outcome an intent.</summary>
internal sealed class OpenIntentDetector(ForensicOptions options) : IChainDetector
{
    private readonly Dictionary<string, (long Seq, DateTimeOffset? Time, long Epoch, string Tool)> _open = new(StringComparer.Ordinal);
    private long _epoch;

    public void Observe(LogRecord record, ReportFinding report)
    {
        _epoch = Math.Max(_epoch, record.Epoch);
        if (record.Type is not (nameof(ToolIntent) or nameof(ToolOutcome)) || record.PayloadText("call_id"u8) is not { } call)
        {
            return;
        }

        string tool = record.PayloadText("tool"u8) ?? "?";
        if (record.Type == nameof(ToolIntent))
        {
            _open[call] = (record.Seq, record.Time, record.Epoch, tool);
            return;
        }

        bool known = _open.Remove(call, out (long Seq, DateTimeOffset? Time, long Epoch, string Tool) intent);
        string? status = record.PayloadText("status"u8);
        if (status == "unknown")
        {
            report(
                FindingKind.OutcomeUnknown, FindingSeverity.Warning, known ? intent.Seq : record.Seq, record.Seq, record.Time,
                $"Nobody knows what '{tool}' ({call}) did: a crash came between the effect and its record.");
        }
        else if (!known)
        {
            report(FindingKind.OutcomeWithoutIntent, FindingSeverity.Error, record.Seq, record.Seq, record.Time, $"'{tool}' ({call}) ended, and no record says that it was begun.");
        }
    }

    public void End(DateTimeOffset? latest, ReportFinding report)
    {
        foreach ((string call, (long seq, DateTimeOffset? time, long epoch, string tool)) in _open.OrderBy(pair => pair.Value.Seq))
        {
            bool over = epoch < _epoch || latest - time > options.OpenFor;
            report(
                FindingKind.IntentWithoutOutcome, over ? FindingSeverity.Error : FindingSeverity.Info, seq, seq, time,
                over ? $"'{tool}' ({call}) was about to run, and nothing says how it ended." : $"'{tool}' ({call}) has no outcome yet; it may still run.");
        }
    }
}

/// <summary>Every action of a decision that stands has a result.</summary>
internal sealed class OpenDecisionDetector(ForensicOptions options) : IChainDetector
{
    private readonly Dictionary<string, OpenDecision> _standing = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OpenDecision> _wanting = new(StringComparer.Ordinal);
    private long _epoch;

    public void Observe(LogRecord record, ReportFinding report)
    {
        _epoch = Math.Max(_epoch, record.Epoch);
        switch (record.Type)
        {
            case nameof(ActionsDecided):
                Decide(record);
                break;
            case nameof(ActionApplied) or nameof(ActionFailed) when record.PayloadText("action_id"u8) is { } id:
                if (_wanting.TryGetValue(id, out OpenDecision? decision))
                {
                    decision.Missing.Remove(id);
                }

                break;
        }
    }

    public void End(DateTimeOffset? latest, ReportFinding report)
    {
        foreach (OpenDecision decision in _standing.Values.Where(decision => decision.Missing.Count > 0).OrderBy(decision => decision.Seq))
        {
            bool over = decision.Epoch < _epoch || latest - decision.Time > options.OpenFor;
            report(
                FindingKind.DecisionWithoutResult, over ? FindingSeverity.Error : FindingSeverity.Info, decision.Seq, decision.Seq, decision.Time,
                string.Create(CultureInfo.InvariantCulture, $"{decision.Missing.Count} actions decided for '{decision.Agent}' have no result{(over ? "." : " yet.")}"));
        }
    }

    private void Decide(LogRecord record)
    {
        string agent = record.PayloadText("agent_id"u8) ?? record.AggregateId;
        if (_standing.Remove(agent, out OpenDecision? before))
        {
            foreach (string id in before.Ids)
            {
                _wanting.Remove(id);
            }
        }

        var decision = new OpenDecision(agent, record.Seq, record.Time, record.Epoch);
        foreach (ReadOnlySpan<byte> raw in RawJson.ItemsOf(RawJson.Get(record.PayloadUtf8, "action_ids"u8)))
        {
            if (RawJson.Text(raw) is { } id)
            {
                decision.Ids.Add(id);

                // What was in effect under the decision before stays so; the operator does not run it again.
                if (before is null || !before.Ids.Contains(id) || before.Missing.Contains(id))
                {
                    decision.Missing.Add(id);
                }

                _wanting[id] = decision;
            }
        }

        _standing[agent] = decision;
    }

    private sealed record OpenDecision(string Agent, long Seq, DateTimeOffset? Time, long Epoch)
    {
        public HashSet<string> Ids { get; } = new(StringComparer.Ordinal);

        public HashSet<string> Missing { get; } = new(StringComparer.Ordinal);
    }
}

/// <summary>Many refusals in a short time: requests and tool calls alike.</summary>
internal sealed class DeniedBurstDetector(ForensicOptions options) : IChainDetector
{
    private readonly Queue<(long Seq, DateTimeOffset Time, long Count)> _recent = new();
    private (long First, long Last, DateTimeOffset Time, long Count)? _burst;
    private long _sum;

    public void Observe(LogRecord record, ReportFinding report)
    {
        bool denied = record.Type == nameof(RequestDenied) || (record.Type == nameof(PolicyDecided) && record.PayloadText("verdict"u8) == "deny");
        if (!denied || record.Time is not { } time)
        {
            return;
        }

        long count = Math.Clamp(RawJson.Integer(RawJson.Get(record.PayloadUtf8, "count"u8)) ?? 1, 1, int.MaxValue);
        _recent.Enqueue((record.Seq, time, count));
        _sum += count;
        while (_recent.TryPeek(out (long Seq, DateTimeOffset Time, long Count) oldest) && time - oldest.Time > options.BurstWindow)
        {
            _sum -= _recent.Dequeue().Count;
        }

        if (_sum >= options.BurstCount)
        {
            (long first, DateTimeOffset since, long before) = _burst is { } running ? (running.First, running.Time, running.Count) : (_recent.Peek().Seq, _recent.Peek().Time, _sum - count);
            _burst = (first, record.Seq, since, before + count);
        }
        else
        {
            Flush(report);
        }
    }

    public void End(DateTimeOffset? latest, ReportFinding report) => Flush(report);

    private void Flush(ReportFinding report)
    {
        if (_burst is { } burst)
        {
            report(
                FindingKind.DeniedBurst, FindingSeverity.Warning, burst.First, burst.Last, burst.Time,
                string.Create(CultureInfo.InvariantCulture, $"{burst.Count} refusals, at least {options.BurstCount} of them within {options.BurstWindow}."));
            _burst = null;
        }
    }
}

/// <summary>Records that are a finding by themselves.</summary>
internal sealed class NotableDetector : IChainDetector
{
    public void Observe(LogRecord record, ReportFinding report)
    {
        switch (record.Type)
        {
            case nameof(WriterFenced):
                report(
                    FindingKind.WriterFenced, FindingSeverity.Warning, record.Seq, record.Seq, record.Time,
                    $"'{record.PayloadText("writer"u8)}' was refused: it showed epoch {Number(record, "epoch"u8)}, current was {Number(record, "current_epoch"u8)} ({record.PayloadText("attempted"u8)}).");
                break;
            case nameof(LedgerOpened) when RawJson.Integer(RawJson.Get(record.PayloadUtf8, "torn_bytes"u8)) is { } torn:
                report(
                    FindingKind.TornTail, FindingSeverity.Info, record.Seq, record.Seq, record.Time,
                    string.Create(CultureInfo.InvariantCulture, $"An unfinished write of {torn} bytes was set aside at this opening; it was never acknowledged."));
                break;
            case nameof(SandboxViolation):
                bool blocked = RawJson.Get(record.PayloadUtf8, "blocked"u8).SequenceEqual("true"u8);
                report(
                    FindingKind.Violation, blocked ? FindingSeverity.Info : FindingSeverity.Warning, record.Seq, record.Seq, record.Time,
                    $"{record.PayloadText("violation_type"u8)} ({record.PayloadText("severity"u8)}) in sandbox '{record.PayloadText("sandbox"u8)}', {(blocked ? "blocked" : "not blocked")}.");
                break;
        }
    }

    private static string Number(LogRecord record, ReadOnlySpan<byte> key) =>
        RawJson.Integer(RawJson.Get(record.PayloadUtf8, key))?.ToString(CultureInfo.InvariantCulture) ?? "?";
}

/// <summary>What this version cannot read: unknown types once each, malformed payloads one by one.</summary>
internal sealed class PayloadDetector : IChainDetector
{
    private const int MaxTypes = 1_000;

    private readonly HashSet<string> _known = [.. PayloadReading.KnownTypes];
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);

    public void Observe(LogRecord record, ReportFinding report)
    {
        if (!_known.Contains(record.Type))
        {
            if (_seen.Count < MaxTypes && _seen.Add(record.Type))
            {
                report(FindingKind.UnknownType, FindingSeverity.Info, record.Seq, record.Seq, record.Time, $"The type '{record.Type}' is not known to this version; its records verify and are kept.");
            }
        }
        else if (PayloadReading.Of(record.ToRecord()) is PayloadReading.Malformed malformed)
        {
            report(FindingKind.MalformedPayload, FindingSeverity.Warning, record.Seq, record.Seq, record.Time, $"The payload is no {record.Type}: {malformed.Reason}");
        }
    }
}
