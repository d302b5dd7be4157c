using System.Buffers;
using System.Globalization;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Ledger.Stores.Copying;

/// <summary>
/// Copies chains, line by line as they are, from one store to another. Every record is verified on its way (canonical form, hash, link), so
/// damage is not copied. Can be repeated: it goes on behind what the target has, if that is a beginning of the source.
/// </summary>
public static class LedgerCopy
{
    private const int BatchBytes = 4 * 1024 * 1024;
    private const int MaxTileBytes = 64 * 1024;

    /// <summary>Copies all chains.</summary>
    /// <param name="source">What to copy; it may be live: what is committed when its chain's turn comes is copied.</param>
    /// <param name="target">Where to; nothing else may write there.</param>
    /// <param name="report">Told of each chain that is done.</param>
    /// <param name="cancellationToken">Stops between commits; repeat to go on.</param>
    /// <exception cref="LedgerCorruptException">A record or blob of the source does not verify; what lies before it is in the target.</exception>
    /// <exception cref="LedgerCopyException">The target has a chain that is no beginning of the source's.</exception>
    /// <exception cref="LedgerUnavailableException">A store failed.</exception>
    public static async Task RunAsync(LedgerReader source, ILedger target, Action<CopiedChain> report, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(report);
        foreach (ChainId id in await source.ListChainsAsync(cancellationToken).ConfigureAwait(false))
        {
            // Before the records: they are read to their end after it, so what it covers will be in the target.
            byte[]? checkpoint = await source.OpenTree(id).TryReadAsync(TilePath.Checkpoint, SignedNote.MaxBytes, cancellationToken).ConfigureAwait(false);
            (IChainStore store, FoundChain found) = await OpenAsync(target, id, cancellationToken).ConfigureAwait(false);
            await using (store.ConfigureAwait(false))
            {
                long blobs = await CopyBlobsAsync(source, store, target, id, found, cancellationToken).ConfigureAwait(false);
                ChainHead head = await CopyRecordsAsync(source, store, id, found, cancellationToken).ConfigureAwait(false);
                if (checkpoint is not null && target is ITreeHost trees)
                {
                    await CopyTreeAsync(source.OpenTree(id), trees.TreeOf(id), checkpoint, id, head, cancellationToken).ConfigureAwait(false);
                }

                report(new CopiedChain(id, found.Head, head, blobs));
            }
        }
    }

    private static async Task<ChainHead> CopyRecordsAsync(LedgerReader source, IChainStore store, ChainId id, FoundChain found, CancellationToken cancellationToken)
    {
        ChainHead? end = await source.FindHeadAsync(id, cancellationToken).ConfigureAwait(false);
        ChainHead before = found.Head;
        long epoch = found.Epoch;
        ChainPosition? position = null;
        var reader = new StrictLine();
        var batch = new ArrayBufferWriter<byte>();
        int count = 0;

        // One record earlier: it shows that the target is a beginning of the source.
        await foreach (RawLines raw in source.ReadLinesAsync(id, Math.Max(0, found.Head.Seq), end, cancellationToken).ConfigureAwait(false))
        {
            position ??= ChainPosition.Before(raw.FirstSeq, raw.FirstSeq == 0 ? ChainPosition.Genesis : null);
            for (ReadOnlyMemory<byte> lines = raw.Lines; !lines.IsEmpty;)
            {
                int length = lines.Span.IndexOf((byte)'\n') + 1;
                position.ReadAll(lines[..length], reader, raw.Source, long.MaxValue, []);
                if (position.Head.Seq == found.Head.Seq && position.Head != found.Head)
                {
                    throw new LedgerCopyException(id, found.Head, position.Head);
                }

                if (position.Head.Seq > found.Head.Seq)
                {
                    batch.Write(lines.Span[..length]);
                    count++;
                }

                lines = lines[length..];
                if (batch.WrittenCount >= BatchBytes || count == Committer.CommitRecords)
                {
                    await CommitAsync().ConfigureAwait(false);
                }
            }
        }

        if (count > 0)
        {
            await CommitAsync().ConfigureAwait(false);
        }

        if (position is null ? found.Head.Seq >= 0 : position.Head.Seq < found.Head.Seq)
        {
            throw new LedgerCopyException(id, found.Head, position?.Head ?? new ChainHead(-1, ChainPosition.Genesis));
        }

        return before;

        async Task CommitAsync()
        {
            cancellationToken.ThrowIfCancellationRequested();
            var commit = new ChainCommit
            {
                Before = before,
                Head = position!.Head, // Something was read, or there would be nothing to commit.
                EpochBefore = epoch,
                Epoch = Math.Max(epoch, position.Epoch),
                Lines = batch.WrittenMemory,
                Blobs = [],
            };
            await store.CommitAsync(commit).ConfigureAwait(false);
            (before, epoch, count) = (commit.Head, commit.Epoch, 0);
            batch.ResetWrittenCount();
        }
    }

