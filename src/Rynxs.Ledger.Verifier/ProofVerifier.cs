using System.Globalization;
using System.Numerics;
using System.Text;

namespace Rynxs.Ledger.Verifier;

/// <summary>What a verified proof shows.</summary>
/// <param name="Origin">Name of the log.</param>
/// <param name="Size">Size of its tree.</param>
/// <param name="Index">Index of the entry, the record's sequence; of a consistency proof, the older size.</param>
/// <param name="SignedBy">Keys (vkeys) of the log that signed the checkpoint.</param>
/// <param name="CosignedBy">Witness keys (vkeys) of the policy that cosigned it.</param>
public sealed record VerifiedProof(string Origin, long Size, long Index, IReadOnlyList<string> SignedBy, IReadOnlyList<string> CosignedBy);

/// <summary>A proof does not show what it says.</summary>
public sealed class ProofException(string code, string message) : Exception(message)
{
    /// <summary>One of <see cref="FailureCodes"/>.</summary>
    public string Code { get; } = code;
}

/// <summary>
/// Verifies proof files: that a record is in a log (C2SP tlog-proof), and that a log grew from an older checkpoint (the body of C2SP tlog-witness's
/// <c>add-checkpoint</c>). Needs the file, the record or the older checkpoint, and pinned keys; no ledger and no network.
/// </summary>
/// <remarks>
/// The paths are checked by splitting them into the part inside the smallest subtree and the part along the right border, where the writer's code
/// follows the loops of RFC 9162: two ways to the same answer.
/// </remarks>
public static class ProofVerifier
{
    /// <summary>Longest proof that is read: 80 KiB.</summary>
    public const int MaxBytes = 80 * 1024;

    private const int MaxPath = 64;

    /// <summary>Verifies that a record line is the entry that the proof is about.</summary>
    /// <param name="proof">The proof file.</param>
    /// <param name="record">The record line, with or without its newline; its hash is computed from its content.</param>
    /// <param name="keys">Pinned keys of the log.</param>
    /// <param name="policy">Witnesses that must have cosigned; null asks for none.</param>
    /// <exception cref="ProofException">The proof, the signature or the record does not verify.</exception>
    public static VerifiedProof VerifyRecord(ReadOnlySpan<byte> proof, ReadOnlySpan<byte> record, IReadOnlyList<PinnedKey> keys, TrustPolicy? policy)
    {
        record = record.EndsWith("\n"u8) ? record[..^1] : record;
        Span<byte> hex = stackalloc byte[64];
        long seq;
        try
        {
            RecordLine line = RecordLine.Read(record);
            line.ComputeHash(hex);
            if (!line.EventHash.SequenceEqual(hex))
            {
                throw new ProofException(FailureCodes.EventHashMismatch, "The content of the record does not have the hash that it states.");
            }

            seq = line.Seq;
        }
        catch (LineDefectException exception)
        {
            throw new ProofException(exception.Code, exception.Message);
        }

        VerifiedProof verified = VerifyHash(proof, Encoding.ASCII.GetString(hex), keys, policy);
        return verified.Index == seq
            ? verified
            : throw new ProofException(FailureCodes.ProofInvalid, string.Create(
                CultureInfo.InvariantCulture, $"The proof is about entry {verified.Index}, the record says it is {seq}."));
    }

