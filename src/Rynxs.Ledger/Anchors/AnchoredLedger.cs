namespace Rynxs.Ledger.Anchors;

/// <summary>A ledger that remembers which chains were opened through it, so that they can be anchored. Everything else is the inner ledger's.</summary>
/// <remarks>Dispose closes the inner ledger.</remarks>
public sealed class AnchoredLedger(ILedger inner) : ILedger
{
    private readonly Dictionary<ChainId, ILedgerChain> _opened = [];

    /// <summary>The chains that were opened, in ordinal order of their paths; of one that was opened again, the newest instance.</summary>
    public IReadOnlyList<ILedgerChain> Opened
    {
        get
        {
            lock (_opened)
            {
                return [.. _opened.Values.OrderBy(chain => chain.Id.RelativePath, StringComparer.Ordinal)];
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        ILedgerChain chain = await inner.OpenAsync(id, options, cancellationToken).ConfigureAwait(false);
        lock (_opened)
        {
            _opened[id] = chain;
        }

        return chain;
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChainId> ListChains() => inner.ListChains();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