    /// <summary>Before the records, as always. Those that the target has are left out; for that 16 bytes of each are held in memory.</summary>
    private static async Task<long> CopyBlobsAsync(
        LedgerReader source, IChainStore store, ILedger target, ChainId id, FoundChain found, CancellationToken cancellationToken)
    {
        HashSet<UInt128> present = found.Head.Seq < 0 && target is not S3Ledger ? [] : await PresentAsync(target, id, cancellationToken).ConfigureAwait(false);
        var batch = new List<BlobLine>();
        long bytes = 0;
        long copied = 0;
        await foreach (ReadOnlyMemory<byte> some in source.ReadBlobsAsync(id, cancellationToken).ConfigureAwait(false))
        {
            for (ReadOnlyMemory<byte> lines = some; !lines.IsEmpty;)
            {
                int newline = lines.Span.IndexOf((byte)'\n');
                ReadOnlyMemory<byte> line = newline < 0 ? lines : lines[..newline];
                lines = newline < 0 ? default : lines[(newline + 1)..];
                SideBlob blob = BlobLine.TryParse(line) is { } parsed && parsed.Commitment == BlobLine.CommitmentOf(line.Span)
                    ? parsed
                    : throw new LedgerCorruptException($"Chain {id}: a side blob is not what its commitment says.", id.RelativePath, -1, BlobLine.CommitmentOf(line.Span)?.Value, null);
                if (!present.Add(Short(blob.Commitment)))
                {
                    continue;
                }

                batch.Add(BlobLine.Of(blob));
                copied++;
                if ((bytes += batch[^1].Line.Length) >= BatchBytes)
                {
                    await store.AddBlobsAsync(batch).ConfigureAwait(false);
                    batch.Clear();
                    bytes = 0;
                }
            }
        }

        if (batch.Count > 0)
        {
            await store.AddBlobsAsync(batch).ConfigureAwait(false);
        }

        return copied;
    }

