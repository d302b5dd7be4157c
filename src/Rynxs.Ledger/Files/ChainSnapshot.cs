using System.Collections.Immutable;

namespace Rynxs.Ledger.Files;

/// <summary>What is committed at one moment: replaced whole after each commit, so that readers need no lock.</summary>
/// <param name="Segments">In order.</param>
/// <param name="Bytes">Committed bytes of all segments together.</param>
/// <param name="Head">Last committed record.</param>
internal sealed record ChainSnapshot(ImmutableArray<Segment> Segments, long Bytes, ChainHead Head)
{
    /// <summary>Committed bytes of one segment.</summary>
    public long LengthOf(int index) =>
        (index + 1 < Segments.Length ? Segments[index + 1].StartOffset : Bytes) - Segments[index].StartOffset;

    /// <summary>Index of the segment that holds a sequence.</summary>
    public int IndexOf(long seq)
    {
        int index = Segments.Length - 1;
        while (index > 0 && Segments[index].FirstSeq > seq)
        {
            index--;
        }

        return index;
    }
}
