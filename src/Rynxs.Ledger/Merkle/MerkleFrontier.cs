using System.Numerics;

namespace Rynxs.Ledger.Merkle;

/// <summary>
/// The right edge of a growing Merkle tree: the roots of the full subtrees that make up the tree, largest first. At most 63 hashes,
/// whatever the size of the tree; enough to append entries and to compute the root.
/// </summary>
/// <remarks>One caller at a time.</remarks>
public sealed class MerkleFrontier
{
    private readonly List<TreeHash> _edge = [];

    /// <summary>The empty tree.</summary>
    public MerkleFrontier()
    {
    }

    /// <summary>Continues a tree from its stored edge, as <see cref="Edge"/> gave it.</summary>
    /// <exception cref="ArgumentException">A tree of that size has another number of full subtrees.</exception>
    public MerkleFrontier(long size, IReadOnlyList<TreeHash> edge)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        ArgumentNullException.ThrowIfNull(edge);
        if (BitOperations.PopCount((ulong)size) != edge.Count)
        {
            throw new ArgumentException($"A tree of {size} entries has {BitOperations.PopCount((ulong)size)} full subtrees, not {edge.Count}.", nameof(edge));
        }

        Size = size;
        _edge.AddRange(edge);
    }

    /// <summary>Number of entries.</summary>
    public long Size { get; private set; }

    /// <summary>Roots of the full subtrees, largest (leftmost) first; their sizes are the one-bits of <see cref="Size"/>.</summary>
    public IReadOnlyList<TreeHash> Edge => _edge;

    /// <summary>Adds the hash of one entry.</summary>
    public void Append(TreeHash leaf) => Append(leaf, 0);

    /// <summary>Adds a full subtree of 2^<paramref name="height"/> entries; the size must be a multiple of that.</summary>
    /// <exception cref="ArgumentException">The subtree does not begin at a multiple of its size.</exception>
    public void Append(TreeHash subtree, int height)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(height);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(height, 62);
        long count = 1L << height;
        if ((Size & (count - 1)) != 0)
        {
            throw new ArgumentException($"A subtree of {count} entries cannot begin at {Size}.", nameof(height));
        }

        TreeHash node = subtree;
        for (long size = Size >> height; (size & 1) == 1; size >>= 1)
        {
            node = TreeHash.OfNode(_edge[^1], node);
            _edge.RemoveAt(_edge.Count - 1);
        }

        _edge.Add(node);
        Size = checked(Size + count);
    }

    /// <summary>Root of the tree as it is now.</summary>
    public TreeHash Root()
    {
        if (_edge.Count == 0)
        {
            return TreeHash.OfEmptyTree;
        }

        TreeHash root = _edge[^1];
        for (int index = _edge.Count - 2; index >= 0; index--)
        {
            root = TreeHash.OfNode(_edge[index], root);
        }

        return root;
    }

    /// <summary>A copy that grows apart from this one.</summary>
    public MerkleFrontier Clone() => new(Size, _edge);
}
