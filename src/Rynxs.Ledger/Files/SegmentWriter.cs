namespace Rynxs.Ledger.Files;

/// <summary>The live end of a chain's segments.</summary>
/// <remarks>One caller at a time: the committer.</remarks>
internal sealed class SegmentWriter : IDisposable
{
    private readonly string _directory;
    private readonly long _segmentBytes;
    private readonly LedgerLock _lock;
    private readonly List<VerifiedFile> _sealed;
    private SegmentManifest _manifest;
    private AppendOnlyFile? _live;
    private long _epoch;

    public SegmentWriter(string directory, long segmentBytes, LedgerLock ledgerLock, RecoveredChain recovered)
    {
        (_directory, _segmentBytes, _lock, _manifest, _epoch) = (directory, segmentBytes, ledgerLock, recovered.Manifest, recovered.Epoch);
        var segments = new List<Segment>();
        long start = 0;
        foreach (VerifiedFile file in recovered.Files)
        {
            segments.Add(new Segment(Path.Combine(directory, file.File), file.FirstSeq, file.PrevHash, start));
            start += file.Identity.Bytes;
        }

        Committed = new ChainSnapshot([.. segments], start, recovered.Head);
        _sealed = [.. recovered.Files.SkipLast(1)];
        SaveIfNew(recovered);
        if (recovered.Files.Count > 0)
        {
            string path = segments[^1].Path;
            _live = new AppendOnlyFile(path, LedgerFile.OpenOrCreate(path), recovered.Files[^1].Identity.Bytes);
        }
    }

    /// <summary>What is durable.</summary>
    public ChainSnapshot Committed { get; private set; }

    public bool HasFailed => _live is { HasFailed: true };

    /// <summary>Makes the lines of one commit durable.</summary>
    /// <exception cref="LedgerUnavailableException">They are not, and none of them is part of the chain.</exception>
    public void Append(ReadOnlySpan<byte> lines, ChainHead head, long epoch)
    {
        if (_live is null || (_live.Length >= _segmentBytes && !_live.HasFailed))
        {
            BeginSegment();
        }

        _live!.Append(lines); // BeginSegment set it or threw.

        // After the sync and before anyone is answered: a writer that was paused while another took over finds out here. Its bytes are in a
        // file that has no name any more.
        _lock.ThrowIfLost();
        Committed = Committed with { Bytes = Committed.Bytes + lines.Length, Head = head };
        _epoch = epoch;
    }

    /// <summary>Notes what is known of the files, so that the next opening need not read them.</summary>
    public void Dispose()
    {
        try
        {
            if (_live is { HasFailed: false } && !_lock.IsLost)
            {
                SaveVerified([.. _sealed, LiveFile(_live)]);
            }
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            // The cache is a convenience; without it the next opening verifies more.
        }

        _live?.Dispose();
    }

    private void BeginSegment()
    {
        long firstSeq = Committed.Head.Seq + 1;
        string path = Path.Combine(_directory, SegmentName.Of(firstSeq));
        _lock.ThrowIfLost();
        try
        {
            SegmentName.RemoveStray(path, () => _lock.IsLost);
            AppendOnlyFile next = AppendOnlyFile.Create(path, () => _lock.IsLost);
            if (_lock.IsLost)
            {
                // Taken over since the question before. Nothing is removed: by now the name may be the new writer's file. If it still is ours it stays as an
                // empty one, which holds nothing and is looked over.
                next.Dispose();
                _lock.ThrowIfLost();
            }

            if (_live is not null)
            {
                _sealed.Add(LiveFile(_live));
                _live.Dispose();
            }

            _live = next;
            SaveManifest();
            SaveVerified(_sealed);
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"Beginning the segment {path} failed: {exception.Message}", exception);
        }
        finally
        {
            // Also when only the manifest could not be written: the segment is there, and the next one brings the manifest up to date.
            if (_live?.Path == path)
            {
                Committed = Committed with
                {
                    Segments = Committed.Segments.Add(new Segment(path, firstSeq, Committed.Head.EventHash, Committed.Bytes)),
                };
            }
        }
    }

    private VerifiedFile LiveFile(AppendOnlyFile live)
    {
        Segment segment = Committed.Segments[^1];
        return new VerifiedFile(
            Path.GetFileName(segment.Path), live.Identify(), segment.FirstSeq, segment.PrevHash, Committed.Head.Seq, Committed.Head.EventHash, _epoch);
    }

    private void SaveIfNew(RecoveredChain recovered)
    {
        if (!SealedSegments().SequenceEqual(recovered.Manifest.Segments))
        {
            SaveManifest();
        }

        SaveVerified(recovered.Files);
    }

    private IEnumerable<SealedSegment> SealedSegments() => _sealed.Select(file =>
        new SealedSegment(file.File, file.FirstSeq, file.LastSeq, file.PrevHash, file.HeadHash, file.Identity.Bytes));

    private void SaveManifest()
    {
        _manifest = _manifest with { Segments = [.. SealedSegments()] };
        _manifest.Write(_directory);
    }

    private void SaveVerified(IReadOnlyList<VerifiedFile> files) => new VerifiedFiles(files).Write(_directory);
}
