using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Files;

/// <summary>What a writer finds when it opens a chain.</summary>
/// <param name="Segments">In order; empty for a new chain.</param>
/// <param name="Head">Last record.</param>
/// <param name="Epoch">Highest epoch in the chain; 0 when it has none.</param>
/// <param name="LiveLength">Length of the last segment after recovery.</param>
/// <param name="Torn">The tail that was set aside, or null.</param>
internal sealed record RecoveredChain(
    IReadOnlyList<Segment> Segments, ChainHead Head, long Epoch, long LiveLength, TornTailAside? Torn);

/// <summary>A torn tail after it was moved.</summary>
/// <param name="Path">Side file that holds its bytes.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Lowercase hexadecimal hash of its bytes.</param>
internal sealed record TornTailAside(string Path, long Bytes, string Sha256);

/// <summary>
/// Reads and verifies a whole chain before the first append. A last line without its newline was never acknowledged, so it is moved to
/// <c>torn/</c>; anything else that does not verify is damage and stops the open.
/// </summary>
internal static class ChainRecovery
{
    /// <exception cref="LedgerCorruptException">A committed record does not verify.</exception>
    /// <exception cref="IOException">A file cannot be read, or the torn tail cannot be set aside.</exception>
    public static RecoveredChain Recover(string directory, CancellationToken cancellationToken)
    {
        var segments = new List<Segment>();
        var position = new ChainPosition();
        TornTailAside? torn = null;
        long length = 0;
        long start = 0;
        IReadOnlyList<(long FirstSeq, string Path)> files = SegmentName.List(directory);
        for (int index = 0; index < files.Count; index++)
        {
            (long firstSeq, string path) = files[index];
            position.ThrowIfNotNext(path, firstSeq);
            segments.Add(new Segment(path, firstSeq, position.Hash, start));
            bool last = index == files.Count - 1;
            using SafeFileHandle file = last ? LedgerFile.OpenOrCreate(path) : LedgerFile.OpenRead(path);
            long size = RandomAccess.GetLength(file);
            length = Walk(file, size, position, path, cancellationToken);
            if (length < size)
            {
                torn = last
                    ? SetAside(directory, file, length, size, position.NextSeq)
                    : throw new LedgerCorruptException(
                        $"{path} ends in the middle of a line, but is not the last segment.", path, position.NextSeq, null, null);
            }

            start += length;
        }

        return new RecoveredChain(segments, position.Head, position.Epoch, length, torn);
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

    private static long Walk(SafeFileHandle file, long size, ChainPosition position, string path, CancellationToken cancellationToken)
    {
        var scanner = new LineScanner(file, 0, size, LedgerLimits.MaxRecordBytes);
        var reader = new StrictLine();
        while (position.TryRead(scanner, reader, path, withContent: false, out _))
        {
            cancellationToken.ThrowIfCancellationRequested();
        }

        return scanner.Offset;
    }
}
