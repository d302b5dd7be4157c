using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Files;

/// <summary>A ledger in a directory of files: one writer, many readers. Format and recovery: docs/formats/ledger.md.</summary>
/// <remarks>
/// Readers of other processes (verifier, <c>ledger cat</c>) take no lock. Dispose finishes what was queued, closes every chain and
/// releases the lock.
/// </remarks>
public sealed class FileLedger : ILedger, ITreeHost
{
    private readonly FileLedgerOptions _options;
    private readonly LedgerLock _lock;
    private readonly ChainSet _chains;

    private FileLedger(FileLedgerOptions options, LedgerLock ledgerLock)
    {
        (_options, _lock) = (options, ledgerLock);
        _chains = new ChainSet(OpenChainAsync);
    }

    /// <summary>The root.</summary>
    internal string Directory => _options.Directory;

    /// <summary>Commits whose copy to a mirror file failed since this ledger was opened. The records themselves are in the chain.</summary>
    public long MirrorFailures => _chains.MirrorFailures;

    /// <summary>Opens a ledger for writing.</summary>
    /// <exception cref="LedgerLockedException">Another writer has it open, and <see cref="FileLedgerOptions.TakeOver"/> is not set.</exception>
    /// <exception cref="LedgerUnavailableException">The directory cannot be created, read or written.</exception>
    public static Task<FileLedger> OpenAsync(FileLedgerOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Directory);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SegmentBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.QueueCapacity, 1);
        return Task.Run(() => Open(options with { Directory = Path.GetFullPath(options.Directory) }), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken) =>
        _chains.OpenAsync(id, options, cancellationToken);

    /// <inheritdoc/>
    public IReadOnlyList<ChainId> ListChains() => ListChains(_options.Directory);

    /// <inheritdoc/>
    public ITreeStore TreeOf(ChainId id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return new FileTreeStore(Path.Combine(_options.Directory, id.RelativePath));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _chains.DisposeAsync().ConfigureAwait(false);
        _lock.Dispose();
    }

    /// <summary>The chains below a directory, in ordinal order of their paths.</summary>
    internal static IReadOnlyList<ChainId> ListChains(string directory)
    {
        var chains = new List<ChainId>();
        string agents = Path.Combine(directory, "agents");
        if (System.IO.Directory.Exists(agents))
        {
            foreach (string agentNamespace in System.IO.Directory.EnumerateDirectories(agents))
            {
                chains.AddRange(System.IO.Directory.EnumerateDirectories(agentNamespace)
                    .Select(path => ChainId.TryAgent(Path.GetFileName(agentNamespace), Path.GetFileName(path)))
                    .OfType<ChainId>());
            }
        }

        if (System.IO.Directory.Exists(Path.Combine(directory, ChainId.Control.RelativePath)))
        {
            chains.Add(ChainId.Control);
        }

        return [.. chains.OrderBy(chain => chain.RelativePath, StringComparer.Ordinal)];
    }

    /// <summary>A chain's store without the engine, and without the record of an opening: for copying.</summary>
    internal Task<(FileChainStore Store, FoundChain Found)> OpenStoreAsync(ChainId id, CancellationToken cancellationToken) =>
        Task.Run(() => FileChainStore.Open(id, _options, _lock, cancellationToken), cancellationToken);

    private async Task<LedgerChain> OpenChainAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        (FileChainStore store, FoundChain found) = await OpenStoreAsync(id, cancellationToken).ConfigureAwait(false);
        return await LedgerChain.OpenAsync(
            id, options, new ChainSettings(_options.TimeProvider, _options.WriterId, _options.QueueCapacity), store, found).ConfigureAwait(false);
    }

    private static FileLedger Open(FileLedgerOptions options)
    {
        try
        {
            LedgerFile.CreateDirectory(options.Directory);
            LedgerLock ledgerLock = LedgerLock.Take(options.Directory, options.TakeOver);
            try
            {
                if (ledgerLock.TakeOverUnfinished)
                {
                    Detach(options.Directory);
                    ledgerLock.FinishTakeOver();
                }
            }
            catch
            {
                ledgerLock.Dispose();
                throw;
            }

            return new FileLedger(options, ledgerLock);
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The ledger {options.Directory} cannot be opened: {exception.Message}", exception);
        }
    }

    /// <summary>
    /// The files that the old writer may still append to get new inodes: the last segment and the last blobs of each chain. What it had
    /// acknowledged is in them, because it asks for its lock after each sync.
    /// </summary>
    private static void Detach(string directory)
    {
        foreach (ChainId id in ListChains(directory))
        {
            string chain = Path.Combine(directory, id.RelativePath);
            foreach (string? path in new[]
            {
                SegmentName.List(chain) is [.., var last] ? last.Path : null,

                // An empty segment may stand behind the one that the old holder writes to.
                SegmentName.ListHolding(chain) is [.., var holding] ? holding.Path : null,
                System.IO.Directory.EnumerateFiles(chain, "blobs-*.jsonl").Order(StringComparer.Ordinal).LastOrDefault(),
            })
            {
                if (path is not null)
                {
                    LedgerFile.Detach(path);
                }
            }
        }
    }
}
