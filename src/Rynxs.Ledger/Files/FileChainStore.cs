using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Files;

/// <summary>One chain in one directory: one write and one fdatasync per commit, two of each when there are side blobs.</summary>
internal sealed class FileChainStore : IChainStore
{
    private const int ReadBytes = 512 * 1024;

    private readonly SegmentWriter _segments;
    private readonly BlobFiles _blobs;
    private readonly LedgerLock _lock;
    private volatile ChainSnapshot _committed;

    private FileChainStore(SegmentWriter segments, BlobFiles blobs, LedgerLock ledgerLock) =>
        (_segments, _blobs, _lock, _committed) = (segments, blobs, ledgerLock, segments.Committed);

    /// <inheritdoc/>
    public bool HasFailed => _segments.HasFailed || _blobs.HasFailed;

    /// <summary>Recovers a chain's directory.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be read or written.</exception>
    public static (FileChainStore Store, FoundChain Found) Open(
        ChainId id, FileLedgerOptions options, LedgerLock ledgerLock, CancellationToken cancellationToken)
    {
        string directory = Path.Combine(options.Directory, id.RelativePath);
        try
        {
            ledgerLock.ThrowIfLost();
            LedgerFile.CreateDirectory(directory);
            AsideFile.RestoreAll(directory);
            RecoveredChain recovered = ChainRecovery.Recover(directory, options.VerifyEverythingOnOpen, cancellationToken);
            var segments = new SegmentWriter(directory, options.SegmentBytes, ledgerLock, recovered);
            try
            {
                BlobFiles blobs = BlobFiles.Open(directory, options.SegmentBytes, () => ledgerLock.IsLost);
                var found = new FoundChain(recovered.Head, recovered.Epoch, recovered.Torn?.Bytes, recovered.Torn?.Sha256);
                return (new FileChainStore(segments, blobs, ledgerLock), found);
            }
            catch
            {
                segments.Dispose();
                throw;
            }
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The chain {id} cannot be opened: {exception.Message}", exception);
        }
    }

    /// <inheritdoc/>
    public ValueTask CommitAsync(ChainCommit commit)
    {
        if (commit.Blobs.Count > 0)
        {
            AddBlobs(commit.Blobs);
        }

        _segments.Append(commit.Lines.Span, commit.Head, commit.Epoch);
        _committed = _segments.Committed;
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask AddBlobsAsync(IReadOnlyList<BlobLine> blobs)
    {
        AddBlobs(blobs);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredLines> ReadAsync(
        long fromSeq, ChainHead head, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ChainSnapshot committed = _committed;
        byte[] buffer = new byte[ReadBytes];
        for (int index = committed.IndexOf(fromSeq); index < committed.Segments.Length; index++)
        {
            Segment segment = committed.Segments[index];
            using SafeFileHandle file = OpenRead(segment.Path);
            long length = committed.LengthOf(index);
            long at = 0;
            int kept = 0;
            while (at < length)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (kept == buffer.Length)
                {
                    Array.Resize(ref buffer, Math.Min(buffer.Length * 2, LedgerLimits.MaxRecordBytes + ReadBytes));
                }

                int wanted = (int)Math.Min(buffer.Length - kept, length - at);
                int read = RandomAccess.Read(file, buffer.AsSpan(kept, wanted), at);
                if (read == 0)
                {
                    throw new LedgerCorruptException($"{segment.Path} is shorter than what was committed to it.", segment.Path, -1, null, null);
                }

                at += read;
                kept += read;
                int whole = buffer.AsSpan(0, kept).LastIndexOf((byte)'\n') + 1;
                if (whole > 0)
                {
                    yield return new StoredLines(segment.Path, segment.FirstSeq, segment.PrevHash, buffer.AsMemory(0, whole));
                    buffer.AsSpan(whole, kept - whole).CopyTo(buffer);
                    kept -= whole;
                }
                else if (kept > LedgerLimits.MaxRecordBytes)
                {
                    throw new LedgerCorruptException(
                        $"{segment.Path}: a line is longer than {LedgerLimits.MaxRecordBytes} bytes.", segment.Path, -1, null, null);
                }
            }
        }

        await Task.CompletedTask.ConfigureAwait(false); // Nothing here waits: what a local read costs, it costs its caller.
    }

    /// <inheritdoc/>
    public Task<SideBlob?> FindBlobAsync(Commitment commitment, CancellationToken cancellationToken) =>
        Task.Run(() => _blobs.Find(commitment, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public Task<int> EraseBlobAsync(Commitment commitment, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            _lock?.ThrowIfLost(); // Whoever has taken over keeps copies of its own.
            return _blobs.Erase(commitment);
        },
        cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _segments.Dispose();
        _blobs.Dispose();
        return ValueTask.CompletedTask;
    }

    private void AddBlobs(IReadOnlyList<BlobLine> blobs)
    {
        _lock.ThrowIfLost(); // Before a new file of blobs could be made.
        _blobs.Append(blobs);
    }

    private static SafeFileHandle OpenRead(string path)
    {
        try
        {
            return LedgerFile.OpenRead(path);
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"{path} cannot be read: {exception.Message}", exception);
        }
    }
}
