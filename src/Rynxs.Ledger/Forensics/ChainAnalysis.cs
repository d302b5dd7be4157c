using Rynxs.Ledger.Events;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Forensics;

/// <summary>Looks at one chain record by record. The detectors know nothing of each other.</summary>
internal sealed class ChainAnalysis
{
    private const int MaxEpochs = 1_000;

    private readonly string _chain;
    private readonly FindingSink _sink;
    private readonly IChainDetector[] _detectors;
    private readonly List<EpochMark> _epochs = [];
    private readonly ActivityHistogram _activity = new();
    private DateTimeOffset? _from;
    private DateTimeOffset? _to;
    private long _records;
    private string _lastHash = Chains.ChainPosition.Genesis;

    public ChainAnalysis(string chain, ForensicOptions options, FindingSink sink)
    {
        (_chain, _sink) = (chain, sink);
        _detectors =
        [
            new EpochDetector(), new ClockDetector(options), new OpenIntentDetector(options), new OpenDecisionDetector(options), new DeniedBurstDetector(options),
            new NotableDetector(), new PayloadDetector(),
        ];
    }

    public long LastSeq { get; private set; } = -1;

    public void Observe(LogRecord record)
    {
        _records++;
        (LastSeq, _lastHash) = (record.Seq, record.EventHash);
        if (record.Time is { } time)
        {
            _from = _from is { } from && from < time ? from : time;
            _to = _to is { } to && to > time ? to : time;
            _activity.Add(time);
        }

        if (record.Type == nameof(LedgerOpened) && _epochs.Count < MaxEpochs)
        {
            _epochs.Add(new EpochMark(record.Epoch, record.Seq, record.Time));
        }

        foreach (IChainDetector detector in _detectors)
        {
            detector.Observe(record, Report);
        }
    }

    public void End()
    {
        foreach (IChainDetector detector in _detectors)
        {
            detector.End(_to, Report);
        }
    }

    public ChainSummary Summary() => new()
    {
        Chain = _chain, Records = _records, LastSeq = LastSeq, LastHash = _lastHash, From = _from, To = _to, Epochs = _epochs, Activity = _activity.ToBuckets(),
    };

    private void Report(FindingKind kind, FindingSeverity severity, long first, long last, DateTimeOffset? time, string summary) => _sink.Add(new Finding
    {
        Kind = kind, Severity = severity, Chain = _chain, FirstSeq = first, LastSeq = last, Time = time, Summary = UntrustedText.OneLine(summary, 500),
    });
}

/// <summary>Takes a finding of a detector.</summary>
internal delegate void ReportFinding(FindingKind kind, FindingSeverity severity, long first, long last, DateTimeOffset? time, string summary);

/// <summary>Looks for one kind of trouble.</summary>
internal interface IChainDetector
{
    void Observe(LogRecord record, ReportFinding report);

    /// <summary>The chain ended.</summary>
    /// <param name="latest">Latest time that a record stated.</param>
    /// <param name="report">Takes what is still open.</param>
    void End(DateTimeOffset? latest, ReportFinding report)
    {
    }
}
