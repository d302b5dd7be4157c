using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Files;

/// <summary>Up to where a chain is pruned; whole sealed segments only.</summary>
public abstract record PruneBefore
{
    private PruneBefore()
    {
    }

    /// <summary>Segments that end before a sequence.</summary>
    public sealed record Sequence(long Seq) : PruneBefore;

    /// <summary>Segments whose last record was committed before a moment, by its <c>meta.time</c>.</summary>
    public sealed record Time(DateTimeOffset Moment) : PruneBefore;
}

/// <summary>What was moved of one chain.</summary>
/// <param name="Id">The chain.</param>
/// <param name="Segments">Segments that were moved.</param>
/// <param name="Records">Records in them.</param>
/// <param name="Bytes">Their length.</param>
/// <param name="FirstSeq">First sequence that is still here.</param>
public sealed record PrunedChain(ChainId Id, int Segments, long Records, long Bytes, long FirstSeq);

/// <summary>
/// Moves the oldest sealed segments of a closed ledger to an archive, which is a ledger's directory of its own and verifies as one. What stays
/// verifies too: the chain itself records what was moved, and the manifest says where it begins and behind which hash. The Merkle tree in
/// <c>tlog/</c> stays whole, so a record in the archive can still be proved against every checkpoint. Side blobs stay: they are erased, not
/// archived.
/// </summary>
/// <remarks>
/// Order, so that a crash at any step loses nothing and pruning again goes on: verify here; copy to the archive, durably; verify there; record in
/// the chain; write the manifest; remove here.
/// </remarks>
public static class LedgerPruning
{
    /// <summary>Prunes every chain of a ledger that no writer has open.</summary>
    /// <exception cref="LedgerLockedException">A writer has it open.</exception>
    /// <exception cref="LedgerCorruptException">What would be moved does not verify; nothing of that chain was moved.</exception>
    /// <exception cref="LedgerUnavailableException">A directory cannot be read or written.</exception>
    public static async Task<IReadOnlyList<PrunedChain>> PruneAsync(
        FileLedgerOptions options, PruneBefore before, string archive, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(before);
        ArgumentException.ThrowIfNullOrWhiteSpace(archive);
        string root = Path.GetFullPath(archive);
        if (root == Path.GetFullPath(options.Directory) || root.StartsWith(Path.GetFullPath(options.Directory) + "/", StringComparison.Ordinal))
        {
            throw new ArgumentException("The archive must not lie in the ledger.", nameof(archive));
        }

        FileLedger ledger = await FileLedger.OpenAsync(options, cancellationToken).ConfigureAwait(false);
        await using (ledger.ConfigureAwait(false))
        {
            var pruned = new List<PrunedChain>();
            foreach (ChainId id in ledger.ListChains())
            {
                pruned.Add(await PruneAsync(ledger, id, before, Path.Combine(root, id.RelativePath), cancellationToken).ConfigureAwait(false));
            }

            return pruned;
        }
    }

    private static async Task<PrunedChain> PruneAsync(FileLedger ledger, ChainId id, PruneBefore before, string archive, CancellationToken cancellationToken)
    {
        string directory = Path.Combine(ledger.Directory, id.RelativePath);
        try
        {
            SegmentManifest manifest = await Task.Run(() => Refresh(directory, cancellationToken), cancellationToken).ConfigureAwait(false);
            RemoveLeftovers(directory, manifest);
            SealedSegment[] moved = [.. manifest.Segments.TakeWhile(segment => IsBefore(directory, segment, before))];
            long first = manifest.Pruned?.BeforeSeq ?? 0;
            if (moved.Length == 0)
            {
                return new PrunedChain(id, 0, 0, 0, first);
            }

            long epoch = await Task.Run(() => Archive(directory, archive, manifest, moved, cancellationToken), cancellationToken).ConfigureAwait(false);
            ILedgerChain chain = await ledger.OpenAsync(id, new ChainOptions(), cancellationToken).ConfigureAwait(false);
            long bytes = moved.Sum(segment => segment.Bytes);
            var record = new LedgerPruned
            {
                BeforeSeq = moved[^1].LastSeq + 1,
                HeadHash = moved[^1].HeadHash,
                FromSeq = moved[0].FirstSeq,
                Segments = moved.Length,
                Bytes = bytes,
            };
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = record,
                    AggregateId = id.AgentName is null ? "rynxs/control" : $"{id.AgentNamespace}/{id.AgentName}",
                    Principal = "system:ledger",
                },
                CancellationToken.None).ConfigureAwait(false);

