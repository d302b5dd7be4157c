using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Rynxs.Ledger.Merkle;

/// <summary>
/// A hash of a Merkle tree: 32 bytes of SHA-256, with the two domains of RFC 6962, section 2.1 (leaf 0x00, node 0x01), so that no entry can
/// pass for an inner node.
/// </summary>
public readonly struct TreeHash : IEquatable<TreeHash>
{
    /// <summary>Length in bytes: 32.</summary>
    public const int Bytes = 32;

    private readonly Storage _bytes;

    /// <summary>Takes 32 bytes as they are.</summary>
    /// <exception cref="ArgumentException">There are not exactly 32.</exception>
    public TreeHash(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Bytes)
        {
            throw new ArgumentException($"A hash has {Bytes} bytes, not {bytes.Length}.", nameof(bytes));
        }

        bytes.CopyTo(_bytes);
    }

    /// <summary>Root of the tree without entries: the SHA-256 of nothing.</summary>
    public static TreeHash OfEmptyTree { get; } = new(SHA256.HashData([]));

    /// <summary>Hash of one entry: SHA-256(0x00 || entry).</summary>
    public static TreeHash OfEntry(ReadOnlySpan<byte> entry)
    {
        Span<byte> digest = stackalloc byte[Bytes];
        if (entry.Length <= 256)
        {
            Span<byte> input = stackalloc byte[257];
            input[0] = 0;
            entry.CopyTo(input[1..]);
            SHA256.HashData(input[..(entry.Length + 1)], digest);
            return new TreeHash(digest);
        }

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([0]);
        hash.AppendData(entry);
        hash.GetHashAndReset(digest);
        return new TreeHash(digest);
    }

    /// <summary>Hash of an inner node: SHA-256(0x01 || left || right).</summary>
    public static TreeHash OfNode(in TreeHash left, in TreeHash right)
    {
        Span<byte> input = stackalloc byte[1 + (2 * Bytes)];
        input[0] = 1;
        left.CopyTo(input[1..]);
        right.CopyTo(input[(1 + Bytes)..]);
        Span<byte> digest = stackalloc byte[Bytes];
        SHA256.HashData(input, digest);
        return new TreeHash(digest);
    }

    /// <summary>Reads padded base64 of exactly 32 bytes, in its one canonical spelling.</summary>
    public static bool TryParse(ReadOnlySpan<char> base64, out TreeHash hash)
    {
        Span<byte> bytes = stackalloc byte[Bytes + 1];
        if (base64.Length == 44 && Convert.TryFromBase64Chars(base64, bytes, out int written) && written == Bytes)
        {
            hash = new TreeHash(bytes[..Bytes]);
            return base64.SequenceEqual(hash.ToString());
        }

        hash = default;
        return false;
    }

    /// <summary>Copies the 32 bytes.</summary>
    public void CopyTo(Span<byte> destination) => ((ReadOnlySpan<byte>)_bytes).CopyTo(destination);

    /// <summary>The 32 bytes, as a new array.</summary>
    public byte[] ToArray() => ((ReadOnlySpan<byte>)_bytes).ToArray();

    /// <summary>Padded base64, as checkpoints and proofs write it.</summary>
    public override string ToString() => Convert.ToBase64String(_bytes);

    /// <inheritdoc/>
    public bool Equals(TreeHash other) => ((ReadOnlySpan<byte>)_bytes).SequenceEqual(other._bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is TreeHash other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => MemoryMarshal.Read<int>(_bytes);

    /// <summary>Byte for byte the same.</summary>
    public static bool operator ==(TreeHash left, TreeHash right) => left.Equals(right);

    /// <summary>Not byte for byte the same.</summary>
    public static bool operator !=(TreeHash left, TreeHash right) => !left.Equals(right);

    [InlineArray(Bytes)]
    private struct Storage
    {
        private byte _first;
    }
}
