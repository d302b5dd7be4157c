using System.Numerics;

namespace Rynxs.Ledger.Merkle;

/// <summary>
/// Computes roots and proofs of a tree of a given size from its tiles: a few tiles of 8 KiB are read for each, whatever the size.
/// </summary>
/// <remarks>Believes the tiles; whoever receives a proof verifies it against a signed root.</remarks>
public sealed class TileReader
{
    private const int LevelHeight = 8;
    private const int MaxTileBytes = TilePath.Width * TreeHash.Bytes;

    private readonly ITreeStore _store;
    private readonly long _size;
    private readonly Dictionary<(int Level, long Index), TreeHash[]> _tiles = [];

    /// <param name="store">Where the tiles lie.</param>
    /// <param name="size">Size of the tree: one for which a checkpoint was published.</param>
    public TileReader(ITreeStore store, long size)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        (_store, _size) = (store, size);
    }

    /// <summary>The right edge of the tree at a size up to this one's.</summary>
    /// <exception cref="LedgerCorruptException">A tile is missing or has the wrong length.</exception>
    public async Task<MerkleFrontier> FrontierAsync(long size, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, _size);
        var frontier = new MerkleFrontier();
        for (int height = 62; height >= 0; height--)
        {
            if ((size >> height & 1) == 1)
            {
                frontier.Append(await SubtreeAsync(frontier.Size, height, cancellationToken).ConfigureAwait(false), height);
            }
        }

        return frontier;
    }

    /// <summary>Hash of one entry.</summary>
    /// <exception cref="LedgerCorruptException">A tile is missing or has the wrong length.</exception>
    public ValueTask<TreeHash> LeafAsync(long index, CancellationToken cancellationToken) => SubtreeAsync(index, 0, cancellationToken);

    /// <summary>The inclusion proof of an entry in the tree of this size (RFC 6962, section 2.1.1).</summary>
    /// <exception cref="LedgerCorruptException">A tile is missing or has the wrong length.</exception>
    public async Task<IReadOnlyList<TreeHash>> InclusionAsync(long index, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, _size);
        var path = new List<TreeHash>();
        (long from, long to) = (0, _size);
        while (to - from > 1)
        {
            long middle = from + Split(to - from);
            (long siblingFrom, long siblingTo) = index < middle ? (middle, to) : (from, middle);
            path.Add(await RangeAsync(siblingFrom, siblingTo, cancellationToken).ConfigureAwait(false));
            (from, to) = index < middle ? (from, middle) : (middle, to);
        }

        path.Reverse();
        return path;
    }

    /// <summary>The proof that this tree continues its own state at an earlier size (RFC 6962, section 2.1.2).</summary>
    /// <exception cref="LedgerCorruptException">A tile is missing or has the wrong length.</exception>
    public async Task<IReadOnlyList<TreeHash>> ConsistencyAsync(long oldSize, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(oldSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(oldSize, _size);
        if (oldSize == 0)
        {
            return [];
        }

        var path = new List<TreeHash>();
        (long from, long to) = (0, _size);
        while (oldSize != to)
        {
            long middle = from + Split(to - from);
            (long siblingFrom, long siblingTo) = oldSize <= middle ? (middle, to) : (from, middle);
            path.Add(await RangeAsync(siblingFrom, siblingTo, cancellationToken).ConfigureAwait(false));
            (from, to) = oldSize <= middle ? (from, middle) : (middle, to);
        }

        if (from != 0)
        {
            path.Add(await RangeAsync(from, to, cancellationToken).ConfigureAwait(false));
        }

        path.Reverse();
        return path;
    }

    /// <summary>Largest power of two below a count of at least two.</summary>
    private static long Split(long count) => 1L << (63 - BitOperations.LeadingZeroCount((ulong)(count - 1)));

    /// <summary>Root of a range that begins at a multiple of the power of two which covers it.</summary>
    private async ValueTask<TreeHash> RangeAsync(long from, long to, CancellationToken cancellationToken)
    {
        var roots = new List<TreeHash>();
        for (long at = from; at < to;)
        {
            int height = 63 - BitOperations.LeadingZeroCount((ulong)(to - at));
            roots.Add(await SubtreeAsync(at, height, cancellationToken).ConfigureAwait(false));
            at += 1L << height;
        }

        TreeHash root = roots[^1];
        for (int index = roots.Count - 2; index >= 0; index--)
        {
            root = TreeHash.OfNode(roots[index], root);
        }

        return root;
    }

    /// <summary>Root of the full subtree of 2^height entries that begins at an index.</summary>
    private async ValueTask<TreeHash> SubtreeAsync(long start, int height, CancellationToken cancellationToken)
    {
        int level = height / LevelHeight;
        long node = start >> (level * LevelHeight);
        TreeHash[] tile = await TileAsync(level, node / TilePath.Width, cancellationToken).ConfigureAwait(false);
        int count = 1 << (height % LevelHeight);
        int at = (int)(node % TilePath.Width);
        return at + count <= tile.Length
            ? RootOf(tile.AsSpan(at, count))
            : throw new LedgerCorruptException($"The tile {TilePath.OfTile(level, node / TilePath.Width)} is too short.", "tlog", start, null, null);
    }

    /// <summary>Root of hashes whose number is a power of two.</summary>
    internal static TreeHash RootOf(ReadOnlySpan<TreeHash> hashes) => hashes.Length == 1
        ? hashes[0]
        : TreeHash.OfNode(RootOf(hashes[..(hashes.Length / 2)]), RootOf(hashes[(hashes.Length / 2)..]));

    private async ValueTask<TreeHash[]> TileAsync(int level, long index, CancellationToken cancellationToken)
    {
        if (_tiles.TryGetValue((level, index), out TreeHash[]? known))
        {
            return known;
        }

        long nodes = _size >> (level * LevelHeight);
        int width = (int)Math.Min(TilePath.Width, nodes - (index * TilePath.Width));

        // The partial tile may have given way to the full one since.
        byte[] bytes = await _store.TryReadAsync(TilePath.OfTile(level, index, width), MaxTileBytes, cancellationToken).ConfigureAwait(false)
            ?? (width < TilePath.Width
                ? await _store.TryReadAsync(TilePath.OfTile(level, index), MaxTileBytes, cancellationToken).ConfigureAwait(false)
                : null)
            ?? throw new LedgerCorruptException($"The tile {TilePath.OfTile(level, index, width)} is missing.", "tlog", -1, null, null);
        if (bytes.Length < width * TreeHash.Bytes)
        {
            throw new LedgerCorruptException($"The tile {TilePath.OfTile(level, index, width)} is too short.", "tlog", -1, null, null);
        }

        var tile = new TreeHash[width];
        for (int at = 0; at < width; at++)
        {
            tile[at] = new TreeHash(bytes.AsSpan(at * TreeHash.Bytes, TreeHash.Bytes));
        }

        if (_tiles.Count >= 64)
        {
            _tiles.Clear(); // A proof needs a dozen; the bound is for callers who make many.
        }

        _tiles.Add((level, index), tile);
        return tile;
    }
}
