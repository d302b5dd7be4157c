using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>What came of a conditional creation.</summary>
internal enum S3Creation
{
    /// <summary>The object is there with our content: this request, or an earlier attempt of it, made it.</summary>
    Created,

    /// <summary>The object is there with other content.</summary>
    Exists,
}

/// <summary>The requests that the store makes, with bounded attempts; turns every failure into one of ours.</summary>
internal sealed class S3Client : IDisposable
{
    /// <summary>Nothing that we write is larger; nothing larger is read.</summary>
    public const int MaxObjectBytes = 32 * 1024 * 1024;

    private readonly AmazonS3Client _s3;
    private readonly S3LedgerOptions _options;

    public S3Client(S3LedgerOptions options)
    {
        _options = options;
        var config = new AmazonS3Config
        {
            AuthenticationRegion = options.Region,
            MaxErrorRetry = 0, // Ours: the SDK would repeat a conditional write and report the refusal of its own first success.
            Timeout = options.RequestTimeout,
            RequestChecksumCalculation = options.SendChecksums ? RequestChecksumCalculation.WHEN_SUPPORTED : RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = options.SendChecksums ? ResponseChecksumValidation.WHEN_SUPPORTED : ResponseChecksumValidation.WHEN_REQUIRED,
        };
        if (options.Endpoint is { } endpoint)
        {
            config.ServiceURL = endpoint.ToString();
            config.ForcePathStyle = true;
        }
        else
        {
            config.RegionEndpoint = Amazon.RegionEndpoint.GetBySystemName(options.Region);
        }

        _s3 = options.AccessKey is null ? new AmazonS3Client(config) : new AmazonS3Client(new BasicAWSCredentials(options.AccessKey, options.SecretKey), config);
    }

    /// <summary>The SDK's client, for the probe: single requests, unadorned.</summary>
    public AmazonS3Client Raw => _s3;

    /// <summary>
    /// Creates an object if there is none with its key. An object that is there is read back and compared: content that holds a random key of
    /// ours is our own write, made by an attempt whose answer was lost.
    /// </summary>
    /// <exception cref="S3OutcomeUnknownException">It may or may not have been made, now or later.</exception>
    /// <exception cref="LedgerUnavailableException">It was not made.</exception>
    public async Task<S3Creation> CreateAsync(string bucket, string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        bool uncertain = false;
        Exception? last = null;
        for (int attempt = 0; attempt < _options.MaxAttempts; attempt++)
        {
            await PauseAsync(attempt, cancellationToken).ConfigureAwait(false);
            try
            {
                await _s3.PutObjectAsync(Put(bucket, key, content, ifNoneMatch: "*"), cancellationToken).ConfigureAwait(false);
                return S3Creation.Created;
            }
            catch (Exception exception) when (Classify(exception) is S3Failure.Exists)
            {
                // Also for the first attempt: the HTTP client itself sends a request again whose connection ended before the answer.
                return await CompareAsync(bucket, key, content, cancellationToken).ConfigureAwait(false) ?? S3Creation.Exists;
            }
            catch (Exception exception) when (Classify(exception) is S3Failure.Conflict)
            {
                // Somebody writes to the key at this moment (409): what is there afterwards tells.
                last = exception;
                if (await CompareAsync(bucket, key, content, cancellationToken).ConfigureAwait(false) is { } outcome)
                {
                    return outcome;
                }
            }
            catch (Exception exception) when (Classify(exception) is S3Failure.NotSent)
            {
                last = exception;
            }
            catch (Exception exception) when (Classify(exception) is S3Failure.Unknown)
            {
                (last, uncertain) = (exception, true);
            }
            catch (AmazonServiceException exception) when (!uncertain)
            {
                throw Unavailable($"creating {bucket}/{key}", exception);
            }
            catch (AmazonServiceException exception)
            {
                throw new S3OutcomeUnknownException($"Whether {bucket}/{key} was written is not known: {Text(exception)}", exception);
            }
        }

        if (!uncertain)
        {
            throw Unavailable($"creating {bucket}/{key}", last!); // The loop ran at least once.
        }

        // Present means done. Absent proves nothing: the request may still be on its way.
        try
        {
            if (await CompareAsync(bucket, key, content, cancellationToken).ConfigureAwait(false) is { } found)
            {
                return found;
            }
        }
        catch (LedgerUnavailableException)
        {
            // As below: it is not known.
        }

        throw new S3OutcomeUnknownException($"Whether {bucket}/{key} was written is not known: {Text(last!)}", last!);
    }

