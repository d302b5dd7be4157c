using System.Text.Json;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>
/// One chain in a bucket: one object per commit, created under the key of the next sequence on condition that there is none. Of two writers
/// only one can win that key; the other is fenced, because this store never tries another key. S3 itself refuses no epoch: a program that read
/// the head again and went on behind it would be let in, so the rule lives here (ADR 0022).
/// </summary>
internal sealed class S3ChainStore : IChainStore
{
    private static readonly TimeSpan HeadEvery = TimeSpan.FromSeconds(5);

    private readonly S3Client _client;
    private readonly S3LedgerOptions _options;
    private readonly S3Keys _keys;
    private readonly S3ChainReader _reader;
    private readonly S3BlobIndex _blobs;
    private readonly bool _writesHead;
    private Task _headWriting = Task.CompletedTask;
    private long _headWrittenAt;
    private S3Head? _lastHead;

    private S3ChainStore(S3Client client, S3LedgerOptions options, S3Keys keys, bool writesHead)
    {
        (_client, _options, _keys, _writesHead) = (client, options, keys, writesHead);
        _reader = new S3ChainReader(client, options, keys);
        _blobs = new S3BlobIndex(client, options, keys);
    }

    /// <inheritdoc/>
    public bool HasFailed { get; private set; }

    /// <summary>Finds the end of the chain. Its last batch is verified, and is in the evidence bucket afterwards.</summary>
    public static async Task<(S3ChainStore Store, FoundChain Found)> OpenAsync(
        S3Client client, S3LedgerOptions options, ChainId id, bool writesHead, CancellationToken cancellationToken)
    {
        var store = new S3ChainStore(client, options, new S3Keys(options.Prefix, id), writesHead);
        S3Tail? tail = await store._reader.FindTailAsync(writesHead, cancellationToken).ConfigureAwait(false);
        if (tail is null)
        {
            return (store, new FoundChain(new ChainHead(-1, ChainPosition.Genesis), 0));
        }

        // The writer before may have ended between winning the key and writing the evidence.
        await store.KeepEvidenceAsync(store._keys.Batch(tail.FirstSeq), tail.Content, cancellationToken).ConfigureAwait(false);
        return (store, new FoundChain(tail.Head, tail.Epoch));
    }

    /// <inheritdoc/>
    public async ValueTask CommitAsync(ChainCommit commit)
    {
        long firstSeq = commit.Before.Seq + 1;
        S3BatchHeader header = S3BatchHeader.Of(firstSeq, commit.Count, commit.Epoch);
        string key = _keys.Batch(firstSeq);
        byte[] content = header.Wrap(commit.Lines.Span);
        try
        {
            // No token: a commit that was begun is carried to its end, because only then is its outcome known.
            if (commit.Blobs.Count > 0)
            {
                await CreateBlobsAsync(commit.Blobs, _keys.BlobsOf(firstSeq, header.Key)).ConfigureAwait(false);
            }

            if (await _client.CreateAsync(_options.Bucket, key, content, CancellationToken.None).ConfigureAwait(false) == S3Creation.Exists)
            {
                throw new LedgerFencedException($"{_options.Bucket}/{key}: another writer has the chain.");
            }
        }
        catch (S3OutcomeUnknownException exception)
        {
            HasFailed = true;
            throw new LedgerUnavailableException(
                $"{exception.Message}. The chain takes no more records until it is opened again; that finds out.", exception) { IsLasting = true };
        }

        try
        {
            await KeepEvidenceAsync(key, content, CancellationToken.None).ConfigureAwait(false);
        }
        catch (LedgerUnavailableException exception)
        {
            HasFailed = true;
            throw new LedgerUnavailableException(
                $"The batch {key} is in the chain, but not in the evidence bucket: {exception.Message} The chain takes no more records until it is opened again, which adds it.",
                exception) { IsLasting = true };
        }

        WriteHeadNowAndThen(new S3Head(S3Head.Version1, firstSeq, commit.Head.Seq, commit.Head.EventHash));
    }

    /// <inheritdoc/>
    public ValueTask AddBlobsAsync(IReadOnlyList<BlobLine> blobs) => new(CreateBlobsAsync(blobs, _keys.BlobsOf(0, Guid.NewGuid().ToString("N"))));

    /// <inheritdoc/>
    public IAsyncEnumerable<StoredLines> ReadAsync(long fromSeq, ChainHead head, CancellationToken cancellationToken) =>
        _reader.ReadAsync(fromSeq, head, cancellationToken);

    /// <inheritdoc/>
    public Task<SideBlob?> FindBlobAsync(Commitment commitment, CancellationToken cancellationToken) => _blobs.FindAsync(commitment, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _headWriting.ConfigureAwait(false);
        if (_writesHead && _lastHead is { } head && !HasFailed)
        {
            await WriteHeadAsync(head).ConfigureAwait(false);
        }
    }

    private async Task CreateBlobsAsync(IReadOnlyList<BlobLine> blobs, string key)
    {
        byte[] content = new byte[blobs.Sum(blob => blob.Line.Length)];
        int at = 0;
        foreach (BlobLine blob in blobs)
        {
            blob.Line.CopyTo(content, at);
            at += blob.Line.Length;
        }

        try
        {
            // The key is random: who finds an object there finds this very one.
            await _client.CreateAsync(_options.Bucket, key, content, CancellationToken.None).ConfigureAwait(false);
        }
        catch (S3OutcomeUnknownException exception)
        {
            // Blobs that no record refers to are harmless, so this refusal need not last.
            throw new LedgerUnavailableException(exception.Message, exception);
        }

        foreach (BlobLine blob in blobs)
        {
            _blobs.Remember(blob.Commitment, key);
        }
    }

    private Task KeepEvidenceAsync(string key, byte[] content, CancellationToken cancellationToken) => _options.EvidenceBucket is not { } bucket
        ? Task.CompletedTask
        : _client.PutLockedAsync(bucket, key, content, (_options.TimeProvider.GetUtcNow() + _options.EvidenceRetention).UtcDateTime, cancellationToken);

    /// <summary>A cache, so never more than one request at a time and never in the way of a commit. Awaited by the next one and by Dispose.</summary>
    private void WriteHeadNowAndThen(S3Head head)
    {
        _lastHead = head;
        if (_writesHead && _headWriting.IsCompleted && (_headWrittenAt == 0 || _options.TimeProvider.GetElapsedTime(_headWrittenAt) > HeadEvery))
        {
            _headWrittenAt = _options.TimeProvider.GetTimestamp();
            _headWriting = WriteHeadAsync(head);
        }
    }

    private async Task WriteHeadAsync(S3Head head)
    {
        try
        {
            (byte[] Content, string ETag)? there = await _client.TryGetAsync(_options.Bucket, _keys.Head, CancellationToken.None).ConfigureAwait(false);
            if (there is { } stored && JsonSerializer.Deserialize(stored.Content, S3Json.Default.S3Head) is { } old && old.Seq >= head.Seq)
            {
                return; // A newer writer is further.
            }

            await _client.TryReplaceAsync(
                _options.Bucket, _keys.Head, JsonSerializer.SerializeToUtf8Bytes(head, S3Json.Default.S3Head), there?.ETag, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is LedgerUnavailableException or LedgerCorruptException or JsonException)
        {
            // Without it the next opening searches.
        }
    }
}
