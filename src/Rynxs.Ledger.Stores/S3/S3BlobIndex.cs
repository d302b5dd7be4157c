using Rynxs.Ledger.Blobs;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>Finds side blobs: the objects of the newest ones are remembered; for an older one the objects are read, several at a time.</summary>
internal sealed class S3BlobIndex(S3Client client, S3LedgerOptions options, S3Keys keys)
{
    private const int MaxIndexed = 16 * 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, string> _objectOf = new(StringComparer.Ordinal);
    private readonly Queue<string> _age = [];

    public void Remember(Commitment commitment, string key)
    {
        lock (_gate)
        {
            if (_objectOf.TryAdd(commitment.Value, key))
            {
                _age.Enqueue(commitment.Value);
            }

            while (_age.Count > MaxIndexed)
            {
                _objectOf.Remove(_age.Dequeue());
            }
        }
    }

    public async Task<SideBlob?> FindAsync(Commitment commitment, CancellationToken cancellationToken)
    {
        string? known;
        lock (_gate)
        {
            known = _objectOf.GetValueOrDefault(commitment.Value);
        }

        if (known is not null && await FindInAsync(known, commitment, cancellationToken).ConfigureAwait(false) is { } blob)
        {
            return blob;
        }

        string? continuation = null;
        do
        {
            S3Page page = await client.ListAsync(options.Bucket, keys.Blobs, after: null, delimiter: null, 1000, continuation, cancellationToken).ConfigureAwait(false);
            foreach (string[] some in page.Keys.Chunk(options.ParallelReads))
            {
                SideBlob?[] found = await Task.WhenAll(some.Select(key => FindInAsync(key, commitment, cancellationToken))).ConfigureAwait(false);
                if (found.OfType<SideBlob>().FirstOrDefault() is { } hit)
                {
                    return hit;
                }
            }

            continuation = page.Continuation;
        }
        while (continuation is not null);
        return null;
    }

    private async Task<SideBlob?> FindInAsync(string key, Commitment commitment, CancellationToken cancellationToken)
    {
        if (await client.TryGetAsync(options.Bucket, key, cancellationToken).ConfigureAwait(false) is not { } stored)
        {
            return null;
        }

        for (ReadOnlyMemory<byte> lines = stored.Content; !lines.IsEmpty;)
        {
            int newline = lines.Span.IndexOf((byte)'\n');
            ReadOnlyMemory<byte> line = newline < 0 ? lines : lines[..newline];
            if (BlobLine.CommitmentOf(line.Span) is { } stated)
            {
                Remember(stated, key);
                if (stated == commitment)
                {
                    SideBlob? blob = BlobLine.TryParse(line);
                    return blob?.Commitment == commitment
                        ? blob
                        : throw new LedgerCorruptException($"{key}: a side blob is not what its commitment says.", key, -1, commitment.Value, blob?.Commitment.Value);
                }
            }

            lines = newline < 0 ? default : lines[(newline + 1)..];
        }

        return null;
    }
}
