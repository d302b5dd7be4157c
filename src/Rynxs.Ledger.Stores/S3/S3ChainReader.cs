using System.Runtime.CompilerServices;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>
/// Finds and reads the batches of a chain. Listings are hints: some servers list late. Each batch says where the next one begins, and a key that
/// the listing did not show is asked for by its name.
/// </summary>
/// <param name="client">For requests.</param>
/// <param name="options">Which bucket.</param>
/// <param name="keys">Which chain.</param>
/// <param name="pageKeys">Keys of one listing; servers give 1000 at most.</param>
internal sealed class S3ChainReader(S3Client client, S3LedgerOptions options, S3Keys keys, int pageKeys = 1000)
{
    /// <summary>The last batch, verified in itself; null when the chain is empty.</summary>
    /// <exception cref="LedgerCorruptException">It does not verify.</exception>
    public async Task<S3Tail?> FindTailAsync(bool useHead, CancellationToken cancellationToken)
    {
        long? candidate = useHead ? await ReadHeadAsync(cancellationToken).ConfigureAwait(false) : null;
        candidate ??= await SearchAsync(cancellationToken).ConfigureAwait(false);
        S3Tail? tail = null;
        // From what is believed to be the last one forward, until there is no next one: this asks for names, and is never late.
        for (long next = candidate ?? 0; await ReadBatchAsync(next, cancellationToken).ConfigureAwait(false) is { } batch; next = tail.Head.Seq + 1)
        {
            if (tail is not null && batch.PrevHash != tail.Head.EventHash)
            {
                throw new LedgerCorruptException(
                    $"{keys.Batch(next)}, sequence {next}: prev_hash is not the hash of the record before (expected {tail.Head.EventHash}, found {batch.PrevHash}).",
                    keys.Batch(next), next, tail.Head.EventHash, batch.PrevHash);
            }

            tail = batch;
        }

        return tail;
    }

    /// <inheritdoc cref="IChainStore.ReadAsync"/>
    public async IAsyncEnumerable<StoredLines> ReadAsync(
        long fromSeq, ChainHead head, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        long? next = null;
        var fetched = new Queue<Task<(long FirstSeq, byte[]? Content)>>();
        await using IAsyncEnumerator<long> listed = ListFrom(fromSeq, cancellationToken).GetAsyncEnumerator(cancellationToken);
        bool more = await listed.MoveNextAsync().ConfigureAwait(false);
        try
        {
            while (next is null || next <= head.Seq)
            {
                while (more && fetched.Count < options.ParallelReads && listed.Current <= head.Seq)
                {
                    fetched.Enqueue(FetchAsync(listed.Current, cancellationToken));
                    more = await listed.MoveNextAsync().ConfigureAwait(false);
                }

                byte[]? content = null;
                if (fetched.TryPeek(out Task<(long FirstSeq, byte[]? Content)>? first))
                {
                    (long firstSeq, byte[]? bytes) = await first.ConfigureAwait(false);
                    if (next is null || firstSeq <= next)
                    {
                        _ = fetched.Dequeue(); // Awaited above.
                        if (firstSeq < next)
                        {
                            continue; // Asked for by name before the listing showed it.
                        }

                        (next, content) = (firstSeq, bytes);
                    }
                }

                // Without a listing, or before what it shows: a batch that is not listed yet.
                long wanted = next ?? 0;
                content ??= (await FetchAsync(wanted, cancellationToken).ConfigureAwait(false)).Content;
                if (content is null)
                {
                    yield break; // The caller knows the head, and so that some are missing.
                }

                (S3BatchHeader header, ReadOnlyMemory<byte> lines) = S3BatchHeader.Unwrap(content, keys.Batch(wanted), wanted);
                yield return new StoredLines(keys.Batch(wanted), wanted, wanted == 0 ? ChainPosition.Genesis : null, lines);
                next = wanted + header.Count;
            }
        }
        finally
        {
            foreach (Task left in fetched)
            {
                await left.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // Read ahead and not wanted any more.
            }
        }
    }

    private async Task<(long FirstSeq, byte[]? Content)> FetchAsync(long firstSeq, CancellationToken cancellationToken) =>
        (firstSeq, (await client.TryGetAsync(options.Bucket, keys.Batch(firstSeq), cancellationToken).ConfigureAwait(false))?.Content);

