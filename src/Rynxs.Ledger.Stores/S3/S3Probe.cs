using Amazon.S3;
using Amazon.S3.Model;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>What a bucket can do, found out by trying.</summary>
/// <param name="Findings">One per property, in the order in which they were tried.</param>
public sealed record S3ProbeReport(IReadOnlyList<S3Finding> Findings)
{
    internal const string CompareAndSwap = "compare-and-swap (If-Match)";

    /// <summary>The names of needed properties that the bucket does not have.</summary>
    public IReadOnlyList<string> Missing => [.. Findings.Where(finding => finding is { Needed: true, Works: false }).Select(finding => finding.Property)];

    /// <summary>Whether <c>If-Match</c> is compared, so that a head object can be kept.</summary>
    public bool ComparesAndSwaps => Findings.Any(finding => finding is { Property: CompareAndSwap, Works: true });

    internal void ThrowIfUnfit(string bucket)
    {
        if (Missing.Count > 0)
        {
            throw new S3BucketRefusedException(bucket, [.. Findings.Where(finding => finding is { Needed: true, Works: false })]);
        }
    }
}

/// <summary>One property of a bucket.</summary>
/// <param name="Property">Its name, stable.</param>
/// <param name="Needed">Whether the ledger, as it is set up, rests on it.</param>
/// <param name="Works">Whether the bucket has it.</param>
/// <param name="Detail">What was seen.</param>
public sealed record S3Finding(string Property, bool Needed, bool Works, string Detail);

/// <summary>The bucket lacks something that the ledger rests on, so it is not used at all.</summary>
public sealed class S3BucketRefusedException(string bucket, IReadOnlyList<S3Finding> missing) : LedgerUnavailableException(
    $"The bucket {bucket} is refused, because it lacks: " + string.Join("; ", missing.Select(finding => $"{finding.Property}: {finding.Detail}")))
{
    /// <summary>What is missing.</summary>
    public IReadOnlyList<S3Finding> Findings { get; } = missing;
}

/// <summary>Tries what the ledger rests on, below a random key.</summary>
internal sealed class S3Probe(S3Client client, S3LedgerOptions options)
{
    private const int Rounds = 3;
    private const int Racers = 8;

    private readonly string _prefix = $"{S3Keys.Root(options.Prefix)}.probe-{Guid.NewGuid():N}/";
    private readonly List<S3Finding> _findings = [];
    private readonly List<string> _made = [];

    public async Task<S3ProbeReport> RunAsync(bool thorough, CancellationToken cancellationToken)
    {
        try
        {
            await ReadBackAsync(cancellationToken).ConfigureAwait(false);
            if (_findings.TrueForAll(finding => finding.Works))
            {
                await ConditionalCreationAsync(cancellationToken).ConfigureAwait(false);
                await ListingAsync(cancellationToken).ConfigureAwait(false);
                await CompareAndSwapAsync(cancellationToken).ConfigureAwait(false);
            }

            if (options.EvidenceBucket is { } evidence)
            {
                await ObjectLockAsync(evidence, thorough, cancellationToken).ConfigureAwait(false);
            }

            return new S3ProbeReport(_findings);
        }
        catch (Exception exception) when (S3Client.Classify(exception) is not null && !cancellationToken.IsCancellationRequested)
        {
            throw S3Client.Unavailable($"probing {options.Bucket}", exception);
        }
        finally
        {
            foreach (string key in _made)
            {
                await RemoveAsync(key).ConfigureAwait(false);
            }
        }
    }

    private async Task ReadBackAsync(CancellationToken cancellationToken)
    {
        byte[] content = Content();
        Answer put = await PutAsync("read-back", content, ifNoneMatch: "*", ifMatch: null, cancellationToken).ConfigureAwait(false);
        // A server that does not know the header may refuse it: then it is asked without, to name what is missing.
        if (!put.Ok)
        {
            Report("writing", needed: true, works: false, $"the server answered {put.Text}");
            return;
        }

        byte[]? back = (await client.TryGetAsync(options.Bucket, Key("read-back"), cancellationToken).ConfigureAwait(false))?.Content;
        Report("reading back what was written", needed: true, back is not null && back.AsSpan().SequenceEqual(content), back is null ? "the object is not there" : $"{back.Length} bytes");
    }

