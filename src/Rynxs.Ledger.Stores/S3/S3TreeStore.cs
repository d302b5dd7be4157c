using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>
/// The tree of a chain as objects <c>PREFIX/CHAIN/tlog/PATH</c>: a bucket that is readable over HTTP serves it as C2SP tlog-tiles. Tiles are
/// plain objects, because writing one again gives the same bytes; the checkpoint is replaced only by who knows the one before it.
/// </summary>
/// <param name="client">For requests.</param>
/// <param name="options">Which bucket.</param>
/// <param name="keys">Which chain.</param>
/// <param name="comparesAndSwaps">
/// The bucket compares <c>If-Match</c>. Without it a publisher that was paused could put an older signed checkpoint back until the next is published.
/// </param>
internal sealed class S3TreeStore(S3Client client, S3LedgerOptions options, S3Keys keys, bool comparesAndSwaps) : ITreeStore
{
    private string? _checkpointETag;
    private bool _checkpointKnown;

    /// <inheritdoc/>
    public async ValueTask<byte[]?> TryReadAsync(string path, int maxBytes, CancellationToken cancellationToken)
    {
        (byte[] Content, string ETag)? found = await client.TryGetAsync(options.Bucket, Key(path), cancellationToken).ConfigureAwait(false);
        if (found is { } large && large.Content.Length > maxBytes)
        {
            throw new LedgerCorruptException(
                $"{options.Bucket}/{Key(path)} has {large.Content.Length} bytes; at most {maxBytes} belong there.", Key(path), -1, null, null);
        }

        if (path == TilePath.Checkpoint)
        {
            (_checkpointETag, _checkpointKnown) = (found?.ETag, true);
        }

        return found?.Content;
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(blobs);
        await Parallel.ForEachAsync(
            blobs.Where(blob => blob.Path != TilePath.Checkpoint),
            new ParallelOptions { MaxDegreeOfParallelism = options.ParallelReads, CancellationToken = cancellationToken },
            async (blob, token) => await client.PutAsync(options.Bucket, Key(blob.Path), blob.Content, token).ConfigureAwait(false)).ConfigureAwait(false);
        foreach (TreeBlob checkpoint in blobs.Where(blob => blob.Path == TilePath.Checkpoint))
        {
            await ReplaceCheckpointAsync(checkpoint.Content, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DeletePartialsAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            S3Page page = await client.ListAsync(options.Bucket, Key(path) + ".p/", null, null, 1000, null, cancellationToken).ConfigureAwait(false);
            foreach (string key in page.Keys)
            {
                await client.TryDeleteAsync(options.Bucket, key, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (LedgerUnavailableException)
        {
            // Superseded tiles that stay are harmless.
        }
    }

    private async Task ReplaceCheckpointAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        string key = Key(TilePath.Checkpoint);
        if (!comparesAndSwaps)
        {
            await client.PutAsync(options.Bucket, key, content, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (!_checkpointKnown)
        {
            _checkpointETag = (await client.TryGetAsync(options.Bucket, key, cancellationToken).ConfigureAwait(false))?.ETag;
        }

        bool replaced = await client.TryReplaceAsync(options.Bucket, key, content, _checkpointETag, cancellationToken).ConfigureAwait(false);

        // Read back in either case: it gives the new ETag, and tells a lost answer from a lost race.
        (byte[] Content, string ETag)? now = await client.TryGetAsync(options.Bucket, key, cancellationToken).ConfigureAwait(false);
        if (now is { } there && there.Content.AsSpan().SequenceEqual(content.Span))
        {
            (_checkpointETag, _checkpointKnown) = (there.ETag, true);
            return;
        }

        throw !replaced && now?.ETag == _checkpointETag
            ? new LedgerUnavailableException($"{options.Bucket}/{key} could not be replaced.")
            : new LedgerFencedException($"{options.Bucket}/{key}: another publisher has replaced the checkpoint.");
    }

    private string Key(string path) => TilePath.IsValid(path)
        ? keys.Tree + path
        : throw new ArgumentException($"'{path}' is not a path of a tree.", nameof(path));
}
