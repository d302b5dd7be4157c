namespace Rynxs.Ledger.Merkle;

/// <summary>A ledger that keeps the trees of its chains beside their records: files, SQLite and S3 do.</summary>
public interface ITreeHost
{
    /// <summary>The tree of a chain, whether or not anything is in it yet. Valid as long as the ledger is open.</summary>
    ITreeStore TreeOf(ChainId id);
}
