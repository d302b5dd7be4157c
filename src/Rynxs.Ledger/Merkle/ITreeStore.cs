namespace Rynxs.Ledger.Merkle;

/// <summary>
/// Where the tree of one chain lies: small blobs by path, as C2SP tlog-tiles names them (<c>checkpoint</c>, <c>tile/0/x001/067</c>,
/// <c>tile/0/000.p/17</c>, <c>tile/entries/000</c>). Files implement it here; SQLite and S3 in Rynxs.Ledger.Stores.
/// </summary>
/// <remarks>
/// All of it can be computed from the chain again. Paths come from <see cref="TilePath"/> alone: relative, ASCII, without <c>..</c>.
/// One writer; any number of readers.
/// </remarks>
public interface ITreeStore
{
    /// <summary>The blob at a path, or null when there is none.</summary>
    /// <param name="path">Relative path.</param>
    /// <param name="maxBytes">More than this is never read: a longer blob is a <see cref="LedgerCorruptException"/>.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    ValueTask<byte[]?> TryReadAsync(string path, int maxBytes, CancellationToken cancellationToken);

    /// <summary>Writes blobs, replacing what is there. All are durable when it returns, and each is whole or absent at any moment.</summary>
    /// <exception cref="LedgerUnavailableException">Some may not be durable.</exception>
    ValueTask WriteAsync(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken);

    /// <summary>Removes the partial tiles <c>PATH.p/*</c> of a tile that is full now. Need not be durable, nor succeed for those that are not there.</summary>
    ValueTask DeletePartialsAsync(string path, CancellationToken cancellationToken);
}

/// <summary>One blob of a tree.</summary>
/// <param name="Path">Relative path.</param>
/// <param name="Content">Its bytes; at most 64 KiB.</param>
public sealed record TreeBlob(string Path, ReadOnlyMemory<byte> Content);
