using System.Threading.RateLimiting;
using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity;

/// <summary>
/// How many requests one principal may begin, as a bucket that holds twice what a second brings: one client in a loop must not take the server from the
/// others. Requests that last count once, when they begin.
/// </summary>
internal sealed class RequestRates(int requestsPerSecond) : IDisposable
{
    private readonly PartitionedRateLimiter<string> _limiter = PartitionedRateLimiter.Create<string, string>(name =>
        RateLimitPartition.GetTokenBucketLimiter(name, _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = requestsPerSecond * 2,
            TokensPerPeriod = Math.Max(1, requestsPerSecond / 10),
            ReplenishmentPeriod = TimeSpan.FromMilliseconds(100),
            QueueLimit = 0,
            AutoReplenishment = true,
        }));

    /// <summary>Whether the principal may begin another request now.</summary>
    public bool TryBegin(Principal principal)
    {
        using RateLimitLease lease = _limiter.AttemptAcquire(principal.Name);
        return lease.IsAcquired;
    }

    public void Dispose() => _limiter.Dispose();
}