    /// <summary>The content of an object, or null when there is none.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be read.</exception>
    /// <exception cref="LedgerCorruptException">It is larger than anything that we write.</exception>
    public async Task<(byte[] Content, string ETag)?> TryGetAsync(string bucket, string key, CancellationToken cancellationToken) =>
        await RetryAsync<(byte[] Content, string ETag)?>(
            $"reading {bucket}/{key}",
            async () =>
            {
                using GetObjectResponse response = await _s3.GetObjectAsync(bucket, key, cancellationToken).ConfigureAwait(false);
                if (response.ContentLength is < 0 or > MaxObjectBytes)
                {
                    throw new LedgerCorruptException(
                        $"{bucket}/{key} has {response.ContentLength} bytes; at most {MaxObjectBytes} are written.", key, -1, null, null);
                }

                byte[] content = new byte[response.ContentLength];
                // A connection that is cut gives fewer bytes than were announced.
                await response.ResponseStream.ReadExactlyAsync(content, cancellationToken).ConfigureAwait(false);
                return (content, response.ETag ?? "");
            },
            whenAbsent: () => null,
            cancellationToken).ConfigureAwait(false);

    /// <summary>The keys behind one, in order.</summary>
    public Task<S3Page> ListAsync(string bucket, string prefix, string? after, string? delimiter, int maxKeys, string? continuation, CancellationToken cancellationToken) =>
        RetryAsync(
            $"listing {bucket}/{prefix}",
            async () =>
            {
                ListObjectsV2Response page = await _s3.ListObjectsV2Async(
                    new ListObjectsV2Request
                    {
                        BucketName = bucket,
                        Prefix = prefix,
                        StartAfter = after,
                        Delimiter = delimiter,
                        MaxKeys = maxKeys,
                        ContinuationToken = continuation,
                    },
                    cancellationToken).ConfigureAwait(false);
                return new S3Page(
                    [.. (page.S3Objects ?? []).Select(item => item.Key)], page.CommonPrefixes ?? [], page.IsTruncated == true ? page.NextContinuationToken : null);
            },
            whenAbsent: null,
            cancellationToken);

