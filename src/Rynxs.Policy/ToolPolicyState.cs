using System.Collections.Immutable;
using Rynxs.Policy.Rates;

namespace Rynxs.Policy;

/// <summary>What the policy remembers about one agent between calls; a value. Buckets survive a changed model where the limit is the same.</summary>
public sealed record ToolPolicyState
{
    /// <summary>No calls in flight, buckets full.</summary>
    public static ToolPolicyState Initial { get; } = new();

    /// <summary>Buckets that were ever asked.</summary>
    public ImmutableDictionary<RateLimit, TokenBucket> Buckets { get; init; } = ImmutableDictionary<RateLimit, TokenBucket>.Empty;

    /// <summary>Calls that were allowed and have not ended.</summary>
    public int InFlight { get; init; }

    /// <summary>One allowed call ended.</summary>
    public ToolPolicyState WithCallEnded() => this with { InFlight = Math.Max(0, InFlight - 1) };

    internal TokenBucket BucketAt(RateLimit limit, DateTimeOffset now) =>
        Buckets.TryGetValue(limit, out TokenBucket bucket) ? bucket.Fill(limit, now) : TokenBucket.Full(limit, now);
}
