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

    /// <summary>Hashes of its records, 32 bytes each, when asked for.</summary>
    public byte[] Hashes { get; init; } = [];

    /// <summary>Its part of the tree.</summary>
    public TreePart? Tree { get; init; }

    /// <summary>Anchors in it, when asked for.</summary>
    public IReadOnlyList<StatedAnchor> Anchors { get; init; } = [];

    /// <summary>Commitments to side blobs in it, when asked for.</summary>
    public long Commitments { get; init; }

    /// <summary>Records in it that say that a blob was erased, when commitments were asked for.</summary>
    public long Erased { get; init; }
}

/// <summary>
/// Verifies the lines of one block. Each record's hash covers the <c>prev_hash</c> that the record itself states, so blocks can be
/// verified side by side; only the seams between them need their order.
/// </summary>
internal sealed class BlockVerifier(bool wantsHashes, bool wantsAnchors, bool wantsCommitments)
{
    public BlockResult Verify(Block block)
    {
        var hashes = new ArrayBufferWriter<byte>(wantsHashes ? BlockReader.BlockBytes / 8 : 1);
        return Verify(block, hashes);
    }

    /// <summary>What is wrong with a sequence that is not the expected one.</summary>
    public static BlockDefect WrongSeq(int line, long expected, long actual) => actual > expected
        ? new BlockDefect(line, FailureCodes.SeqGap, "Records are missing before this one.", Text(expected), Text(actual))
        : new BlockDefect(line, FailureCodes.SeqRepeated, "The sequence was already used.", Text(expected), Text(actual));

    /// <summary>What is wrong with a predecessor that is not the expected one.</summary>
    public static BlockDefect WrongPrevHash(int line, string expected, string actual) => new(
        line, FailureCodes.PrevHashMismatch, "prev_hash is not the hash of the record before.", expected, actual);

    private BlockResult Verify(Block block, ArrayBufferWriter<byte> hashes)
    {
        Span<byte> computed = stackalloc byte[64];
        ReadOnlySpan<byte> lines = block.Buffer.AsSpan(0, block.Length);
        ReadOnlySpan<byte> rest = lines;
        ReadOnlySpan<byte> lastHash = default;
        (long Seq, string PrevHash)? first = null;
        List<StatedAnchor>? anchors = null;
        long lastSeq = -1;
        int records = 0;
        long erased = 0;
        BlockDefect? defect = null;
        bool utf8 = System.Text.Unicode.Utf8.IsValid(lines); // Once for all lines; only when it is not, line by line.
        while (!rest.IsEmpty && defect is null)
        {
            int newline = rest.IndexOf((byte)'\n');
            try
            {
                RecordLine record = RecordLine.Read(rest[..newline], utf8);
                record.ComputeHash(computed);
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
                    if (wantsHashes)
                    {
                        Convert.FromHexString(lastHash, hashes.GetSpan(32), out _, out int written);
                        hashes.Advance(written);
                    }

                    if (wantsAnchors && record.Type.SequenceEqual("ChainAnchored"u8))
                    {
                        (anchors ??= []).Add(AnchorPayload.Read(record));
                    }
                    else if (wantsCommitments && record.Type.SequenceEqual("BlobErased"u8))
                    {
                        erased++;
                    }
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
            Hashes = wantsHashes ? hashes.WrittenSpan.ToArray() : [],
            Anchors = anchors ?? (IReadOnlyList<StatedAnchor>)[],
            Commitments = wantsCommitments ? CommitmentCount.In(lines[..^rest.Length]) : 0,
            Erased = erased,
        };
    }

    private static BlockDefect? Check(
        in RecordLine record, int line, long lastSeq, ReadOnlySpan<byte> lastHash, ReadOnlySpan<byte> computed)
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

/// <summary>Counts commitments to side blobs: <c>{"bytes":N,"commitment":"sha256:…</c>. Quotes cannot stand unescaped inside a text, so the pattern is never content.</summary>
internal static class CommitmentCount
{
    private static readonly SearchValues<byte> Digits = SearchValues.Create("0123456789"u8);

    public static long In(ReadOnlySpan<byte> lines)
    {
        ReadOnlySpan<byte> begin = "{\"bytes\":"u8;
        ReadOnlySpan<byte> then = ",\"commitment\":\"sha256:"u8;
        long count = 0;
        while (lines.IndexOf(begin) is int at and >= 0)
        {
            lines = lines[(at + begin.Length)..];
            int digits = lines.IndexOfAnyExcept(Digits);
            if (digits > 0 && lines[digits..].StartsWith(then))
            {
                count++;
            }
        }

        return count;
    }
}

/// <summary>Reads the payload of a <c>ChainAnchored</c> record.</summary>
internal static class AnchorPayload
{
    /// <exception cref="LineDefectException">A field is missing or has the wrong form.</exception>
    public static StatedAnchor Read(RecordLine record)
    {
        var scanner = new CanonicalScanner(record.Payload, isUtf8: true);
        string chain = "";
        string head = "";
        string root = "";
        long size = -1;
        ReadOnlySpan<byte> key = default;
        bool first = true;
        scanner.BeginObject();
        while (scanner.NextMember(ref key, ref first))
        {
            if (key.SequenceEqual("chain"u8) && scanner.Next == (byte)'"')
            {
                chain = Encoding.UTF8.GetString(scanner.Text());
            }
            else if (key.SequenceEqual("head_hash"u8) && scanner.Next == (byte)'"')
            {
                head = Encoding.UTF8.GetString(scanner.Text());
            }
            else if (key.SequenceEqual("tree_root"u8) && scanner.Next == (byte)'"')
            {
                root = Encoding.UTF8.GetString(scanner.Text());
            }
            else if (key.SequenceEqual("size"u8) && scanner.Next is >= (byte)'0' and <= (byte)'9')
            {
                size = long.TryParse(scanner.Integer(), CultureInfo.InvariantCulture, out long value) ? value : -1;
            }
            else
            {
                scanner.Value();
            }
        }

        if (size < 1 || !IsHash(head) || !IsHash(root) || !chain.StartsWith("agents/", StringComparison.Ordinal) || chain.Length > 160)
        {
            throw new LineDefectException(FailureCodes.InvalidField, "The payload of a ChainAnchored record lacks chain, size, head_hash or tree_root.");
        }

        return new StatedAnchor(record.Seq, chain, size, head, NodeHash.From(Convert.FromHexString(root)));
    }

    private static bool IsHash(string text) => text.Length == 64 && text.All(char.IsAsciiHexDigitLower);
}
