using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>
/// A ledger in an S3 bucket. There is no lock: opening a chain begins a new epoch, and that fences whoever had it. Leadership is decided
/// elsewhere (a Lease); the conditional write makes sure that a wrong decision cannot fork the chain.
/// </summary>
public sealed class S3Ledger : ILedger, ITreeHost
{
    private const int OpeningAttempts = 10;

    private readonly S3Client _client;
    private readonly S3LedgerOptions _options;
    private readonly bool _comparesAndSwaps;
    private readonly bool _writesHead;
    private readonly IReadOnlyList<ChainId> _found;
    private readonly ChainSet _chains;

    private S3Ledger(S3Client client, S3LedgerOptions options, bool comparesAndSwaps, IReadOnlyList<ChainId> found)
    {
        (_client, _options, _comparesAndSwaps, _found) = (client, options, comparesAndSwaps, found);
        _writesHead = comparesAndSwaps && options.HeadCache != S3HeadCache.Off;
        _chains = new ChainSet(OpenChainAsync);
    }

    /// <summary>As it was opened.</summary>
    internal S3LedgerOptions Options => _options;

    /// <summary>Commits whose copy to a mirror file failed since this ledger was opened.</summary>
    public long MirrorFailures => _chains.MirrorFailures;

    /// <summary>Probes the bucket and opens the ledger in it.</summary>
    /// <exception cref="S3BucketRefusedException">The bucket lacks what the ledger rests on; the exception names it.</exception>
    /// <exception cref="LedgerUnavailableException">The bucket cannot be reached.</exception>
    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    public static async Task<S3Ledger> OpenAsync(S3LedgerOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var client = new S3Client(options);
        try
        {
            S3ProbeReport report = await new S3Probe(client, options).RunAsync(thorough: false, cancellationToken).ConfigureAwait(false);
            report.ThrowIfUnfit(options.Bucket);
            IReadOnlyList<ChainId> found = await S3Chains.ListAsync(client, options, cancellationToken).ConfigureAwait(false);
            return new S3Ledger(client, options, report.ComparesAndSwaps, found);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>Finds out what a bucket can do, with a few small objects that are removed again where that is allowed.</summary>
    /// <exception cref="LedgerUnavailableException">The bucket cannot be reached.</exception>
    public static async Task<S3ProbeReport> ProbeAsync(S3LedgerOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        using var client = new S3Client(options);
        return await new S3Probe(client, options).RunAsync(thorough: true, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken) =>
        _chains.OpenAsync(id, options, cancellationToken);

    /// <summary>The chains that were there when the ledger was opened, and those that were opened since, in ordinal order of their paths.</summary>
    public IReadOnlyList<ChainId> ListChains() =>
        [.. _found.Union(_chains.Ids).OrderBy(chain => chain.RelativePath, StringComparer.Ordinal)];

    /// <inheritdoc/>
    public ITreeStore TreeOf(ChainId id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return new S3TreeStore(_client, _options, new S3Keys(_options.Prefix, id), _comparesAndSwaps);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _chains.DisposeAsync().ConfigureAwait(false);
        _client.Dispose();
    }

    /// <summary>A chain's store without the engine, and without the record of an opening: for copying.</summary>
    internal Task<(S3ChainStore Store, FoundChain Found)> OpenStoreAsync(ChainId id, CancellationToken cancellationToken) =>
        S3ChainStore.OpenAsync(_client, _options, id, _writesHead, cancellationToken);

    private async Task<LedgerChain> OpenChainAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        var settings = new ChainSettings(_options.TimeProvider, _options.WriterId, _options.QueueCapacity);
        for (int attempt = 1; ; attempt++)
        {
            (S3ChainStore store, FoundChain found) = await OpenStoreAsync(id, cancellationToken).ConfigureAwait(false);
            try
            {
                return await LedgerChain.OpenAsync(id, options, settings, store, found).ConfigureAwait(false);
            }
            catch (LedgerFencedException) when (attempt < OpeningAttempts)
            {
                // The old writer, or another one that is opening, won the key between reading the end and writing behind it.
            }
        }
    }
}