    /// <summary>Replaces an object if its ETag is still the same (null: if there is none). False when it is not, or on any failure: a cache.</summary>
    public async Task<bool> TryReplaceAsync(string bucket, string key, ReadOnlyMemory<byte> content, string? etag, CancellationToken cancellationToken)
    {
        try
        {
            PutObjectRequest put = Put(bucket, key, content, etag is null ? "*" : null);
            put.IfMatch = etag;
            await _s3.PutObjectAsync(put, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (Exception exception) when (Classify(exception) is not null)
        {
            return false;
        }
    }

    /// <summary>Writes an object whose content its key decides: repeating it changes nothing.</summary>
    /// <exception cref="LedgerUnavailableException">It may not be there.</exception>
    public Task PutAsync(string bucket, string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        RetryAsync(
            $"writing {bucket}/{key}",
            async () =>
            {
                await _s3.PutObjectAsync(Put(bucket, key, content, ifNoneMatch: null), cancellationToken).ConfigureAwait(false);
                return true;
            },
            whenAbsent: null,
            cancellationToken);

    /// <summary>Removes an object; false when that failed, or is forbidden.</summary>
    public async Task<bool> TryDeleteAsync(string bucket, string key, CancellationToken cancellationToken)
    {
        try
        {
            await _s3.DeleteObjectAsync(bucket, key, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested && Classify(exception) is not null)
        {
            return false;
        }
    }

    /// <summary>Adds a locked version to a versioned bucket, under a name that was won elsewhere; repeating it adds an equal version.</summary>
    /// <exception cref="LedgerUnavailableException">It is not there.</exception>
    public Task PutLockedAsync(string bucket, string key, ReadOnlyMemory<byte> content, DateTime until, CancellationToken cancellationToken) =>
        RetryAsync(
            $"writing evidence {bucket}/{key}",
            async () =>
            {
                PutObjectRequest put = Put(bucket, key, content, ifNoneMatch: null);
                put.ObjectLockMode = ObjectLockMode.Compliance;
                put.ObjectLockRetainUntilDate = until;
                await _s3.PutObjectAsync(put, cancellationToken).ConfigureAwait(false);
                return true;
            },
            whenAbsent: null,
            cancellationToken);

    public static PutObjectRequest Put(string bucket, string key, ReadOnlyMemory<byte> content, string? ifNoneMatch) => new()
    {
        BucketName = bucket,
        Key = key,
        InputStream = new MemoryStream(content.ToArray(), writable: false),
        ContentType = "application/x-ndjson",
        IfNoneMatch = ifNoneMatch,
        UseChunkEncoding = false,
    };

    public void Dispose() => _s3.Dispose();

    public static LedgerUnavailableException Unavailable(string what, Exception exception) => new($"S3: {what} failed: {Text(exception)}", exception);

    /// <summary>What a failure of one request means; null for what is no failure of S3.</summary>
    public static S3Failure? Classify(Exception exception) => exception switch
    {
        AmazonServiceException { StatusCode: HttpStatusCode.PreconditionFailed } => S3Failure.Exists,
        AmazonServiceException { StatusCode: HttpStatusCode.Conflict } => S3Failure.Conflict,
        AmazonServiceException { StatusCode: HttpStatusCode.NotFound, ErrorCode: not "NoSuchBucket" } => S3Failure.Absent,
        AmazonServiceException { StatusCode: >= HttpStatusCode.InternalServerError or HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout } => S3Failure.Unknown,
        AmazonServiceException { InnerException: HttpRequestException { InnerException: SocketException { SocketErrorCode: SocketError.ConnectionRefused } } } => S3Failure.NotSent,
        AmazonServiceException { StatusCode: 0 } => S3Failure.Unknown,
        AmazonServiceException => S3Failure.Refused,
        HttpRequestException { InnerException: SocketException { SocketErrorCode: SocketError.ConnectionRefused } } => S3Failure.NotSent,
        HttpRequestException or IOException or SocketException or TimeoutException or WebException => S3Failure.Unknown,
        // The SDK's own time limit; a caller's cancellation is told by its token.
        OperationCanceledException => S3Failure.Unknown,
        AmazonClientException => S3Failure.Unknown,
        _ => null,
    };

    private async Task<T> RetryAsync<T>(string what, Func<Task<T>> request, Func<T>? whenAbsent, CancellationToken cancellationToken)
    {
        Exception? last = null;
        for (int attempt = 0; attempt < _options.MaxAttempts; attempt++)
        {
            await PauseAsync(attempt, cancellationToken).ConfigureAwait(false);
            try
            {
                return await request().ConfigureAwait(false);
            }
            catch (Exception exception) when (whenAbsent is not null && Classify(exception) is S3Failure.Absent)
            {
                return whenAbsent();
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested && Classify(exception) is S3Failure.Unknown or S3Failure.NotSent or S3Failure.Conflict)
            {
                last = exception;
            }
            catch (AmazonServiceException exception)
            {
                throw Unavailable(what, exception);
            }
        }

        throw Unavailable(what, last!); // The loop ran at least once.
    }

    private async Task<S3Creation?> CompareAsync(string bucket, string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        await TryGetAsync(bucket, key, cancellationToken).ConfigureAwait(false) is not { } there ? null
            : there.Content.AsSpan().SequenceEqual(content.Span) ? S3Creation.Created
            : S3Creation.Exists;

    /// <summary>Before an attempt that is not the first: a random part of a wait that doubles.</summary>
    private Task PauseAsync(int attempt, CancellationToken cancellationToken)
    {
        if (attempt == 0)
        {
            return Task.CompletedTask;
        }

        double most = Math.Min(2000, 50 * Math.Pow(2, attempt - 1));
        return Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.NextDouble() * most), _options.TimeProvider, cancellationToken);
    }

    private static string Text(Exception exception) => exception is AmazonServiceException { ErrorCode: { Length: > 0 } code } service
        ? $"{code} ({(int)service.StatusCode}): {service.Message}"
        : exception.Message;
}

/// <summary>One page of a listing.</summary>
internal sealed record S3Page(IReadOnlyList<string> Keys, IReadOnlyList<string> Prefixes, string? Continuation);

/// <summary>What a failed request means.</summary>
internal enum S3Failure
{
    /// <summary>412: the condition does not hold.</summary>
    Exists,

    /// <summary>409: somebody else's request on the same key was in the way.</summary>
    Conflict,

    /// <summary>404 for the object.</summary>
    Absent,

    /// <summary>Nobody listened: the request had no effect.</summary>
    NotSent,

    /// <summary>A time-out, a cut connection, 5xx, 429: it may have had its effect.</summary>
    Unknown,

    /// <summary>The server will not do it: access, a missing bucket, a header that it does not take.</summary>
    Refused,
}

/// <summary>A write of which it is not known whether it happened, or still will.</summary>
internal sealed class S3OutcomeUnknownException(string message, Exception innerException) : Exception(message, innerException);
