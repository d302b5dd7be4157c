using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Blobs;

/// <summary>
/// Erases side blobs of a ledger in files. The chain gets a record of who asked and why, before anything is erased; the commitments stay, so chain
/// and proofs remain valid, and without the salt they say nothing about the text.
/// </summary>
/// <remarks>
/// The file is written anew without the line, renamed into place, and the line in the old file is overwritten before that is let go. A device that
/// keeps old blocks (flash, snapshots, copy-on-write) may still have them; so may backups and <c>torn/</c>.
/// </remarks>
public static class BlobErasure
{
    /// <summary>Longest reason: 500 characters.</summary>
    public const int MaxReasonLength = 500;

    private const int CopyBytes = 256 * 1024;

    /// <summary>The commitments to side blobs that a record holds.</summary>
    public static IReadOnlyList<Commitment> CommitmentsOf(LedgerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        var found = new List<Commitment>();
        Collect(record.Payload, found);
        return found;
    }

    /// <summary>
    /// Records the erasing on the chain and erases. A chain of ours (<see cref="IErasableChain"/>) may be in use meanwhile; with another the caller closes the
    /// ledger afterwards without appending more.
    /// </summary>
    /// <param name="ledgerDirectory">Root of the ledger.</param>
    /// <param name="chain">The chain whose blobs are erased, open for writing.</param>
    /// <param name="commitments">What to erase.</param>
    /// <param name="principal">On whose behalf.</param>
    /// <param name="reason">Why: 1 to 500 characters.</param>
    /// <param name="cancellationToken">Honoured before each commitment.</param>
    /// <returns>How many were there; those that were not are recorded all the same.</returns>
    /// <exception cref="ArgumentException">The reason has no allowed length.</exception>
    /// <exception cref="LedgerUnavailableException">The record cannot be appended, or a file cannot be rewritten. Running it again completes it.</exception>
    public static async Task<int> EraseAsync(
        string ledgerDirectory, ILedgerChain chain, IReadOnlyList<Commitment> commitments, string principal, string reason, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(chain);
        ArgumentNullException.ThrowIfNull(commitments);
        if (reason is not { Length: > 0 and <= MaxReasonLength })
        {
            throw new ArgumentException($"A reason has 1 to {MaxReasonLength} characters.", nameof(reason));
        }

        string directory = Path.Combine(ledgerDirectory, chain.Id.RelativePath);
        int erased = 0;
        foreach (Commitment commitment in commitments)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = new BlobErased { Commitment = commitment.Value, Reason = reason },
                    AggregateId = chain.Id.AgentName is null ? "rynxs/control" : $"{chain.Id.AgentNamespace}/{chain.Id.AgentName}",
                    Principal = principal,
                },
                cancellationToken).ConfigureAwait(false);
            try
            {
                erased += chain is IErasableChain erasable
                    ? await erasable.EraseBlobAsync(commitment, CancellationToken.None).ConfigureAwait(false) // Its record stands: it is carried out.
                    : EraseLines(directory, commitment);
            }
            catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
            {
                throw new LedgerUnavailableException($"The blob {commitment} cannot be erased: {exception.Message}", exception);
            }
        }

        return erased;
    }

    private static void Collect(JsonElement value, List<Commitment> found)
    {
        if (value.ValueKind == JsonValueKind.Object)
        {
            if (value.TryGetProperty("bytes", out JsonElement bytes) && bytes.ValueKind == JsonValueKind.Number
                && value.TryGetProperty("commitment", out JsonElement commitment) && commitment.ValueKind == JsonValueKind.String)
            {
                found.Add(new Commitment(commitment.GetString() ?? ""));
                return;
            }

            foreach (JsonProperty property in value.EnumerateObject())
            {
                Collect(property.Value, found);
            }
        }
        else if (value.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement item in value.EnumerateArray())
            {
                Collect(item, found);
            }
        }
    }

    internal static int EraseLines(string directory, Commitment commitment)
    {
        byte[] prefix = Encoding.UTF8.GetBytes(BlobLine.Prefix(commitment) + "\"");
        int erased = 0;
        foreach (string path in Directory.EnumerateFiles(directory, "blobs-*.jsonl").Order(StringComparer.Ordinal))
        {
            while (FindLine(path, prefix) is { } line)
            {
                Rewrite(path, line.Offset, line.Length);
                erased++;
            }
        }

        // What crashes left: drafts of files that were being written anew, and cut-off ends. They are nobody's records.
        foreach (string path in Directory.EnumerateFiles(directory, "blobs-*.draft").Concat(
            Directory.Exists(Path.Combine(directory, "torn")) ? Directory.EnumerateFiles(Path.Combine(directory, "torn")) : []).ToArray())
        {
            if (path.EndsWith(".draft", StringComparison.Ordinal) || Holds(path, prefix))
            {
                using (SafeFileHandle file = LedgerFile.OpenOrCreate(path))
                {
                    Overwrite(file, 0, RandomAccess.GetLength(file));
                }

                File.Delete(path);
            }
        }

        return erased;
    }

    private static bool Holds(string path, byte[] prefix)
    {
        using SafeFileHandle file = LedgerFile.OpenRead(path);
        byte[] content = new byte[Math.Min(RandomAccess.GetLength(file), BlobLine.MaxBytes + CopyBytes)];
        return content.AsSpan(0, RandomAccess.Read(file, content, 0)).IndexOf(prefix) >= 0;
    }

    private static void Overwrite(SafeFileHandle file, long offset, long length)
    {
        byte[] zeros = new byte[Math.Min(length, CopyBytes)];
        for (long at = 0; at < length; at += zeros.Length)
        {
            RandomAccess.Write(file, zeros.AsSpan(0, (int)Math.Min(zeros.Length, length - at)), offset + at);
        }

        LinuxFile.SyncData(file);
    }

    private static (long Offset, long Length)? FindLine(string path, byte[] prefix)
    {
        using SafeFileHandle file = LedgerFile.OpenRead(path);
        var scanner = new LineScanner(file, 0, RandomAccess.GetLength(file), BlobLine.MaxBytes);
        while (scanner.TryRead(out ReadOnlyMemory<byte> line))
        {
            if (line.Span.StartsWith(prefix))
            {
                return (scanner.Offset, line.Length + 1);
            }
        }

        return null;
    }

    private static void Rewrite(string path, long offset, long length)
    {
        string draft = path + ".draft";
        using SafeFileHandle old = LedgerFile.OpenOrCreate(path);
        using (SafeFileHandle fresh = LedgerFile.CreateEmpty(draft))
        {
            long end = RandomAccess.GetLength(old);
            Copy(old, 0, offset, fresh, 0);
            Copy(old, offset + length, end, fresh, offset);
            LinuxFile.SyncData(fresh);
        }

        // The name goes to the new file first: whatever happens after, no reader finds half a line.
        File.Move(draft, path, overwrite: true);
        LinuxFile.SyncDirectory(Path.GetDirectoryName(path) ?? "/");
        Overwrite(old, offset, length);
    }

    private static void Copy(SafeFileHandle from, long start, long end, SafeFileHandle to, long target)
    {
        byte[] chunk = new byte[CopyBytes];
        while (start < end && RandomAccess.Read(from, chunk.AsSpan(0, (int)Math.Min(chunk.Length, end - start)), start) is int read and > 0)
        {
            RandomAccess.Write(to, chunk.AsSpan(0, read), target);
            start += read;
            target += read;
        }
    }
}