            // Closed, so that the manifest and the cache are its last word.
            await ((LedgerChain)chain).DisposeAsync().ConfigureAwait(false);
            (SegmentManifest.Read(directory) with
            {
                Pruned = new PrunedPart(record.BeforeSeq, record.HeadHash, epoch),
                Segments = [.. SegmentManifest.Read(directory).Segments.Skip(moved.Length)],
            }).Write(directory);
            RemoveLeftovers(directory, SegmentManifest.Read(directory));
            return new PrunedChain(id, moved.Length, record.BeforeSeq - record.FromSeq, bytes, record.BeforeSeq);
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The chain {id} cannot be pruned: {exception.Message}", exception);
        }
    }

    /// <summary>The manifest as the files are: a crash may have left a sealed segment out.</summary>
    private static SegmentManifest Refresh(string directory, CancellationToken cancellationToken)
    {
        RecoveredChain recovered = ChainRecovery.Recover(directory, everything: false, cancellationToken);
        return recovered.Manifest with
        {
            Segments = [.. recovered.Files.SkipLast(1).Select(file => new SealedSegment(file.File, file.FirstSeq, file.LastSeq, file.PrevHash, file.HeadHash, file.Identity.Bytes))],
        };
    }

    private static bool IsBefore(string directory, SealedSegment segment, PruneBefore before) => before switch
    {
        PruneBefore.Sequence sequence => segment.LastSeq < sequence.Seq,
        PruneBefore.Time time => LastTime(Path.Combine(directory, segment.File)) is { } last && last < time.Moment,
        _ => false,
    };

    /// <summary>When a segment's last record was committed; null when it does not say, and then it is kept.</summary>
    private static DateTimeOffset? LastTime(string path)
    {
        using SafeFileHandle file = LedgerFile.OpenRead(path);
        long size = RandomAccess.GetLength(file);
        byte[] end = new byte[(int)Math.Min(size, LedgerLimits.MaxRecordBytes + 1)];
        int read = RandomAccess.Read(file, end, size - end.Length);
        ReadOnlyMemory<byte> line = end.AsMemory(0, Math.Max(0, read - 1));
        line = line[(line.Span.LastIndexOf((byte)'\n') + 1)..];
        try
        {
            return new StrictLine().Read(line, withContent: true).Content is { } record
                && record.Meta.TryGetProperty("time"u8, out JsonElement time) && time.TryGetDateTimeOffset(out DateTimeOffset moment)
                ? moment
                : null;
        }
        catch (NonCanonicalException)
        {
            return null;
        }
    }

    /// <summary>Copies segments to the archive and verifies them there; returns the highest epoch in them and before.</summary>
    private static long Archive(string directory, string archive, SegmentManifest manifest, SealedSegment[] moved, CancellationToken cancellationToken)
    {
        LedgerFile.CreateDirectory(archive);
        SegmentManifest there = SegmentManifest.Read(archive);
        ChainPosition position = manifest.Start;
        if (there.Segments is [] && manifest.Pruned is not null)
        {
            there = there with { Pruned = manifest.Pruned }; // A second archive goes on where the first one ends.
        }

        foreach (SealedSegment segment in moved)
        {
            cancellationToken.ThrowIfCancellationRequested();
            string target = Path.Combine(archive, segment.File);
            Copy(Path.Combine(directory, segment.File), target);

            // Read back from the archive: what is verified is what is kept.
            using SafeFileHandle file = LedgerFile.OpenRead(target);
            long length = ChainRecovery.Walk(file, RandomAccess.GetLength(file), position, target, cancellationToken);
            if (length != segment.Bytes || position.Hash != segment.HeadHash || position.NextSeq != segment.LastSeq + 1)
            {
                throw new LedgerCorruptException(
                    $"{target} does not end as the manifest says (expected {segment.HeadHash}, found {position.Hash}).", target, segment.LastSeq, segment.HeadHash, position.Hash);
            }

            if (there.Segments.All(known => known.File != segment.File))
            {
                there = there with { Segments = [.. there.Segments, segment] };
            }
        }

        there.Write(archive);
        return position.Epoch;
    }

    private static void Copy(string from, string to)
    {
        string draft = to + ".draft";
        File.Delete(draft);
        using (SafeFileHandle source = LedgerFile.OpenRead(from))
        using (SafeFileHandle target = LedgerFile.CreateEmpty(draft))
        {
            byte[] chunk = new byte[1024 * 1024];
            long at = 0;
            while (RandomAccess.Read(source, chunk, at) is int read and > 0)
            {
                RandomAccess.Write(target, chunk.AsSpan(0, read), at);
                at += read;
            }

            LinuxFile.SyncData(target);
        }

        File.Move(draft, to, overwrite: true);
        LinuxFile.SyncDirectory(Path.GetDirectoryName(to) ?? "/");
    }

    /// <summary>Segments that the manifest says were pruned: they are in the archive, durably, or the manifest would not say so.</summary>
    private static void RemoveLeftovers(string directory, SegmentManifest manifest)
    {
        foreach ((long firstSeq, string path) in SegmentName.List(directory))
        {
            if (manifest.Pruned is { } pruned && firstSeq < pruned.BeforeSeq)
            {
                File.Delete(path);
            }
        }

        LinuxFile.SyncDirectory(directory);
    }
}
