namespace Rynxs.Ledger.Verifier;

/// <summary>
/// Where the verifier reads a ledger from. Files are built in (<see cref="FileLedgerSource"/>); SQLite and S3 come from
/// Rynxs.Ledger.Stores, which hands over bytes and nothing that was interpreted.
/// </summary>
public abstract class LedgerSource
{
    /// <summary>Name for messages: a path or a URL.</summary>
    public abstract string Name { get; }

    /// <summary>The chains, in ordinal order of their names.</summary>
    public abstract Task<IReadOnlyList<ChainSource>> ListChainsAsync(CancellationToken cancellationToken);
}

/// <summary>One chain of a source.</summary>
public abstract class ChainSource
{
    /// <summary><c>control</c> or <c>agents/NS/NAME</c>; the file's name for a lone file.</summary>
    public abstract string Chain { get; }

    /// <summary>Where it lies, for messages.</summary>
    public abstract string Location { get; }

    /// <summary>What the store says of a beginning that is in an archive; null when the chain is to begin with sequence 0.</summary>
    public virtual Task<PrunedBeginning?> ReadPrunedAsync(CancellationToken cancellationToken) => Task.FromResult<PrunedBeginning?>(null);

    /// <summary>Its parts in order. A store without segments gives one.</summary>
    public abstract Task<IReadOnlyList<SegmentSource>> ListSegmentsAsync(CancellationToken cancellationToken);

    /// <summary>Its side-blob files (lines as in the format), in any order.</summary>
    public abstract Task<IReadOnlyList<SegmentSource>> ListBlobFilesAsync(CancellationToken cancellationToken);

    /// <summary>A blob of its Merkle tree by its tlog-tiles path (<c>checkpoint</c>, <c>tile/0/000</c>), or null when there is none.</summary>
    /// <param name="path">Relative path.</param>
    /// <param name="maxBytes">Of a longer blob, this many bytes and one more are given, so that it shows.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public abstract ValueTask<byte[]?> TryReadTreeAsync(string path, int maxBytes, CancellationToken cancellationToken);
}

/// <summary>A part of a chain: a sequence of lines.</summary>
/// <param name="Name">Path or key, for messages.</param>
/// <param name="FirstSeq">Sequence that the name says it begins with; null when the name says nothing.</param>
/// <param name="OpenAsync">Opens its bytes for one reading from the start. The verifier disposes the stream.</param>
public sealed record SegmentSource(string Name, long? FirstSeq, Func<CancellationToken, Task<Stream>> OpenAsync);

/// <summary>A beginning of a chain that is elsewhere.</summary>
/// <param name="BeforeSeq">First sequence that is here.</param>
/// <param name="HeadHash">Hash that the first record here must name.</param>
public sealed record PrunedBeginning(long BeforeSeq, string HeadHash);