    private async Task ConditionalCreationAsync(CancellationToken cancellationToken)
    {
        Answer again = await PutAsync("read-back", Content(), ifNoneMatch: "*", ifMatch: null, cancellationToken).ConfigureAwait(false);
        Report("conditional creation (If-None-Match: *)", needed: true, again.Status is 412 or 409, $"on an existing key the server answered {again.Text}");

        var winners = new List<int>();
        for (int round = 0; round < Rounds; round++)
        {
            Answer[] answers = await Task.WhenAll(Enumerable.Range(0, Racers).Select(_ => PutAsync($"race-{round}", Content(), "*", null, cancellationToken))).ConfigureAwait(false);
            winners.Add(answers.Count(answer => answer.Ok));
        }

        GetBucketVersioningResponse? versioning = null;
        await AttemptAsync(async () => versioning = await client.Raw.GetBucketVersioningAsync(options.Bucket, cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
        string state = versioning?.VersioningConfig?.Status?.Value is { Length: > 0 } status && status != "Off" ? $"versioning: {status}" : "not versioned";
        Report(
            "atomic conditional creation", needed: true, winners.TrueForAll(count => count == 1),
            $"of {Racers} writers at once there won {string.Join(", ", winners)} (bucket {state})");
    }

    private async Task ListingAsync(CancellationToken cancellationToken)
    {
        S3Page page = await client.ListAsync(options.Bucket, _prefix, Key("race-0"), delimiter: null, 1000, null, cancellationToken).ConfigureAwait(false);
        bool works = page.Keys.SequenceEqual([.. Enumerable.Range(1, Rounds - 1).Select(round => Key($"race-{round}")), Key("read-back")]);
        Report("listing in order behind a key (StartAfter)", needed: true, works, $"{page.Keys.Count} keys");
    }

    private async Task CompareAndSwapAsync(CancellationToken cancellationToken)
    {
        // Its key ends like the head's, so that a bucket policy that makes an exception for that makes it here.
        const string Name = "head.json";
        bool needed = options.HeadCache == S3HeadCache.Required;
        Answer first = await PutAsync(Name, Content(), "*", null, cancellationToken).ConfigureAwait(false);
        Answer right = await PutAsync(Name, Content(), null, first.ETag, cancellationToken).ConfigureAwait(false);
        Answer wrong = await PutAsync(Name, Content(), null, first.ETag, cancellationToken).ConfigureAwait(false);
        bool works = first.Ok && right.Ok && wrong.Status is 412 or 409;
        string detail = $"with the present ETag the server answered {right.Text}, with an old one {wrong.Text}";
        if (works)
        {
            Answer[] answers = await Task.WhenAll(Enumerable.Range(0, Racers).Select(_ => PutAsync(Name, Content(), null, right.ETag, cancellationToken))).ConfigureAwait(false);
            int winners = answers.Count(answer => answer.Ok);
            works = winners == 1;
            detail += $"; of {Racers} writers at once there won {winners}";
        }

        Report(S3ProbeReport.CompareAndSwap, needed, works, detail);
    }

    private async Task ObjectLockAsync(string bucket, bool thorough, CancellationToken cancellationToken)
    {
        string? versioning = null;
        string? objectLock = null;
        await AttemptAsync(async () => versioning = (await client.Raw.GetBucketVersioningAsync(bucket, cancellationToken).ConfigureAwait(false)).VersioningConfig?.Status?.Value).ConfigureAwait(false);
        await AttemptAsync(async () => objectLock = (await client.Raw.GetObjectLockConfigurationAsync(
            new GetObjectLockConfigurationRequest { BucketName = bucket }, cancellationToken).ConfigureAwait(false)).ObjectLockConfiguration?.ObjectLockEnabled?.Value).ConfigureAwait(false);
        bool configured = versioning == "Enabled" && objectLock == "Enabled";
        Report("Object Lock on the evidence bucket", needed: true, configured, $"{bucket}: versioning {versioning ?? "unknown"}, Object Lock {objectLock ?? "off"}");
        if (!configured || !thorough)
        {
            return;
        }

        PutObjectRequest put = S3Client.Put(bucket, Key("locked"), Content(), ifNoneMatch: null);
        put.ObjectLockMode = ObjectLockMode.Compliance;
        put.ObjectLockRetainUntilDate = options.TimeProvider.GetUtcNow().UtcDateTime.AddSeconds(30);
        string? version = null;
        Answer made = await AttemptAsync(async () => version = (await client.Raw.PutObjectAsync(put, cancellationToken).ConfigureAwait(false)).VersionId).ConfigureAwait(false);
        Answer removed = made.Ok
            ? await AttemptAsync(() => client.Raw.DeleteObjectAsync(
                new DeleteObjectRequest { BucketName = bucket, Key = Key("locked"), VersionId = version, BypassGovernanceRetention = true }, cancellationToken)).ConfigureAwait(false)
            : made;
        Report(
            "retention in COMPLIANCE mode", needed: true, made.Ok && removed.Status == 403,
            made.Ok ? $"removing a locked version, with bypass, was answered {removed.Text}" : $"locking was answered {made.Text}");
    }

    private async Task<Answer> PutAsync(string name, byte[] content, string? ifNoneMatch, string? ifMatch, CancellationToken cancellationToken)
    {
        PutObjectRequest put = S3Client.Put(options.Bucket, Key(name), content, ifNoneMatch);
        put.IfMatch = ifMatch;
        lock (_made)
        {
            if (!_made.Contains(put.Key))
            {
                _made.Add(put.Key);
            }
        }

        string? etag = null;
        Answer answer = await AttemptAsync(async () => etag = (await client.Raw.PutObjectAsync(put, cancellationToken).ConfigureAwait(false)).ETag).ConfigureAwait(false);
        return answer with { ETag = etag };
    }

    /// <summary>Where the bucket's policy forbids removal (as ours does), or the server is gone, the few bytes stay.</summary>
    private async Task RemoveAsync(string key)
    {
        try
        {
            await client.Raw.DeleteObjectAsync(options.Bucket, key, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception exception) when (S3Client.Classify(exception) is not null)
        {
            // What was found out does not depend on it, and a failure before it must not be hidden by this one.
        }
    }

    /// <summary>One request; what the server answers is the finding, so only a server that does not answer is a failure.</summary>
    private static async Task<Answer> AttemptAsync(Func<Task> request)
    {
        try
        {
            await request().ConfigureAwait(false);
            return new Answer(200, "200 OK", null);
        }
        catch (Amazon.Runtime.AmazonServiceException exception) when (exception.StatusCode is not 0 and < System.Net.HttpStatusCode.InternalServerError)
        {
            return new Answer((int)exception.StatusCode, $"{(int)exception.StatusCode} {exception.ErrorCode}", null);
        }
    }

    private void Report(string property, bool needed, bool works, string detail) => _findings.Add(new S3Finding(property, needed, works, detail));

    private string Key(string name) => _prefix + name;

    private static byte[] Content() => Guid.NewGuid().ToByteArray();

    private sealed record Answer(int Status, string Text, string? ETag)
    {
        public bool Ok => Status == 200;
    }
}
