namespace Rynxs.Ledger.Files;

/// <summary>A ledger in a directory of files: one writer, many readers. Format and recovery: docs/formats/ledger.md.</summary>
/// <remarks>
/// Readers of other processes (verifier, <c>ledger cat</c>) take no lock. Dispose finishes what was queued, closes every chain and
/// releases the lock.
/// </remarks>
public sealed class FileLedger : ILedger
{
    private readonly FileLedgerOptions _options;
    private readonly LedgerLock _lock;
    private readonly SemaphoreSlim _opening = new(1);
    private readonly Dictionary<ChainId, FileChain> _chains = [];
    private long _mirrorFailuresOfClosed;
    private bool _disposed;

    private FileLedger(FileLedgerOptions options, LedgerLock ledgerLock) => (_options, _lock) = (options, ledgerLock);

    /// <summary>Commits whose copy to a mirror file failed since this ledger was opened. The records themselves are in the chain.</summary>
    public long MirrorFailures
    {
        get
        {
            lock (_chains)
            {
                return _mirrorFailuresOfClosed + _chains.Values.Sum(chain => chain.MirrorFailures);
            }
        }
    }

    /// <summary>Opens a ledger for writing.</summary>
    /// <exception cref="LedgerLockedException">Another writer has it open.</exception>
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
    public async ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(id);
        ArgumentNullException.ThrowIfNull(options);
        await _opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (Opened(id) is { } open)
            {
                if (!open.HasFailed)
                {
                    ThrowIfOtherMirror(open, options);
                    return open;
                }

                // A chain that failed is opened again from what is on disk: the only way on after a failed sync.
                Forget(open);
                await open.DisposeAsync().ConfigureAwait(false);
            }

            FileChain chain = await FileChain.OpenAsync(id, options, _options, cancellationToken).ConfigureAwait(false);
            lock (_chains)
            {
                _chains.Add(id, chain);
            }

            return chain;
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChainId> ListChains()
    {
        var chains = new List<ChainId>();
        string agents = Path.Combine(_options.Directory, "agents");
        if (Directory.Exists(agents))
        {
            foreach (string agentNamespace in Directory.EnumerateDirectories(agents))
            {
                chains.AddRange(Directory.EnumerateDirectories(agentNamespace)
                    .Select(path => ChainId.TryAgent(Path.GetFileName(agentNamespace), Path.GetFileName(path)))
                    .OfType<ChainId>());
            }
        }

        if (Directory.Exists(Path.Combine(_options.Directory, ChainId.Control.RelativePath)))
        {
            chains.Add(ChainId.Control);
        }

        return [.. chains.OrderBy(chain => chain.RelativePath, StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _opening.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            foreach (FileChain chain in _chains.Values)
            {
                await chain.DisposeAsync().ConfigureAwait(false);
            }

            _lock.Dispose();
        }
        finally
        {
            _opening.Release();
        }
    }

    private static FileLedger Open(FileLedgerOptions options)
    {
        try
        {
            LedgerFile.CreateDirectory(options.Directory);
            return new FileLedger(options, LedgerLock.Take(options.Directory));
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The ledger {options.Directory} cannot be opened: {exception.Message}", exception);
        }
    }

    private static void ThrowIfOtherMirror(FileChain open, ChainOptions options)
    {
        if (options.MirrorPath is not null && options.MirrorPath != open.MirrorPath)
        {
            throw new ArgumentException($"The chain {open.Id} is open with another mirror ({open.MirrorPath ?? "none"}).", nameof(options));
        }
    }

    private FileChain? Opened(ChainId id)
    {
        lock (_chains)
        {
            return _chains.GetValueOrDefault(id);
        }
    }

    private void Forget(FileChain chain)
    {
        lock (_chains)
        {
            _chains.Remove(chain.Id);
            _mirrorFailuresOfClosed += chain.MirrorFailures;
        }
    }
}
