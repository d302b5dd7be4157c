using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Rynxs.Ledger.Verifier;

/// <summary>A hash of a Merkle tree by RFC 6962, computed here apart from the writer's code.</summary>
[InlineArray(Length)]
internal struct NodeHash
{
    public const int Length = 32;

    private byte _first;

    public static NodeHash From(ReadOnlySpan<byte> bytes)
    {
        var hash = default(NodeHash);
        bytes[..Length].CopyTo(hash);
        return hash;
    }

    /// <summary>Leaf of an entry of 32 bytes, the <c>event_hash</c> of a record.</summary>
    public static void Leaf(ReadOnlySpan<byte> eventHash, Span<byte> into) => RecordHash.Of([0], eventHash, into);

    /// <summary>Parent of 64 bytes that hold two hashes.</summary>
    public static void Parent(ReadOnlySpan<byte> both, Span<byte> into) => RecordHash.Of([1], both, into);

    public static NodeHash Parent(in NodeHash left, in NodeHash right)
    {
        Span<byte> both = stackalloc byte[2 * Length];
        ((ReadOnlySpan<byte>)left).CopyTo(both);
        ((ReadOnlySpan<byte>)right).CopyTo(both[Length..]);
        var parent = default(NodeHash);
        Parent(both, parent);
        return parent;
    }

    /// <summary>Root of the tree without entries.</summary>
    public static NodeHash Empty() => From(SHA256.HashData([]));

    public readonly bool Is(in NodeHash other) => ((ReadOnlySpan<byte>)this).SequenceEqual(other);

    public readonly string ToHex() => Convert.ToHexStringLower(this);

    public readonly string ToBase64() => Convert.ToBase64String(this);
}

/// <summary>A full subtree inside a block of records.</summary>
/// <param name="Height">It has 2^height entries.</param>
/// <param name="Hash">Its root.</param>
internal readonly record struct Subtree(int Height, NodeHash Hash);

/// <summary>The right edge of the tree that the records give.</summary>
internal sealed class TreeEdge
{
    private readonly Stack<Subtree> _edge = new();

    public long Size { get; private set; }

    /// <summary>Adds a subtree that begins where the tree ends.</summary>
    /// <param name="next">The subtree.</param>
    /// <param name="completed">Told each full subtree that this completes, the added one first.</param>
    public void Add(Subtree next, Action<Subtree> completed)
    {
        Size += 1L << next.Height;
        completed(next);
        while (_edge.TryPeek(out Subtree left) && left.Height == next.Height)
        {
            _edge.Pop();
            next = new Subtree(next.Height + 1, NodeHash.Parent(left.Hash, next.Hash));
            completed(next);
        }

        _edge.Push(next);
    }

    public NodeHash Root()
    {
        NodeHash? root = null;
        foreach (Subtree subtree in _edge) // From the smallest, which is the newest.
        {
            root = root is { } right ? NodeHash.Parent(subtree.Hash, right) : subtree.Hash;
        }

        return root ?? NodeHash.Empty();
    }
}
