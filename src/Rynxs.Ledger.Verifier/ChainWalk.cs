using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Verifier;

/// <summary>Walks the files of one chain in order.</summary>
internal sealed class ChainWalk(string chain, VerificationOptions options)
{
    private static readonly string Genesis = new('0', 64);

    private long _fromSeq;
    private long _records;
    private long _headSeq = -1;
    private string? _headHash = Genesis;
    private ChainFailure? _failure;
    private TornTail? _torn;

    /// <summary>Verifies files whose names may state the sequence that they begin with.</summary>
    public ChainReport Verify(IReadOnlyList<(long? FirstSeq, string Path)> files, CancellationToken cancellationToken)
    {
        if (files is [(> 0 and long from, _)])
        {
            // A lone later segment: what it follows cannot be known.
            (_fromSeq, _headSeq, _headHash) = (from, from - 1, null);
        }

        for (int index = 0; index < files.Count && _failure is null; index++)
        {
            (long? firstSeq, string path) = files[index];
            if (firstSeq is { } stated && stated != _headSeq + 1)
            {
                // About the file as a whole: line 0.
                Fail(path, -1, BlockVerifier.WrongSeq(0, _headSeq + 1, stated) with
                {
                    Message = "The segment does not begin where the one before it ends.",
                });
                break;
            }

            VerifyFile(path, last: index == files.Count - 1, cancellationToken);
        }

        return new ChainReport
        {
            Chain = chain,
            Records = _records,
            FromSeq = _fromSeq,
            HeadSeq = _records == 0 ? -1 : _headSeq,
            HeadHash = _records == 0 ? Genesis : _headHash ?? Genesis,
            Failure = _failure,
            TornTail = _torn,
        };
    }

    private void VerifyFile(string path, bool last, CancellationToken cancellationToken)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var reader = new BlockReader(file, RecordLine.MaxBytes);
        var blocks = new Block[Math.Max(1, options.Parallelism)];
        var results = new BlockResult[blocks.Length];
        long line = 0;
        bool more = true;
        while (more && _failure is null)
        {
            int filled = 0;
            while (filled < blocks.Length && (more = reader.TryFill(blocks[filled] ??= new Block(reader.Capacity), cancellationToken)))
            {
                filled++;
            }

            Parallel.For(
                0, filled,
                new ParallelOptions { MaxDegreeOfParallelism = blocks.Length, CancellationToken = cancellationToken },
                index => results[index] = BlockVerifier.Verify(blocks[index]));
            for (int index = 0; index < filled && _failure is null; index++)
            {
                Accept(path, line, results[index]);
                line += results[index].Records;
            }
        }

        if (_failure is not null)
        {
            return;
        }

        if (reader.LineTooLong)
        {
            Fail(path, line, new BlockDefect(0, FailureCodes.TooLong, $"The line is longer than {RecordLine.MaxBytes} bytes."));
        }
        else if (reader.TailBytes > 0 && last)
        {
            _torn = new TornTail(path, reader.TailOffset, reader.TailBytes);
        }
        else if (reader.TailBytes > 0)
        {
            Fail(path, line, new BlockDefect(0, FailureCodes.SegmentCut, "The file ends in the middle of a line, but others follow it."));
        }
    }

    private void Accept(string path, long linesBefore, BlockResult block)
    {
        if (block.First is not { } first)
        {
            Fail(path, linesBefore, block.Defect);
            return;
        }

        if (first.Seq != _headSeq + 1)
        {
            Fail(path, linesBefore, BlockVerifier.WrongSeq(0, _headSeq + 1, first.Seq));
            return;
        }

        if (_headHash is not null && first.PrevHash != _headHash)
        {
            Fail(path, linesBefore, BlockVerifier.WrongPrevHash(0, _headHash, first.PrevHash));
            return;
        }

        if (block.Last is { } head)
        {
            _records += block.Records;
            (_headSeq, _headHash) = (head.Seq, head.Hash);
        }

        if (block.Defect is not null)
        {
            Fail(path, linesBefore, block.Defect);
        }
    }

    private void Fail(string path, long linesBefore, BlockDefect? defect)
    {
        if (defect is null)
        {
            return;
        }

        _failure = new ChainFailure(
            chain, path, linesBefore + defect.Line + 1, _headSeq + 1, defect.Code, defect.Message, defect.Expected, defect.Actual);
    }
}