    private async Task<S3Tail?> ReadBatchAsync(long firstSeq, CancellationToken cancellationToken)
    {
        if ((await FetchAsync(firstSeq, cancellationToken).ConfigureAwait(false)).Content is not { } content)
        {
            return null;
        }

        string key = keys.Batch(firstSeq);
        (_, ReadOnlyMemory<byte> lines) = S3BatchHeader.Unwrap(content, key, firstSeq);
        ChainPosition position = ChainPosition.Before(firstSeq, firstSeq == 0 ? ChainPosition.Genesis : null);
        var records = new List<LedgerRecord>();
        position.ReadAll(lines, new StrictLine(), key, firstSeq, records);
        return new S3Tail(firstSeq, position.Head, records[0].PrevHash, position.Epoch, content);
    }

    private async Task<long?> ReadHeadAsync(CancellationToken cancellationToken)
    {
        if (await client.TryGetAsync(options.Bucket, keys.Head, cancellationToken).ConfigureAwait(false) is not { } stored)
        {
            return null;
        }

        try
        {
            S3Head? head = System.Text.Json.JsonSerializer.Deserialize(stored.Content, S3Json.Default.S3Head);
            // Believed only if the batch that it names is there and ends as it says.
            return head is { Format: S3Head.Version1, FirstSeq: >= 0 }
                && await ReadBatchAsync(head.FirstSeq, cancellationToken).ConfigureAwait(false) is { } batch
                && batch.Head == new ChainHead(head.Seq, head.EventHash)
                ? head.FirstSeq
                : null;
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }

    /// <summary>The last batch that is listed, in about 2 × log2(n / page) requests; null when none is.</summary>
    private async Task<long?> SearchAsync(CancellationToken cancellationToken)
    {
        long low = -1;
        long? high = null; // Nothing is listed behind it.
        long step = pageKeys;
        while (true)
        {
            long probe = high is null ? (low < 0 ? -1 : low + step) : low + ((high.Value - low) / 2);
            S3Page page = await client.ListAsync(
                options.Bucket, keys.Records, probe < 0 ? null : keys.Batch(probe), delimiter: null, pageKeys, continuation: null, cancellationToken).ConfigureAwait(false);
            long? last = page.Keys.Select(keys.FirstSeq).LastOrDefault(seq => seq is not null);
            if (last is { } found)
            {
                low = found;
                if (page.Continuation is null)
                {
                    return low;
                }

                step = high is null ? step * 2 : step;
            }
            else if (probe <= low || probe < 0)
            {
                return low < 0 ? null : low;
            }
            else
            {
                high = probe;
            }
        }
    }

    /// <summary>Keys from the batch that holds a sequence on, as far as they are listed.</summary>
    private async IAsyncEnumerable<long> ListFrom(long fromSeq, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // A batch has at most CommitRecords records, so the one that holds the sequence begins at most that far before it.
        long after = fromSeq - Committer.CommitRecords;
        string? start = after < 0 ? null : keys.Batch(after);
        string? continuation = null;
        long? before = null;
        do
        {
            S3Page page = await client.ListAsync(
                options.Bucket, keys.Records, continuation is null ? start : null, delimiter: null, pageKeys, continuation, cancellationToken).ConfigureAwait(false);
            foreach (long firstSeq in page.Keys.Select(keys.FirstSeq).OfType<long>())
            {
                if (firstSeq <= fromSeq)
                {
                    before = firstSeq; // The last of these holds it.
                    continue;
                }

                if (before is { } holder)
                {
                    yield return holder;
                    before = null;
                }

                yield return firstSeq;
            }

            continuation = page.Continuation;
        }
        while (continuation is not null);

        if (before is { } only)
        {
            yield return only;
        }
    }
}

/// <summary>The last batch of a chain.</summary>
/// <param name="FirstSeq">Sequence of its first record.</param>
/// <param name="Head">Its last record.</param>
/// <param name="PrevHash">Hash that its first record names.</param>
/// <param name="Epoch">Highest epoch in it.</param>
/// <param name="Content">The whole object.</param>
internal sealed record S3Tail(long FirstSeq, ChainHead Head, string PrevHash, long Epoch, byte[] Content);
