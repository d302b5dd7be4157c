namespace Rynxs.Ledger.Stores.S3;

/// <summary>Lists the chains below a prefix by the directories that keys form.</summary>
internal static class S3Chains
{
    public static async Task<IReadOnlyList<ChainId>> ListAsync(S3Client client, S3LedgerOptions options, CancellationToken cancellationToken)
    {
        string root = S3Keys.Root(options.Prefix);
        var chains = new List<ChainId>();
        S3Page control = await client.ListAsync(options.Bucket, new S3Keys(options.Prefix, ChainId.Control).Records, null, null, 1, null, cancellationToken).ConfigureAwait(false);
        if (control.Keys.Count > 0)
        {
            chains.Add(ChainId.Control);
        }

        await foreach (string agentNamespace in PrefixesAsync(client, options.Bucket, root + "agents/", cancellationToken).ConfigureAwait(false))
        {
            await foreach (string chain in PrefixesAsync(client, options.Bucket, agentNamespace, cancellationToken).ConfigureAwait(false))
            {
                if (ChainId.TryParse(chain[root.Length..].TrimEnd('/')) is { } id)
                {
                    chains.Add(id);
                }
            }
        }

        return [.. chains.OrderBy(chain => chain.RelativePath, StringComparer.Ordinal)];
    }

    private static async IAsyncEnumerable<string> PrefixesAsync(
        S3Client client, string bucket, string prefix, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? continuation = null;
        do
        {
            S3Page page = await client.ListAsync(bucket, prefix, null, "/", 1000, continuation, cancellationToken).ConfigureAwait(false);
            foreach (string found in page.Prefixes)
            {
                yield return found;
            }

            continuation = page.Continuation;
        }
        while (continuation is not null);
    }
}
