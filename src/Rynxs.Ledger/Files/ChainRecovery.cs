using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Files;

/// <summary>What a writer finds when it opens a chain.</summary>
/// <param name="Files">The segments in order, each as it was verified; empty for a new chain. The last one is live.</param>
/// <param name="Head">Last record.</param>
/// <param name="Epoch">Highest epoch in the chain; 0 when it has none.</param>
/// <param name="Torn">The tail that was set aside, or null.</param>
/// <param name="Manifest">What the directory's manifest said.</param>
internal sealed record RecoveredChain(
    IReadOnlyList<VerifiedFile> Files, ChainHead Head, long Epoch, TornTailAside? Torn, SegmentManifest Manifest);

/// <summary>A torn tail after it was moved.</summary>
/// <param name="Path">Side file that holds its bytes.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Lowercase hexadecimal hash of its bytes.</param>
internal sealed record TornTailAside(string Path, long Bytes, string Sha256);

/// <summary>
/// Verifies a chain before the first append. A file that is, to the kernel, the very one that was verified before is not read again
/// (<see cref="VerifiedFiles"/>). A last line without its newline was never acknowledged, so it is moved to <c>torn/</c>; anything else that
/// does not verify is damage and stops the open.
/// </summary>
internal static class ChainRecovery
{
    /// <param name="directory">The chain's directory.</param>
    /// <param name="everything">Read every segment, whatever is known of it.</param>
    /// <param name="cancellationToken">Stops between records.</param>
    /// <exception cref="LedgerCorruptException">A committed record does not verify, or a segment is missing.</exception>
    /// <exception cref="IOException">A file cannot be read, or the torn tail cannot be set aside.</exception>
    public static RecoveredChain Recover(string directory, bool everything, CancellationToken cancellationToken)
    {
        SegmentManifest manifest = SegmentManifest.Read(directory);
        IReadOnlyDictionary<string, VerifiedFile> known = everything ? new Dictionary<string, VerifiedFile>() : VerifiedFiles.Read(directory);
        // What lies before a pruning that was cut short is in the archive and counts no more.
        List<(long FirstSeq, string Path)> found = [.. SegmentName.ListHolding(directory).Where(file => file.FirstSeq >= (manifest.Pruned?.BeforeSeq ?? 0))];
        ThrowIfMissing(manifest, found, directory);
        var files = new List<VerifiedFile>();
        ChainPosition position = manifest.Start;
        TornTailAside? torn = null;
        for (int index = 0; index < found.Count; index++)
        {
            (long firstSeq, string path) = found[index];
            position.ThrowIfNotNext(path, firstSeq);
            bool last = index == found.Count - 1;
            using SafeFileHandle file = last ? LedgerFile.OpenOrCreate(path) : LedgerFile.OpenRead(path);
            string name = Path.GetFileName(path);
            string prevHash = position.Hash;
            if (known.TryGetValue(name, out VerifiedFile? before)
                && before.Identity == LinuxFile.Identify(file) && before.FirstSeq == firstSeq && before.PrevHash == prevHash)
            {
                position = ChainPosition.Before(before.LastSeq + 1, before.HeadHash, before.Epoch);
                files.Add(before);
                continue;
            }

            long size = RandomAccess.GetLength(file);
            long length = Walk(file, size, position, path, cancellationToken);
            if (length < size)
            {
                torn = last
                    ? SetAside(directory, file, length, size, position.NextSeq)
                    : throw new LedgerCorruptException(
                        $"{path} ends in the middle of a line, but is not the last segment.", path, position.NextSeq, null, null);
            }

            files.Add(new VerifiedFile(name, LinuxFile.Identify(file), firstSeq, prevHash, position.Head.Seq, position.Hash, position.Epoch));
        }

        return new RecoveredChain(files, position.Head, position.Epoch, torn, manifest);
    }

    /// <summary>Moves the bytes from an offset on to a side file; durable there before they are cut here.</summary>
    public static TornTailAside SetAside(string chainDirectory, SafeFileHandle file, long from, long to, long seq)
    {
        string directory = Path.Combine(chainDirectory, "torn");
        LedgerFile.CreateDirectory(directory);
        string draft = Path.Combine(directory, "draft");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using (SafeFileHandle side = LedgerFile.CreateEmpty(draft))
        {
            byte[] chunk = new byte[64 * 1024];
            for (long at = from; at < to;)
            {
                int read = RandomAccess.Read(file, chunk.AsSpan(0, (int)Math.Min(chunk.Length, to - at)), at);
                if (read == 0)
                {
                    break;
                }

                hash.AppendData(chunk.AsSpan(0, read));
                RandomAccess.Write(side, chunk.AsSpan(0, read), at - from);
                at += read;
            }

            LinuxFile.SyncData(side);
        }

        string digest = Convert.ToHexStringLower(hash.GetHashAndReset());
        string path = Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{seq:D20}-{digest[..16]}.bin"));
        File.Move(draft, path, overwrite: true);
        LinuxFile.SyncDirectory(directory);

        RandomAccess.SetLength(file, from);
        LinuxFile.SyncData(file);
        return new TornTailAside(path, to - from, digest);
    }

    public static long Walk(SafeFileHandle file, long size, ChainPosition position, string path, CancellationToken cancellationToken)
    {
        var scanner = new LineScanner(file, 0, size, LedgerLimits.MaxRecordBytes);
        var reader = new StrictLine();
        while (position.TryRead(scanner, reader, path, withContent: false, out _))
        {
            cancellationToken.ThrowIfCancellationRequested();
        }

        return scanner.Offset;
    }

    private static void ThrowIfMissing(SegmentManifest manifest, List<(long FirstSeq, string Path)> found, string directory)
    {
        // A missing one in the middle shows as a gap.
        long lastSeq = found is [.., (long seq, _)] ? seq : -1;
        if (manifest.Segments.FirstOrDefault(segment => segment.FirstSeq > lastSeq) is { } missing)
        {
            throw new LedgerCorruptException(
                $"{directory}: the manifest names {missing.File} (sequence {missing.FirstSeq} to {missing.LastSeq}), which is not there.",
                Path.Combine(directory, missing.File), missing.FirstSeq, missing.HeadHash, null);
        }
    }
}