    /// <summary>
    /// The tiles under a checkpoint, then the checkpoint: so what was signed of the chain still binds whoever goes on with the copy. That the tiles
    /// give its root is checked in the target before it is written.
    /// </summary>
    private static async Task CopyTreeAsync(
        ITreeStore from, ITreeStore to, byte[] note, ChainId id, ChainHead head, CancellationToken cancellationToken)
    {
        TreeCheckpoint checkpoint;
        try
        {
            checkpoint = TreeCheckpoint.Parse(SignedNote.Parse(note).Text);
        }
        catch (FormatException exception)
        {
            throw new LedgerCorruptException($"Chain {id}: the checkpoint was damaged: {exception.Message}", id.RelativePath, -1, null, null);
        }

        if (checkpoint.Size > head.Seq + 1)
        {
            throw new LedgerCorruptException(
                $"Chain {id}: a checkpoint over {checkpoint.Size} records was signed, but there are {head.Seq + 1}.", id.RelativePath, head.Seq + 1, null, null);
        }

        var some = new List<TreeBlob>();
        foreach (string path in TilePath.Under(checkpoint.Size))
        {
            byte[] content = await from.TryReadAsync(path, MaxTileBytes, cancellationToken).ConfigureAwait(false)
                ?? throw new LedgerCorruptException($"Chain {id}: {path} of its tree is missing.", id.RelativePath, -1, null, null);
            some.Add(new TreeBlob(path, content));
            if (some.Count == 64)
            {
                await to.WriteAsync(some, cancellationToken).ConfigureAwait(false);
                some.Clear();
            }
        }

        await to.WriteAsync(some, cancellationToken).ConfigureAwait(false);
        if (await TreeWriter.TryContinueAsync(to, checkpoint.Size, checkpoint.Root, cancellationToken).ConfigureAwait(false) is null)
        {
            throw new LedgerCorruptException($"Chain {id}: the tiles of its tree do not give the root that was signed.", id.RelativePath, -1, checkpoint.Root.ToString(), null);
        }

        await to.WriteAsync([new TreeBlob(TilePath.Checkpoint, note)], cancellationToken).ConfigureAwait(false);
    }

    private static async Task<HashSet<UInt128>> PresentAsync(ILedger target, ChainId id, CancellationToken cancellationToken)
    {
        var present = new HashSet<UInt128>();
        LedgerReader reader = target switch
        {
            FileLedger files => new FileLedgerReader(files.Directory),
            SqliteLedger sqlite => new SqliteLedgerReader(sqlite.Path),
            S3Ledger s3 => new S3LedgerReader(s3.Options),
            _ => throw NotAStore(target),
        };
        await using (reader.ConfigureAwait(false))
        {
            await foreach (ReadOnlyMemory<byte> some in reader.ReadBlobsAsync(id, cancellationToken).ConfigureAwait(false))
            {
                for (ReadOnlyMemory<byte> lines = some; !lines.IsEmpty;)
                {
                    int newline = lines.Span.IndexOf((byte)'\n');
                    if (BlobLine.CommitmentOf(lines.Span) is { } commitment)
                    {
                        present.Add(Short(commitment));
                    }

                    lines = newline < 0 ? default : lines[(newline + 1)..];
                }
            }
        }

        return present;
    }

    private static UInt128 Short(Commitment commitment) =>
        UInt128.TryParse(commitment.Value.AsSpan("sha256:".Length, 32), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out UInt128 value) ? value : 0;

    private static async Task<(IChainStore Store, FoundChain Found)> OpenAsync(ILedger target, ChainId id, CancellationToken cancellationToken)
    {
        switch (target)
        {
            case FileLedger files:
                return await files.OpenStoreAsync(id, cancellationToken).ConfigureAwait(false);
            case SqliteLedger sqlite:
                return await sqlite.OpenStoreAsync(id, cancellationToken).ConfigureAwait(false);
            case S3Ledger s3:
                return await s3.OpenStoreAsync(id, cancellationToken).ConfigureAwait(false);
            default:
                throw NotAStore(target);
        }
    }

    private static ArgumentException NotAStore(ILedger target) => new($"{target.GetType().Name} is not a store of chains.", nameof(target));
}

/// <summary>What was copied of one chain.</summary>
/// <param name="Id">The chain.</param>
/// <param name="Before">Head of the target before.</param>
/// <param name="Head">Head of both now.</param>
/// <param name="Blobs">Side blobs that were added.</param>
public sealed record CopiedChain(ChainId Id, ChainHead Before, ChainHead Head, long Blobs);

/// <summary>The target has a chain of the same name that is no beginning of the source's.</summary>
public sealed class LedgerCopyException(ChainId id, ChainHead target, ChainHead source) : Exception(
    $"The target's chain {id} is no beginning of the source's: at sequence {target.Seq} it has {target.EventHash}, the source ({source.Seq}) {source.EventHash}.");
