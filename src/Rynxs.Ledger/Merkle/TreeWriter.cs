using System.Buffers.Binary;

namespace Rynxs.Ledger.Merkle;

/// <summary>
/// Grows the tree of one chain and writes its tiles. Memory holds the unfinished tile of each level and what waits to be written, whatever
/// the size of the tree.
/// </summary>
/// <remarks>
/// An entry is the 32 bytes of a record's <c>event_hash</c>: anyone computes it from the line alone, it fits the 16-bit lengths of an entry
/// bundle, and erasing a side blob changes nothing. One caller at a time.
/// </remarks>
public sealed class TreeWriter
{
    /// <summary>Length of an entry: 32.</summary>
    public const int EntryBytes = 32;

    private const int LevelHeight = 8;
    private const int MaxWaiting = 256;

    private readonly ITreeStore _store;
    private readonly List<List<TreeHash>> _levels = [[]];
    private readonly List<TreeBlob> _waiting = [];
    private readonly List<string> _finished = [];
    private readonly byte[] _bundle = new byte[TilePath.Width * (2 + EntryBytes)];
    private int _bundled;

    private TreeWriter(ITreeStore store, MerkleFrontier frontier) => (_store, Frontier) = (store, frontier);

    /// <summary>The right edge.</summary>
    public MerkleFrontier Frontier { get; }

    /// <summary>Number of entries.</summary>
    public long Size => Frontier.Size;

    /// <summary>Begins an empty tree.</summary>
    public static TreeWriter Begin(ITreeStore store) => new(store, new MerkleFrontier());

    /// <summary>Continues a stored tree at the size of its last checkpoint.</summary>
    /// <returns>Null when its tiles are not there, or do not give the root: then it is built from the chain again.</returns>
    public static async Task<TreeWriter?> TryContinueAsync(ITreeStore store, long size, TreeHash root, CancellationToken cancellationToken)
    {
        try
        {
            var reader = new TileReader(store, size);
            MerkleFrontier frontier = await reader.FrontierAsync(size, cancellationToken).ConfigureAwait(false);
            var writer = new TreeWriter(store, frontier);
            return frontier.Root() == root && await writer.ReadEdgeAsync(cancellationToken).ConfigureAwait(false) ? writer : null;
        }
        catch (LedgerCorruptException)
        {
            return null;
        }
    }

    /// <summary>Adds the entry of a record.</summary>
    /// <param name="eventHash">64 hexadecimal digits.</param>
    /// <param name="cancellationToken">Ends the writing of tiles that are full.</param>
    public async ValueTask AppendAsync(string eventHash, CancellationToken cancellationToken)
    {
        byte[] entry = Convert.FromHexString(eventHash);
        if (entry.Length != EntryBytes)
        {
            throw new ArgumentException($"An entry has {EntryBytes} bytes, not {entry.Length}.", nameof(eventHash));
        }

        Span<byte> bundled = _bundle.AsSpan(_bundled * (2 + EntryBytes));
        BinaryPrimitives.WriteUInt16BigEndian(bundled, EntryBytes);
        entry.CopyTo(bundled[2..]);
        _bundled++;
        TreeHash leaf = TreeHash.OfEntry(entry);
        Frontier.Append(leaf);
        Add(leaf, 0);
        if (_waiting.Count >= MaxWaiting)
        {
            await WriteWaitingAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Makes all tiles of the tree as it is now durable, the unfinished ones too.</summary>
    /// <exception cref="LedgerUnavailableException">They are not.</exception>
    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        for (int level = 0; level < _levels.Count; level++)
        {
            if (_levels[level].Count > 0)
            {
                _waiting.Add(new TreeBlob(TilePath.OfTile(level, Size >> ((level + 1) * LevelHeight), _levels[level].Count), Bytes(_levels[level])));
            }
        }

        if (_bundled > 0)
        {
            _waiting.Add(new TreeBlob(TilePath.OfEntries(Size / TilePath.Width, _bundled), _bundle.AsSpan(0, _bundled * (2 + EntryBytes)).ToArray()));
        }

        await WriteWaitingAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Removes the unfinished tiles whose full ones are durable. To be called once a checkpoint that needs the full ones is published.</summary>
    public async Task DropPartialsAsync(CancellationToken cancellationToken)
    {
        foreach (string path in _finished)
        {
            await _store.DeletePartialsAsync(path, cancellationToken).ConfigureAwait(false);
        }

        _finished.Clear();
    }

    private void Add(TreeHash hash, int level)
    {
        List<TreeHash> tile = _levels[level];
        tile.Add(hash);
        if (tile.Count < TilePath.Width)
        {
            return;
        }

        long index = (Size >> ((level + 1) * LevelHeight)) - 1;
        Finish(TilePath.OfTile(level, index), Bytes(tile));
        if (level == 0)
        {
            Finish(TilePath.OfEntries(index), _bundle.ToArray());
            _bundled = 0;
        }

        TreeHash root = TileReader.RootOf(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tile));
        tile.Clear();
        if (_levels.Count == level + 1)
        {
            _levels.Add([]);
        }

        Add(root, level + 1);
    }

    private void Finish(string path, byte[] content)
    {
        _waiting.Add(new TreeBlob(path, content));
        _finished.Add(path);
    }

    private async Task WriteWaitingAsync(CancellationToken cancellationToken)
    {
        if (_waiting.Count > 0)
        {
            await _store.WriteAsync(_waiting, cancellationToken).ConfigureAwait(false);
            _waiting.Clear();
        }
    }

    private async Task<bool> ReadEdgeAsync(CancellationToken cancellationToken)
    {
        for (int level = 0; Size >> (level * LevelHeight) > 0; level++)
        {
            if (_levels.Count == level)
            {
                _levels.Add([]);
            }

            int width = (int)((Size >> (level * LevelHeight)) % TilePath.Width);
            if (width == 0)
            {
                continue;
            }

            string path = TilePath.OfTile(level, Size >> ((level + 1) * LevelHeight), width);
            byte[]? bytes = await _store.TryReadAsync(path, TilePath.Width * TreeHash.Bytes, cancellationToken).ConfigureAwait(false);
            if (bytes is null || bytes.Length != width * TreeHash.Bytes)
            {
                return false;
            }

            for (int at = 0; at < width; at++)
            {
                _levels[level].Add(new TreeHash(bytes.AsSpan(at * TreeHash.Bytes, TreeHash.Bytes)));
            }
        }

        _bundled = (int)(Size % TilePath.Width);
        if (_bundled == 0)
        {
            return true;
        }

        byte[]? bundle = await _store.TryReadAsync(TilePath.OfEntries(Size / TilePath.Width, _bundled), _bundle.Length, cancellationToken)
            .ConfigureAwait(false);
        if (bundle is null || bundle.Length != _bundled * (2 + EntryBytes))
        {
            return false;
        }

        bundle.CopyTo(_bundle, 0);
        return true;
    }

    private static byte[] Bytes(List<TreeHash> tile)
    {
        byte[] bytes = new byte[tile.Count * TreeHash.Bytes];
        for (int at = 0; at < tile.Count; at++)
        {
            tile[at].CopyTo(bytes.AsSpan(at * TreeHash.Bytes));
        }

        return bytes;
    }
}
