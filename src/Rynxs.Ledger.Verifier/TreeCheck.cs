namespace Rynxs.Ledger.Verifier;

/// <summary>What a chain must be at a size, by someone's word.</summary>
/// <param name="Size">Number of records.</param>
/// <param name="Root">Root of the tree over them; null when only the head is known.</param>
/// <param name="HeadHash">Hash of the last of them; null when only the root is known.</param>
/// <param name="Kind">Whose word it is.</param>
/// <param name="Source">For messages: a file, or a record.</param>
internal sealed record Mark(long Size, NodeHash? Root, string? HeadHash, MarkKind Kind, string Source);

/// <summary>Whose word a mark is.</summary>
internal enum MarkKind
{
    /// <summary>The checkpoint that lies with the chain.</summary>
    Stored,

    /// <summary>An anchor on the control chain.</summary>
    Anchor,

    /// <summary>A checkpoint that the auditor kept or got elsewhere.</summary>
    Kept,
}

/// <summary>
/// What is compared while a chain is walked: the tree of its records with tiles, checkpoints and anchors. Blocks prepare their part side by
/// side (<see cref="PrepareAsync"/>); the parts are joined in order (<see cref="JoinAsync"/>).
/// </summary>
internal sealed class TreeCheck
{
    private const int TileHashes = 256;
    private const int TileHeight = 8;

    private readonly ChainSource _source;
    private readonly Mark[] _marks;
    private readonly bool _wantsTree;
    private readonly long _tiledSize;
    private readonly TreeEdge _edge = new();
    private readonly List<List<NodeHash>> _levels = [];
    private readonly List<(int Level, long Index, byte[] Hashes)> _due = [];
    private int _next;

    private TreeCheck(ChainSource source, IEnumerable<Mark> marks, long tiledSize)
    {
        _source = source;
        _marks = [.. marks.OrderBy(mark => mark.Size)];
        _tiledSize = tiledSize;
        _wantsTree = tiledSize > 0 || _marks.Any(mark => mark.Root is not null);
        while (_next < _marks.Length && _marks[_next].Size == 0)
        {
            Failure ??= _marks[_next].Root is { } root && !root.Is(NodeHash.Empty()) ? Mismatch(_marks[_next], NodeHash.Empty()) : null;
            _next++;
        }
    }

    /// <summary>The first mark or tile that does not agree.</summary>
    public BlockDefect? Failure { get; private set; }

    /// <summary>Sequence that the failure is about.</summary>
    public long FailureSeq { get; private set; } = -1;

    /// <summary>Tiles and bundles that were compared.</summary>
    public long TilesChecked => _tilesChecked;

    private long _tilesChecked;

    /// <summary>Prepares the check of a chain.</summary>
    /// <param name="source">The chain.</param>
    /// <param name="marks">What it must be at some sizes.</param>
    /// <param name="tiledSize">Size of the stored checkpoint, for which its tiles must be there; 0 to check none.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public static async Task<TreeCheck?> CreateAsync(ChainSource source, IReadOnlyList<Mark> marks, long tiledSize, CancellationToken cancellationToken)
    {
        // Records may be handed over without their tiles; then the tree is computed from the records alone.
        bool tiled = tiledSize > 0 && await HasTilesAsync(source, tiledSize, cancellationToken);
        return marks.Count > 0 || tiled ? new TreeCheck(source, marks, tiled ? tiledSize : 0) : null;
    }