    /// <summary>Verifies that an <c>event_hash</c> is the entry that the proof is about.</summary>
    /// <inheritdoc cref="VerifyRecord"/>
    public static VerifiedProof VerifyHash(ReadOnlySpan<byte> proof, string eventHash, IReadOnlyList<PinnedKey> keys, TrustPolicy? policy)
    {
        ArgumentNullException.ThrowIfNull(eventHash);
        if (eventHash.Length != 64 || !eventHash.All(char.IsAsciiHexDigitLower))
        {
            throw new ProofException(FailureCodes.InvalidField, "The event hash is not 64 lowercase hexadecimal digits.");
        }

        (string[] head, SignedCheckpoint checkpoint) = Split(proof);
        int at = 0;
        if (head.Length == 0 || head[at++] != "c2sp.org/tlog-proof@v1")
        {
            throw Malformed("it does not begin with 'c2sp.org/tlog-proof@v1'");
        }

        if (at < head.Length && head[at].StartsWith("extra ", StringComparison.Ordinal))
        {
            at++; // Opaque, and trusted in no way.
        }

        long index = at < head.Length ? Number(head[at++], "index ") : throw Malformed("it has no index");
        NodeHash[] path = Path(head[at..]);
        VerifiedProof verified = CheckSigners(checkpoint, index, keys, policy);
        var leaf = default(NodeHash);
        NodeHash.Leaf(Convert.FromHexString(eventHash), leaf);
        if (index >= checkpoint.Size || RootOf(leaf, index, checkpoint.Size, path) is not { } root || !root.Is(checkpoint.RootHash))
        {
            throw new ProofException(FailureCodes.ProofInvalid, "The path does not lead from the record to the root of the checkpoint.");
        }

        return verified;
    }

    /// <summary>Verifies that the log of the proof's checkpoint continues the older checkpoint.</summary>
    /// <param name="proof">The proof file.</param>
    /// <param name="older">The checkpoint that was kept.</param>
    /// <param name="keys">Pinned keys of the log; both checkpoints must be signed by one of them.</param>
    /// <param name="policy">Witnesses that must have cosigned the newer; null asks for none.</param>
    /// <exception cref="ProofException">The proof or a signature does not verify. <see cref="FailureCodes.SplitView"/>: the log signed two histories.</exception>
    public static VerifiedProof VerifyConsistency(ReadOnlySpan<byte> proof, SignedCheckpoint older, IReadOnlyList<PinnedKey> keys, TrustPolicy? policy)
    {
        ArgumentNullException.ThrowIfNull(older);
        (string[] head, SignedCheckpoint newer) = Split(proof);
        long stated = head.Length > 0 ? Number(head[0], "old ") : throw Malformed("it has no old size");
        NodeHash[] path = Path(head[1..]);
        CheckSigners(older, older.Size, keys, policy: null);
        VerifiedProof verified = CheckSigners(newer, older.Size, keys, policy);
        if (older.Origin != newer.Origin)
        {
            throw new ProofException(FailureCodes.ProofInvalid, "The two checkpoints are of different logs.");
        }

        if (stated != older.Size)
        {
            throw new ProofException(FailureCodes.ProofInvalid, string.Create(
                CultureInfo.InvariantCulture, $"The proof begins at size {stated}, the older checkpoint has {older.Size}."));
        }

        return IsConsistent(older, newer, path)
            ? verified
            : throw new ProofException(FailureCodes.SplitView, "The newer checkpoint is not shown to continue the older one: unless the proof was damaged, the log signed two histories.");
    }

    private static bool IsConsistent(SignedCheckpoint older, SignedCheckpoint newer, NodeHash[] path)
    {
        if (older.Size == newer.Size || older.Size == 0)
        {
            return path.Length == 0 && (older.Size == 0 ? older.RootHash.Is(NodeHash.Empty()) : older.RootHash.Is(newer.RootHash));
        }

        if (newer.Size < older.Size)
        {
            return false;
        }

        long last = older.Size - 1;
        int shift = BitOperations.TrailingZeroCount(older.Size);
        int inner = BitLength(last ^ (newer.Size - 1)) - shift;
        bool whole = BitOperations.IsPow2(older.Size);
        int start = whole ? 0 : 1;
        int border = BitOperations.PopCount((ulong)(last >> (inner + shift)));
        if (path.Length != start + inner + border)
        {
            return false;
        }

        NodeHash seed = whole ? older.RootHash : path[0];
        (NodeHash left, NodeHash right) = (seed, seed);
        for (int step = 0; step < inner; step++)
        {
            bool fromLeft = ((last >> (shift + step)) & 1) == 1;
            left = fromLeft ? NodeHash.Parent(path[start + step], left) : left;
            right = fromLeft ? NodeHash.Parent(path[start + step], right) : NodeHash.Parent(right, path[start + step]);
        }

        foreach (NodeHash step in path.AsSpan(start + inner))
        {
            left = NodeHash.Parent(step, left);
            right = NodeHash.Parent(step, right);
        }

        return left.Is(older.RootHash) && right.Is(newer.RootHash);
    }

