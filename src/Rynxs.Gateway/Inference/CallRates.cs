using Rynxs.Policy.Rates;
using Rynxs.Policy.Rules;

namespace Rynxs.Gateway.Inference;

/// <summary>A token bucket for each agent.</summary>
internal sealed class CallRates(TimeProvider timeProvider)
{
    private const int MaxBuckets = 10_000;
    private static readonly Glob Any = new("*");

    private readonly Lock _lock = new();
    private readonly Dictionary<string, (TokenBucket Bucket, RateLimit Limit)> _buckets = new(StringComparer.Ordinal);

    /// <summary>Takes a token; gives how long to wait when there is none, else null.</summary>
    public TimeSpan? Take(string key, int perMinute)
    {
        DateTimeOffset now = timeProvider.GetUtcNow();
        lock (_lock)
        {
            RateLimit limit = _buckets.TryGetValue(key, out (TokenBucket Bucket, RateLimit Limit) known) && known.Limit.PerMinute == perMinute
                ? known.Limit
                : new RateLimit(Any, perMinute, Math.Max(1, perMinute / 6));
            TokenBucket bucket = (known.Limit is null ? TokenBucket.Full(limit, now) : known.Bucket).Fill(limit, now);
            if (!bucket.HasToken)
            {
                _buckets[key] = (bucket, limit);
                return bucket.Wait(limit);
            }

            if (_buckets.Count >= MaxBuckets && !_buckets.ContainsKey(key))
            {
                // Full buckets say the same as none.
                foreach ((string other, (TokenBucket Bucket, RateLimit Limit) entry) in _buckets.ToArray())
                {
                    if (entry.Bucket.Fill(entry.Limit, now) == TokenBucket.Full(entry.Limit, now))
                    {
                        _buckets.Remove(other);
                    }
                }
            }

            _buckets[key] = (bucket.Take(), limit);
            return null;
        }
    }
}
