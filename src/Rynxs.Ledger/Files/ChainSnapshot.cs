using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;

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

    /// <summary>Passes the bytes from an offset of the concatenated segments on to a consumer, chunk by chunk, until it returns false.</summary>
    public void Copy(long from, Func<ReadOnlySpan<byte>, bool> consume)
    {
        byte[] chunk = new byte[128 * 1024];
        for (int index = 0; index < Segments.Length; index++)
        {
            long length = LengthOf(index);
            long at = Math.Max(0, from - Segments[index].StartOffset);
            if (at >= length)
            {
                continue;
            }

            using SafeFileHandle file = LedgerFile.OpenRead(Segments[index].Path);
            while (at < length)
            {
                int read = RandomAccess.Read(file, chunk.AsSpan(0, (int)Math.Min(chunk.Length, length - at)), at);
                if (read == 0)
                {
                    throw new EndOfStreamException($"{Segments[index].Path} is shorter than what was committed to it.");
                }

                at += read;
                if (!consume(chunk.AsSpan(0, read)))
                {
                    return;
                }
            }
        }
    }
}