    private static NodeHash? RootOf(NodeHash leaf, long index, long size, NodeHash[] path)
    {
        int inner = BitLength(index ^ (size - 1));
        int border = BitOperations.PopCount((ulong)(index >> inner));
        if (path.Length != inner + border)
        {
            return null;
        }

        NodeHash hash = leaf;
        for (int step = 0; step < path.Length; step++)
        {
            hash = step < inner && ((index >> step) & 1) == 0 ? NodeHash.Parent(hash, path[step]) : NodeHash.Parent(path[step], hash);
        }

        return hash;
    }

    private static int BitLength(long value) => 64 - BitOperations.LeadingZeroCount((ulong)value);

    private static VerifiedProof CheckSigners(SignedCheckpoint checkpoint, long index, IReadOnlyList<PinnedKey> keys, TrustPolicy? policy)
    {
        try
        {
            IReadOnlyList<PinnedKey> signers = checkpoint.SignedBy([.. keys.Concat(policy?.Logs ?? []).Where(key =>
                !key.IsWitness && (checkpoint.Origin == key.Name || checkpoint.Origin.StartsWith(key.Name + "/agents/", StringComparison.Ordinal)))]);
            if (signers.Count == 0)
            {
                throw new ProofException(FailureCodes.CheckpointUnsigned, "No pinned key of this log signed the checkpoint.");
            }

            IReadOnlyList<PinnedKey> cosigners = policy is null ? [] : checkpoint.SignedBy(policy.Witnesses.Select(witness => witness.Key));
            return policy is null || policy.IsMetBy(cosigners.Select(key => key.Text))
                ? new VerifiedProof(checkpoint.Origin, checkpoint.Size, index, [.. signers.Select(key => key.Text)], [.. cosigners.Select(key => key.Text)])
                : throw new ProofException(FailureCodes.QuorumNotMet, "Fewer witnesses cosigned the checkpoint than the policy requires.");
        }
        catch (ForgedSignatureException exception)
        {
            throw new ProofException(FailureCodes.CheckpointUnsigned, exception.Message);
        }
    }

    private static (string[] Head, SignedCheckpoint Checkpoint) Split(ReadOnlySpan<byte> proof)
    {
        int blank = proof.IndexOf("\n\n"u8);
        if (proof.Length > MaxBytes || blank < 0)
        {
            throw Malformed($"it is longer than {MaxBytes} bytes, or has no empty line before the checkpoint");
        }

        try
        {
            return (Encoding.UTF8.GetString(proof[..blank]).Split('\n'), SignedCheckpoint.Parse(proof[(blank + 2)..]));
        }
        catch (FormatException exception)
        {
            throw new ProofException(FailureCodes.CheckpointMalformed, exception.Message);
        }
    }

    private static long Number(string line, string prefix) =>
        line.StartsWith(prefix, StringComparison.Ordinal)
        && long.TryParse(line.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long value)
        && line == prefix + value.ToString(CultureInfo.InvariantCulture)
            ? value
            : throw Malformed($"a line is not '{prefix}NUMBER'");

    private static NodeHash[] Path(string[] lines)
    {
        if (lines.Length > MaxPath)
        {
            throw Malformed($"its path has more than {MaxPath} hashes");
        }

        try
        {
            return [.. lines.Select(line => SignedCheckpoint.HashLine(line, "line of the path"))];
        }
        catch (FormatException exception)
        {
            throw Malformed(exception.Message);
        }
    }

    private static ProofException Malformed(string what) => new(FailureCodes.ProofMalformed, $"The proof cannot be read: {what}.");
}
