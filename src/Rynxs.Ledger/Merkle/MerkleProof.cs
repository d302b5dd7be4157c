using System.Numerics;

namespace Rynxs.Ledger.Merkle;

/// <summary>Checks proofs by the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.</summary>
public static class MerkleProof
{
    /// <summary>True when the path leads from the leaf at the index to the root of a tree of the size.</summary>
    public static bool VerifyInclusion(TreeHash leaf, long index, long size, IReadOnlyList<TreeHash> path, TreeHash root)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (index < 0 || index >= size)
        {
            return false;
        }

        (long at, long last, TreeHash hash) = (index, size - 1, leaf);
        foreach (TreeHash step in path)
        {
            if (last == 0)
            {
                return false;
            }

            if ((at & 1) == 1 || at == last)
            {
                hash = TreeHash.OfNode(step, hash);
                if ((at & 1) == 0)
                {
                    int skip = at == 0 ? 63 : BitOperations.TrailingZeroCount(at);
                    (at, last) = (at >> skip, last >> skip);
                }
            }
            else
            {
                hash = TreeHash.OfNode(hash, step);
            }

            (at, last) = (at >> 1, last >> 1);
        }

        return last == 0 && hash == root;
    }

    /// <summary>True when the path shows that the newer tree begins with the older one.</summary>
    public static bool VerifyConsistency(long oldSize, TreeHash oldRoot, long newSize, TreeHash newRoot, IReadOnlyList<TreeHash> path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (oldSize < 0 || newSize < oldSize)
        {
            return false;
        }

        if (oldSize == 0 || oldSize == newSize)
        {
            return path.Count == 0 && (oldSize == 0 ? oldRoot == TreeHash.OfEmptyTree : oldRoot == newRoot);
        }

        // A full subtree is its own first step: the proof leaves it out.
        IReadOnlyList<TreeHash> steps = BitOperations.IsPow2(oldSize) ? [oldRoot, .. path] : path;
        if (steps.Count == 0)
        {
            return false;
        }

        int full = BitOperations.TrailingZeroCount(~(oldSize - 1));
        (long at, long last) = ((oldSize - 1) >> full, (newSize - 1) >> full);
        (TreeHash older, TreeHash newer) = (steps[0], steps[0]);
        for (int index = 1; index < steps.Count; index++)
        {
            if (last == 0)
            {
                return false;
            }

            if ((at & 1) == 1 || at == last)
            {
                older = TreeHash.OfNode(steps[index], older);
                newer = TreeHash.OfNode(steps[index], newer);
                if ((at & 1) == 0)
                {
                    int skip = at == 0 ? 63 : BitOperations.TrailingZeroCount(at);
                    (at, last) = (at >> skip, last >> skip);
                }
            }
            else
            {
                newer = TreeHash.OfNode(newer, steps[index]);
            }

            (at, last) = (at >> 1, last >> 1);
        }

        return last == 0 && older == oldRoot && newer == newRoot;
    }
}