    /// <summary>Any of the first and last is enough to expect them all.</summary>
    private static async Task<bool> HasTilesAsync(ChainSource source, long size, CancellationToken cancellationToken)
    {
        foreach (string kind in new[] { "tile/0/", "tile/entries/" })
        {
            foreach (long index in new[] { 0, (size - 1) / TileHashes })
            {
                if (await ReadTileAsync(source, kind, index, size, NodeHash.Length + 2, cancellationToken) is not null)
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>
    /// Takes the tree over records that are in an archive from its own tiles: what is said of the whole tree afterwards holds them to the
    /// signed root.
    /// </summary>
    public async Task SeedAsync(long before, CancellationToken cancellationToken)
    {
        for (long first = 0; _wantsTree && first < before; first += TileHashes)
        {
            int count = (int)Math.Min(TileHashes, before - first);
            byte[]? tile = await ReadTileAsync(_source, "tile/0/", first / TileHashes, Math.Max(_tiledSize, before), NodeHash.Length, cancellationToken);
            if (tile is null || tile.Length < count * NodeHash.Length)
            {
                Fail(new BlockDefect(0, FailureCodes.TileMissing, $"The tile/0 {first / TileHashes} of the Merkle tree, over records that were archived, is missing."), first);
                return;
            }

            var part = new TreePart();
            CutSubtrees(first, count, tile[..(count * NodeHash.Length)], part);
            await JoinAsync(part, cancellationToken);
        }

        while (!_wantsTree && _next < _marks.Length && _marks[_next].Size < before)
        {
            _next++; // A head inside the archive: the archive shows it.
        }
    }

    /// <summary>Computes the subtrees of a verified block and compares it with the tiles of its records.</summary>
    public async Task<TreePart> PrepareAsync(long firstSeq, int records, byte[] hashes, CancellationToken cancellationToken)
    {
        var part = new TreePart();
        foreach (Mark mark in _marks)
        {
            if (mark.Size > firstSeq && mark.Size <= firstSeq + records)
            {
                part.Heads.TryAdd(mark.Size, Convert.ToHexStringLower(hashes, (int)(mark.Size - 1 - firstSeq) * NodeHash.Length, NodeHash.Length));
            }
        }

        if (!_wantsTree)
        {
            return part;
        }

        byte[] leaves = new byte[records * NodeHash.Length];
        for (int index = 0; index < leaves.Length; index += NodeHash.Length)
        {
            NodeHash.Leaf(hashes.AsSpan(index, NodeHash.Length), leaves.AsSpan(index, NodeHash.Length));
        }

        part.Defect = await CompareTilesAsync(firstSeq, records, hashes, leaves, part, cancellationToken);
        CutSubtrees(firstSeq, records, leaves, part);
        return part;
    }

    /// <summary>Joins the part of the next block, in order.</summary>
    public async Task JoinAsync(TreePart part, CancellationToken cancellationToken)
    {
        if (part.Defect is { } defect)
        {
            Fail(defect.Defect, defect.Seq);
        }

        foreach (Subtree subtree in part.Subtrees)
        {
            _edge.Add(subtree, Completed);
            await CompareDueAsync(cancellationToken);
            if (_edge.Size == _tiledSize)
            {
                await ComparePartialsAsync(cancellationToken);
            }

            CompareMarks(part, _edge.Size);
        }

        if (!_wantsTree)
        {
            foreach (long size in part.Heads.Keys.Order())
            {
                CompareMarks(part, size);
            }
        }
    }

    /// <summary>After the last block: marks beyond the end show that records are missing.</summary>
    public void End(long records)
    {
        if (_next < _marks.Length)
        {
            Mark mark = _marks[^1]; // The largest says most.
            (string code, string message) = mark.Kind switch
            {
                MarkKind.Kept => (FailureCodes.RolledBack, $"The chain is shorter than {mark.Source}: an older state was put in its place, or its end was cut off."),
                MarkKind.Anchor => (FailureCodes.TailTruncated, $"The chain is shorter than {mark.Source} says: its end was cut off, or an older copy was put in its place."),
                _ => (FailureCodes.TailTruncated, $"The chain is shorter than its own signed checkpoint ({mark.Source}): its end was cut off."),
            };
            Fail(new BlockDefect(0, code, message, Number(mark.Size), Number(records)), records);
        }
    }

    private static string Number(long value) => value.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private void CutSubtrees(long firstSeq, int records, byte[] leaves, TreePart part)
    {
        // Cut at marks, so that the root at each is met; no higher than a tile, so that each hash of the tiles above is met.
        long[] cuts = [.. _marks.Select(mark => mark.Size).Append(_tiledSize).Append(firstSeq + records)
            .Where(size => size > firstSeq && size <= firstSeq + records).Distinct().Order()];
        long at = firstSeq;
        foreach (long cut in cuts)
        {
            while (at < cut)
            {
                int height = at == 0 ? TileHeight : Math.Min(TileHeight, System.Numerics.BitOperations.TrailingZeroCount(at));
                while (1L << height > cut - at)
                {
                    height--;
                }

                Span<byte> nodes = leaves.AsSpan((int)(at - firstSeq) * NodeHash.Length, (1 << height) * NodeHash.Length);
                for (int length = nodes.Length / 2; length >= NodeHash.Length; length /= 2)
                {
                    for (int node = 0; node < length; node += NodeHash.Length)
                    {
                        NodeHash.Parent(nodes.Slice(node * 2, 2 * NodeHash.Length), nodes.Slice(node, NodeHash.Length));
                    }
                }

                part.Subtrees.Add(new Subtree(height, NodeHash.From(nodes)));
                at += 1L << height;
            }
        }
    }

    private async Task<(BlockDefect, long)?> CompareTilesAsync(
        long firstSeq, int records, byte[] hashes, byte[] leaves, TreePart part, CancellationToken cancellationToken)
    {
        long end = Math.Min(firstSeq + records, _tiledSize);
        for (long at = firstSeq; at < end;)
        {
            long index = at / TileHashes;
            int count = (int)(Math.Min(end, (index + 1) * TileHashes) - at);
            int inTile = (int)(at % TileHashes);
            int inBlock = (int)(at - firstSeq) * NodeHash.Length;
            byte[]? tile = await ReadTileAsync(_source, "tile/0/", index, _tiledSize, NodeHash.Length, cancellationToken);
            if (Defect(tile, inTile * NodeHash.Length, leaves.AsSpan(inBlock, count * NodeHash.Length), $"tile/0 {index}") is { } wrong)
            {
                return (wrong, at);
            }

            byte[]? bundle = await ReadTileAsync(_source, "tile/entries/", index, _tiledSize, NodeHash.Length + 2, cancellationToken);
            byte[] entries = new byte[count * (NodeHash.Length + 2)];
            for (int entry = 0; entry < count; entry++)
            {
                entries[(entry * (NodeHash.Length + 2)) + 1] = NodeHash.Length; // Big-endian length.
                hashes.AsSpan(inBlock + (entry * NodeHash.Length), NodeHash.Length).CopyTo(entries.AsSpan((entry * (NodeHash.Length + 2)) + 2));
            }

            if (Defect(bundle, inTile * (NodeHash.Length + 2), entries, $"entry bundle {index}") is { } wrongBundle)
            {
                return (wrongBundle, at);
            }

            Interlocked.Add(ref _tilesChecked, 2);
            at += count;
        }

        return null;
    }

    private static BlockDefect? Defect(byte[]? tile, int offset, ReadOnlySpan<byte> expected, string name)
    {
        if (tile is null)
        {
            return new BlockDefect(0, FailureCodes.TileMissing, $"The {name} of the Merkle tree is missing.");
        }

        return tile.Length >= offset + expected.Length && tile.AsSpan(offset, expected.Length).SequenceEqual(expected)
            ? null
            : new BlockDefect(0, FailureCodes.TileMismatch, $"The {name} of the Merkle tree does not hold the hashes of the records.");
    }

    private void Completed(Subtree subtree)
    {
        // Hashes of the tiles of level 1 and above are roots of full tiles below.
        if (subtree.Height == 0 || subtree.Height % TileHeight != 0 || _tiledSize == 0)
        {
            return;
        }

        int level = subtree.Height / TileHeight;
        while (_levels.Count <= level)
        {
            _levels.Add([]);
        }

        List<NodeHash> tile = _levels[level];
        tile.Add(subtree.Hash);
        if (tile.Count == TileHashes)
        {
            _due.Add((level, (_edge.Size >> (TileHeight * (level + 1))) - 1, Bytes(tile)));
            tile.Clear();
        }
    }

    private async Task CompareDueAsync(CancellationToken cancellationToken)
    {
        foreach ((int level, long index, byte[] hashes) in _due)
        {
            if ((index + 1) << (TileHeight * (level + 1)) <= _tiledSize)
            {
                await CompareAsync(level, index, hashes, cancellationToken);
            }
        }

        _due.Clear();
    }

    private async Task ComparePartialsAsync(CancellationToken cancellationToken)
    {
        for (int level = 1; level < _levels.Count; level++)
        {
            if (_levels[level].Count > 0)
            {
                await CompareAsync(level, _tiledSize >> (TileHeight * (level + 1)), Bytes(_levels[level]), cancellationToken);
            }
        }
    }

    private async Task CompareAsync(int level, long index, byte[] hashes, CancellationToken cancellationToken)
    {
        string prefix = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"tile/{level}/");
        byte[]? tile = await ReadTileAsync(_source, prefix, index, _tiledSize >> (TileHeight * level), NodeHash.Length, cancellationToken);
        Interlocked.Increment(ref _tilesChecked);
        if (Defect(tile, 0, hashes, $"{prefix}{index}") is { } defect)
        {
            Fail(defect, index << (TileHeight * (level + 1)));
        }
    }

    private static byte[] Bytes(List<NodeHash> hashes)
    {
        byte[] bytes = new byte[hashes.Count * NodeHash.Length];
        for (int index = 0; index < hashes.Count; index++)
        {
            NodeHash hash = hashes[index];
            ((ReadOnlySpan<byte>)hash).CopyTo(bytes.AsSpan(index * NodeHash.Length));
        }

        return bytes;
    }

    private void CompareMarks(TreePart part, long size)
    {
        NodeHash? root = null;
        for (; _next < _marks.Length && _marks[_next].Size == size; _next++)
        {
            Mark mark = _marks[_next];
            if (mark.Root is { } expected && _wantsTree && !(root ??= _edge.Root()).Is(expected))
            {
                Fail(Mismatch(mark, root.Value), size - 1);
            }
            else if (mark.HeadHash is { } head && part.Heads.GetValueOrDefault(size) is { } actual && actual != head)
            {
                Fail(new BlockDefect(0, CodeOf(mark), $"The record is not the one that {mark.Source} names.", head, actual), size - 1);
            }
        }
    }

    private static BlockDefect Mismatch(Mark mark, NodeHash actual) => new(
        0, CodeOf(mark), $"The records up to here are not those that {mark.Source} was made over: history was written anew.",
        mark.Root?.ToBase64(), actual.ToBase64());

    private static string CodeOf(Mark mark) => mark.Kind switch
    {
        MarkKind.Kept => FailureCodes.SplitView,
        MarkKind.Anchor => FailureCodes.AnchorMismatch,
        _ => FailureCodes.CheckpointMismatch,
    };

    private void Fail(BlockDefect defect, long seq)
    {
        if (Failure is null)
        {
            (Failure, FailureSeq) = (defect, seq);
        }
    }

    /// <summary>A tile or bundle of the tree of a size: the partial one when it is partial, else the full one, which may have replaced it.</summary>
    private static async ValueTask<byte[]?> ReadTileAsync(
        ChainSource source, string prefix, long index, long nodes, int hashBytes, CancellationToken cancellationToken)
    {
        string path = prefix + TileIndex(index);
        long width = Math.Min(TileHashes, nodes - (index * TileHashes));
        byte[]? partial = width < TileHashes
            ? await source.TryReadTreeAsync(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{path}.p/{width}"), TileHashes * hashBytes, cancellationToken)
            : null;
        return partial ?? await source.TryReadTreeAsync(path, TileHashes * hashBytes, cancellationToken);
    }

    /// <summary>The index in groups of three digits, all but the last behind an <c>x</c>.</summary>
    private static string TileIndex(long index)
    {
        string digits = index.ToString("D3", System.Globalization.CultureInfo.InvariantCulture);
        digits = digits.PadLeft((digits.Length + 2) / 3 * 3, '0');
        var groups = new List<string>();
        for (int at = 0; at < digits.Length; at += 3)
        {
            groups.Add(string.Concat(at + 3 < digits.Length ? "x" : "", digits.AsSpan(at, 3)));
        }

        return string.Join('/', groups);
    }
}

/// <summary>What one block adds to the tree.</summary>
internal sealed class TreePart
{
    /// <summary>Its subtrees in order, cut at marks.</summary>
    public List<Subtree> Subtrees { get; } = [];

    /// <summary>Hash of the last record at each mark inside.</summary>
    public Dictionary<long, string> Heads { get; } = [];

    /// <summary>The first tile that does not agree with the records.</summary>
    public (BlockDefect Defect, long Seq)? Defect { get; set; }
}
