namespace Rynxs.Ledger.Chains;

/// <summary>The open chains of one ledger: the same instance for the same id, opened again after a failure, closed together.</summary>
internal sealed class ChainSet(Func<ChainId, ChainOptions, CancellationToken, Task<LedgerChain>> open) : IAsyncDisposable
{
    private readonly SemaphoreSlim _opening = new(1);
    private readonly Dictionary<ChainId, LedgerChain> _chains = [];
    private long _mirrorFailuresOfClosed;
    private bool _disposed;

    /// <summary>Commits whose copy to a mirror failed.</summary>
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

    /// <summary>The chains that are open.</summary>
    public IReadOnlyList<ChainId> Ids
    {
        get
        {
            lock (_chains)
            {
                return [.. _chains.Keys];
            }
        }
    }

    /// <inheritdoc cref="ILedger.OpenAsync"/>
    public async ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(id);
        ArgumentNullException.ThrowIfNull(options);
        await _opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (Opened(id) is { } opened)
            {
                if (!opened.HasFailed)
                {
                    ThrowIfOtherMirror(opened, options);
                    return opened;
                }

                if (opened.IsFenced)
                {
                    // Opening it again would take it back from the writer that has it now, who would take it back in turn.
                    throw new LedgerFencedException($"Another writer has the chain {id}. Open the ledger again only when this process is to lead again.");
                }

                // A chain that failed is opened again from what is stored: the only way on after a failed sync.
                Forget(opened);
                await opened.DisposeAsync().ConfigureAwait(false);
            }

            LedgerChain chain = await open(id, options, cancellationToken).ConfigureAwait(false);
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
            foreach (LedgerChain chain in _chains.Values)
            {
                await chain.DisposeAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            _opening.Release();
        }
    }

    private static void ThrowIfOtherMirror(LedgerChain open, ChainOptions options)
    {
        if (options.MirrorPath is not null && options.MirrorPath != open.MirrorPath)
        {
            throw new ArgumentException($"The chain {open.Id} is open with another mirror ({open.MirrorPath ?? "none"}).", nameof(options));
        }
    }

    private LedgerChain? Opened(ChainId id)
    {
        lock (_chains)
        {
            return _chains.GetValueOrDefault(id);
        }
    }

    private void Forget(LedgerChain chain)
    {
        lock (_chains)
        {
            _chains.Remove(chain.Id);
            _mirrorFailuresOfClosed += chain.MirrorFailures;
        }
    }
}
