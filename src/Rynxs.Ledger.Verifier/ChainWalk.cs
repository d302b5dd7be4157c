namespace Rynxs.Ledger.Verifier;

/// <summary>
/// Walks the segments of one chain in order. One block is read while others are verified; results are taken in order. Memory is a block and a
/// half per processor, whatever the length.
/// </summary>
internal sealed class ChainWalk(string chain, VerificationOptions options, TreeCheck? tree, AnchorCollector? anchors, PrunedBeginning? pruned = null)
{
    private static readonly string Genesis = new('0', 64);

    private readonly BlockVerifier _verifier = new(tree is not null, anchors is not null, options.CheckBlobs);
    private readonly Queue<Block> _free = new();
    private long _fromSeq;
    private long _records;
    private long _referenced;
    private long _erased;
    private long _headSeq = -1;
    private string? _headHash = Genesis;
    private ChainFailure? _failure;
    private TornTail? _torn;

    /// <summary>Verifies segments whose names may state the sequence that they begin with.</summary>
    public async Task<ChainReport> VerifyAsync(IReadOnlyList<SegmentSource> segments, CancellationToken cancellationToken)
    {
        if (pruned is not null && segments is [{ FirstSeq: { } begins }, ..] && begins == pruned.BeforeSeq)
        {
            // The rest of the chain is in an archive: the record that is first here must name its last hash.
            (_fromSeq, _headSeq, _headHash) = (begins, begins - 1, pruned.HeadHash);
            await (tree?.SeedAsync(begins, cancellationToken) ?? Task.CompletedTask);
        }
        else if (segments is [{ FirstSeq: > 0 and long from }])
        {
            // A lone later segment: what it follows cannot be known.
            (_fromSeq, _headSeq, _headHash) = (from, from - 1, null);
        }

        for (int index = 0; index < segments.Count && _failure is null; index++)
        {
            SegmentSource segment = segments[index];
            if (segment.FirstSeq is { } stated && stated != _headSeq + 1)
            {
                // About the file as a whole: line 0.
                Fail(segment.Name, -1, BlockVerifier.WrongSeq(0, _headSeq + 1, stated) with
                {
                    Message = "The segment does not begin where the one before it ends.",
                });
                break;
            }

            Stream stream = await segment.OpenAsync(cancellationToken);
            await using (stream)
            {
                await VerifySegmentAsync(segment.Name, stream, last: index == segments.Count - 1, cancellationToken);
            }
        }

        if (_failure is null && tree is not null)
        {
            tree.End(_records);
            if (tree.Failure is { } defect)
            {
                _failure = new ChainFailure(chain, segments.Count > 0 ? segments[^1].Name : chain, 0, tree.FailureSeq, defect.Code, defect.Message, defect.Expected, defect.Actual);
            }
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
            BlobsReferenced = options.CheckBlobs ? _referenced : null,
            BlobsErased = _erased,
            TilesChecked = tree?.TilesChecked ?? 0,
        };
    }

    private async Task VerifySegmentAsync(string name, Stream stream, bool last, CancellationToken cancellationToken)
    {
        var reader = new BlockReader(stream, RecordLine.MaxBytes);
        var running = new Queue<(Block Block, Task<BlockResult> Result)>();
        long line = 0;
        bool more = true;
        try
        {
            while (_failure is null && (more || running.Count > 0))
            {
                if (more)
                {
                    Block block = _free.TryDequeue(out Block? used) ? used : new Block(reader.Capacity);
                    more = await reader.TryFillAsync(block, cancellationToken);
                    if (more)
                    {
                        running.Enqueue((block, Task.Run(() => VerifyBlockAsync(block, cancellationToken), cancellationToken)));
                    }
                    else
                    {
                        _free.Enqueue(block);
                    }
                }

                if (running.Count > options.Parallelism || (!more && running.Count > 0))
                {
                    (Block block, Task<BlockResult> task) = running.Dequeue();
                    BlockResult result = await task;
                    _free.Enqueue(block);
                    await AcceptAsync(name, line, result, cancellationToken);
                    line += result.Records;
                }
            }
        }
        finally
        {
            // After a failure or a cancellation the blocks that still run belong to this method too.
            foreach ((_, Task<BlockResult> result) in running)
            {
                await ((Task)result).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        if (_failure is not null)
        {
            return;
        }

        if (reader.LineTooLong)
        {
            Fail(name, line, new BlockDefect(0, FailureCodes.TooLong, $"The line is longer than {RecordLine.MaxBytes} bytes."));
        }
        else if (reader.TailBytes > 0 && last)
        {
            _torn = new TornTail(name, reader.TailOffset, reader.TailBytes);
        }
        else if (reader.TailBytes > 0)
        {
            Fail(name, line, new BlockDefect(0, FailureCodes.SegmentCut, "The file ends in the middle of a line, but others follow it."));
        }
    }

    private async Task<BlockResult> VerifyBlockAsync(Block block, CancellationToken cancellationToken)
    {
        BlockResult result = _verifier.Verify(block);
        return tree is null || result.First is not { } first || result.Records == 0
            ? result
            : result with { Tree = await tree.PrepareAsync(first.Seq, result.Records, result.Hashes, cancellationToken), Hashes = [] };
    }

    private async Task AcceptAsync(string name, long linesBefore, BlockResult block, CancellationToken cancellationToken)
    {
        if (block.First is not { } first)
        {
            Fail(name, linesBefore, block.Defect);
            return;
        }

        if (first.Seq != _headSeq + 1)
        {
            Fail(name, linesBefore, BlockVerifier.WrongSeq(0, _headSeq + 1, first.Seq));
            return;
        }

        if (_headHash is not null && first.PrevHash != _headHash)
        {
            Fail(name, linesBefore, BlockVerifier.WrongPrevHash(0, _headHash, first.PrevHash));
            return;
        }

        if (block.Last is { } head)
        {
            _records += block.Records;
            _referenced += block.Commitments;
            _erased += block.Erased;
            (_headSeq, _headHash) = (head.Seq, head.Hash);
            if (tree is not null && block.Tree is { } part)
            {
                await tree.JoinAsync(part, cancellationToken);
            }

            foreach (StatedAnchor anchor in block.Anchors)
            {
                anchors?.Add(anchor);
            }
        }

        if (block.Defect is not null)
        {
            Fail(name, linesBefore, block.Defect);
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
