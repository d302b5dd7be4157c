using System.Buffers;
using System.Globalization;
using System.Text;

namespace Rynxs.Ledger.Verifier;

/// <summary>A defect at one line of a block.</summary>
/// <param name="Line">Index of the line in the block.</param>
/// <param name="Code">One of <see cref="FailureCodes"/>.</param>
/// <param name="Message">For people.</param>
/// <param name="Expected">What should be there.</param>
/// <param name="Actual">What is there.</param>
internal sealed record BlockDefect(int Line, string Code, string Message, string? Expected = null, string? Actual = null);

/// <summary>What a block holds by itself: whether it continues the block before is for the caller to check.</summary>
internal sealed record BlockResult
{
    /// <summary>Records before the first defect.</summary>
    public required int Records { get; init; }

    /// <summary>Sequence and predecessor that the first line states; null when that line is not a record.</summary>
    public (long Seq, string PrevHash)? First { get; init; }

    /// <summary>The last record before the first defect; null when there is none.</summary>
    public (long Seq, string Hash)? Last { get; init; }

    /// <summary>The first defect inside the block.</summary>
    public BlockDefect? Defect { get; init; }
}

/// <summary>
/// Verifies the lines of one block. Each record's hash covers the <c>prev_hash</c> that the record itself states, so blocks can be
/// verified side by side; only the seams between them need their order.
/// </summary>
internal static class BlockVerifier
{
    public static BlockResult Verify(Block block)
    {
        byte[] scratch = ArrayPool<byte>.Shared.Rent(RecordLine.MaxBytes + 64);
        try
        {
            return Verify(block, scratch);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scratch);
        }
    }

    private static BlockResult Verify(Block block, byte[] scratch)
    {
        Span<byte> computed = stackalloc byte[64];
        ReadOnlySpan<byte> rest = block.Buffer.AsSpan(0, block.Length);
        ReadOnlySpan<byte> lastHash = default;
        (long Seq, string PrevHash)? first = null;
        long lastSeq = -1;
        int records = 0;
        BlockDefect? defect = null;
        while (!rest.IsEmpty && defect is null)
        {
            int newline = rest.IndexOf((byte)'\n');
            try
            {
                RecordLine record = RecordLine.Read(rest[..newline]);
                record.ComputeHash(scratch, computed);
                if (records == 0)
                {
                    first = (record.Seq, Text(record.PrevHash));
                }

                defect = Check(record, records, lastSeq, lastHash, computed);
                if (defect is null)
                {
                    lastSeq = record.Seq;
                    lastHash = record.EventHash;
                    records++;
                }
            }
            catch (LineDefectException exception)
            {
                defect = new BlockDefect(records, exception.Code, exception.Message);
            }

            rest = rest[(newline + 1)..];
        }

        return new BlockResult
        {
            Records = records,
            First = first,
            Last = records == 0 ? null : (lastSeq, Text(lastHash)),
            Defect = defect,
        };
    }

    /// <summary>What is wrong with a sequence that is not the expected one.</summary>
    public static BlockDefect WrongSeq(int line, long expected, long actual) => actual > expected
        ? new BlockDefect(line, FailureCodes.SeqGap, "Records are missing before this one.", Text(expected), Text(actual))
        : new BlockDefect(line, FailureCodes.SeqRepeated, "The sequence was already used.", Text(expected), Text(actual));

    /// <summary>What is wrong with a predecessor that is not the expected one.</summary>
    public static BlockDefect WrongPrevHash(int line, string expected, string actual) => new(
        line, FailureCodes.PrevHashMismatch, "prev_hash is not the hash of the record before.", expected, actual);

    private static BlockDefect? Check(
        RecordLine record, int line, long lastSeq, ReadOnlySpan<byte> lastHash, ReadOnlySpan<byte> computed)
    {
        if (line > 0 && record.Seq != lastSeq + 1)
        {
            return WrongSeq(line, lastSeq + 1, record.Seq);
        }

        if (line > 0 && !record.PrevHash.SequenceEqual(lastHash))
        {
            return WrongPrevHash(line, Text(lastHash), Text(record.PrevHash));
        }

        return record.EventHash.SequenceEqual(computed)
            ? null
            : new BlockDefect(
                line, FailureCodes.EventHashMismatch, "The content does not have the hash that the record states.",
                Text(record.EventHash), Text(computed));
    }

    private static string Text(ReadOnlySpan<byte> ascii) => Encoding.ASCII.GetString(ascii);

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
