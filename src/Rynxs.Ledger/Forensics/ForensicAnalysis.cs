using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Forensics;

/// <summary>
/// Reads every chain of a ledger once and tells what an investigator should look at. It reads files, needs no server and takes no lock; memory
/// grows with what is open (unfinished intents, wanted actions), not with the log.
/// </summary>
public static class ForensicAnalysis
{
    /// <summary>Analyses chains; the control chain is known by its name.</summary>
    /// <param name="sources">The chains.</param>
    /// <param name="options">When something counts as found.</param>
    /// <param name="observeControl">Told of each record of the control chain; findings of the caller's own go into the second argument. Null: nobody else looks.</param>
    /// <param name="cancellationToken">Stops with an exception.</param>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static ForensicReport Run(
        IReadOnlyList<LogSource> sources, ForensicOptions options, Action<LogRecord, Action<Finding>>? observeControl, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(options);
        var sink = new FindingSink();
        var anchors = new AnchorIndex();
        var summaries = new List<ChainSummary>();
        bool several = sources.Count > 1;

        // The control chain first: it says what the others must be.
        foreach (LogSource source in sources.OrderBy(source => source.Chain != ControlName))
        {
            bool control = source.Chain == ControlName || !several;
            var chain = new ChainAnalysis(source.Chain, options, sink);
            AnchoredChain? anchored = anchors.Of(source.Chain);
            ReadChain(source, chain, record =>
            {
                anchored?.Observe(record);
                if (control)
                {
                    anchors.Observe(record);
                    observeControl?.Invoke(record, sink.Add);
                }
            }, sink, cancellationToken);
            chain.End();
            AnchorIndex.Judge(source.Chain, anchored, chain.LastSeq, several && source.Chain != ControlName, sink);
            summaries.Add(chain.Summary());
            if (control && PointerCheck.Run(source, new ReplayEnd.Sequence(chain.LastSeq), cancellationToken).Failure is { } pointer)
            {
                sink.Add(new Finding
                {
                    Kind = FindingKind.DecisionPointer, Severity = FindingSeverity.Error, Chain = source.Chain, FirstSeq = pointer.Seq, LastSeq = pointer.Seq,
                    Summary = $"The decision does not name its trigger truly: {pointer.Error} (expected {pointer.Expected ?? "-"}, found {pointer.Actual ?? "-"}).",
                });
            }
        }

        return new ForensicReport { Chains = summaries, Findings = sink.Sorted(), NotListed = sink.NotListed };
    }

    private const string ControlName = "control";

    private static void ReadChain(LogSource source, ChainAnalysis chain, Action<LogRecord> also, FindingSink sink, CancellationToken cancellationToken)
    {
        try
        {
            foreach (LogRecord record in LogWalk.Read(source, cancellationToken))
            {
                chain.Observe(record);
                also(record);
            }
        }
        catch (LedgerCorruptException exception)
        {
            sink.Add(new Finding
            {
                Kind = FindingKind.ChainBroken, Severity = FindingSeverity.Error, Chain = source.Chain, FirstSeq = exception.Seq, LastSeq = exception.Seq,
                Summary = $"{exception.Message} Nothing after it was looked at.",
            });
        }
    }
}
