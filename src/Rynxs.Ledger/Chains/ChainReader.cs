using System.Runtime.CompilerServices;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Chains;

/// <summary>Verifies what a store gives back, line by line, and turns it into records.</summary>
internal static class ChainReader
{
    /// <summary>The records from a sequence on, up to a head that is known to be good.</summary>
    /// <exception cref="LedgerCorruptException">A record does not verify, or the lines do not lead to the head.</exception>
    public static IAsyncEnumerable<LedgerRecord> ReadAsync(IChainStore store, long fromSeq, ChainHead head, CancellationToken cancellationToken) =>
        ReadAsync(store.ReadAsync(fromSeq, head, cancellationToken), fromSeq, head, cancellationToken);

    /// <param name="lines">The lines from a place at or before the sequence.</param>
    /// <param name="fromSeq">First sequence that is wanted.</param>
    /// <param name="head">Where they must lead.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <inheritdoc cref="ReadAsync(IChainStore, long, ChainHead, CancellationToken)"/>
    public static async IAsyncEnumerable<LedgerRecord> ReadAsync(
        IAsyncEnumerable<StoredLines> lines, long fromSeq, ChainHead head, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (fromSeq > head.Seq)
        {
            yield break;
        }

        ChainPosition? position = null;
        var reader = new StrictLine();
        var some = new List<LedgerRecord>();
        string source = "";
        await foreach (StoredLines stored in lines.WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            source = stored.Source;
            position ??= ChainPosition.Before(stored.FirstSeq, stored.PrevHash);
            some.Clear();
            position.ReadAll(stored.Lines, reader, stored.Source, fromSeq, some);
            foreach (LedgerRecord record in some)
            {
                if (record.Seq > head.Seq)
                {
                    break; // Committed after reading began.
                }

                yield return record;
                if (record.Seq == head.Seq && record.EventHash != head.EventHash)
                {
                    throw new LedgerCorruptException(
                        $"{source}, sequence {head.Seq}: the record is not the head that was committed (expected {head.EventHash}, found {record.EventHash}).",
                        source, head.Seq, head.EventHash, record.EventHash);
                }
            }
        }

        if (position is null || position.Head.Seq < head.Seq)
        {
            long missing = position?.NextSeq ?? fromSeq;
            throw new LedgerCorruptException(
                $"{source}: the records from sequence {missing} to {head.Seq} were committed and are not there.", source, missing, head.EventHash, null);
        }
    }
}
