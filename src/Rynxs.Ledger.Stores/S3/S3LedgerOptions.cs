namespace Rynxs.Ledger.Stores.S3;

/// <summary>Settings of an <see cref="S3Ledger"/>.</summary>
public sealed record S3LedgerOptions
{
    /// <summary>The bucket. It must exist, and must not be versioned unless its server checks conditional writes there: the probe finds out.</summary>
    public required string Bucket { get; init; }

    /// <summary>Begins every key, without slashes at its ends; empty for none.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>Address of a server that is not Amazon's; null for Amazon S3. Addresses buckets by path.</summary>
    public Uri? Endpoint { get; init; }

    /// <summary>Region, <c>us-east-1</c> unless told.</summary>
    public string Region { get; init; } = "us-east-1";

    /// <summary>Access key; null for the SDK's own search (environment, profile, instance role).</summary>
    public string? AccessKey { get; init; }

    /// <summary>Secret of the access key.</summary>
    public string? SecretKey { get; init; }

    /// <summary>
    /// Whether the SDK adds checksums of its own to every request. Off by default: servers that do not know them refuse every write, and the
    /// hash chain verifies the content anyway.
    /// </summary>
    public bool SendChecksums { get; init; }

    /// <summary>Whether a head object spares the search for the end of the chain at opening.</summary>
    public S3HeadCache HeadCache { get; init; } = S3HeadCache.WhereItWorks;

    /// <summary>
    /// A versioned bucket with Object Lock that receives every batch, locked in COMPLIANCE mode, before the batch is acknowledged; null for none.
    /// </summary>
    public string? EvidenceBucket { get; init; }

    /// <summary>How long evidence is locked: 365 days unless told. Nobody can shorten it, neither we nor the account's owner.</summary>
    public TimeSpan EvidenceRetention { get; init; } = TimeSpan.FromDays(365);

    /// <summary>One attempt of one request: 10 s unless told.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Attempts of one request, 1 to 20; 6 unless told. Between them random waits of up to 50 ms, doubling up to 2 s.</summary>
    public int MaxAttempts { get; init; } = 6;

    /// <summary>Batches that are read ahead at the same time, 1 to 64; 8 unless told.</summary>
    public int ParallelReads { get; init; } = 8;

    /// <summary>Gives <c>meta.time</c>. Nothing depends on its order: it may jump back.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Recorded as <c>meta.writer_id</c>; left out when empty, the default.</summary>
    public string WriterId { get; init; } = "";

    /// <summary>Entries that may wait for a commit per chain, 4096 unless told: what gathers during one request is the next batch.</summary>
    public int QueueCapacity { get; init; } = 4096;

    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    internal void Validate()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(Bucket);
        if (Prefix.StartsWith('/') || Prefix.EndsWith('/') || Prefix.Length > 512)
        {
            throw new ArgumentException("Prefix: at most 512 characters, and no slash at either end.");
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(MaxAttempts, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxAttempts, 20);
        ArgumentOutOfRangeException.ThrowIfLessThan(ParallelReads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ParallelReads, 64);
        ArgumentOutOfRangeException.ThrowIfLessThan(QueueCapacity, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(RequestTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(EvidenceRetention, TimeSpan.Zero);
        if (AccessKey is null != SecretKey is null)
        {
            throw new ArgumentException("AccessKey and SecretKey: give both or neither.");
        }
    }
}

/// <summary>Use of the head object.</summary>
public enum S3HeadCache
{
    /// <summary>If the probe finds that the server compares <c>If-Match</c>; else none is kept and the end is searched for.</summary>
    WhereItWorks,

    /// <summary>A server that does not compare <c>If-Match</c> is refused.</summary>
    Required,

    /// <summary>None is kept.</summary>
    Off,
}
