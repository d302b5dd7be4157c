namespace Rynxs.Ledger.Files;

/// <summary>The live end of a chain's segments.</summary>
/// <remarks>One caller at a time: the commit loop.</remarks>
internal sealed class SegmentWriter : IDisposable
{
    private readonly string _directory;
    private readonly long _segmentBytes;
    private AppendOnlyFile? _live;

    public SegmentWriter(string directory, long segmentBytes, RecoveredChain recovered)
    {
        (_directory, _segmentBytes) = (directory, segmentBytes);
        long before = recovered.Segments.Count == 0 ? 0 : recovered.Segments[^1].StartOffset;
        Committed = new ChainSnapshot([.. recovered.Segments], before + recovered.LiveLength, recovered.Head);
        if (recovered.Segments.Count > 0)
        {
            string path = recovered.Segments[^1].Path;
            _live = new AppendOnlyFile(path, LedgerFile.OpenOrCreate(path), recovered.LiveLength);
        }
    }

    /// <summary>What is durable.</summary>
    public ChainSnapshot Committed { get; private set; }

    public bool HasFailed => _live is { HasFailed: true };

    /// <summary>Makes the lines of one commit durable.</summary>
    /// <exception cref="LedgerUnavailableException">They are not, and none of them is part of the chain.</exception>
    public void Append(ReadOnlySpan<byte> lines, ChainHead head)
    {
        if (_live is null || (_live.Length >= _segmentBytes && !_live.HasFailed))
        {
            BeginSegment();
        }

        _live!.Append(lines); // BeginSegment set it or threw.
        Committed = Committed with { Bytes = Committed.Bytes + lines.Length, Head = head };
    }

    public void Dispose() => _live?.Dispose();

    private void BeginSegment()
    {
        long firstSeq = Committed.Head.Seq + 1;
        string path = Path.Combine(_directory, SegmentName.Of(firstSeq));
        try
        {
            AppendOnlyFile next = AppendOnlyFile.Create(path);
            _live?.Dispose();
            _live = next;
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"Creating {path} failed: {exception.Message}", exception);
        }

        Committed = Committed with
        {
            Segments = Committed.Segments.Add(new Segment(path, firstSeq, Committed.Head.EventHash, Committed.Bytes)),
        };
    }
}
