namespace Rynxs.Policy.Rates;

/// <summary>
/// State of one token bucket, as a value. Counted in whole units of 1/<see cref="UnitsPerToken"/> token, so that nothing is lost to
/// rounding however often it is asked: one tick (100 ns) at N tokens a minute adds exactly N units.
/// </summary>
/// <param name="Units">What it holds.</param>
/// <param name="At">The latest moment it was filled for; never goes back.</param>
public readonly record struct TokenBucket(long Units, DateTimeOffset At)
{
    /// <summary>Ticks of a minute: the rate per minute, per tick, is then a whole number of units.</summary>
    public const long UnitsPerToken = TimeSpan.TicksPerMinute;

    /// <summary>A full bucket.</summary>
    public static TokenBucket Full(RateLimit limit, DateTimeOffset now) => new(limit.Burst * UnitsPerToken, now);

    /// <summary>
    /// The bucket at a later moment. A clock that was set back adds nothing and takes nothing; once it passes <see cref="At"/> again the
    /// bucket goes on, so setting it back and forth gains no token.
    /// </summary>
    public TokenBucket Fill(RateLimit limit, DateTimeOffset now)
    {
        long ticks = (now - At).Ticks;
        if (ticks <= 0)
        {
            return Clamp(limit);
        }

        long capacity = limit.Burst * UnitsPerToken;
        long missing = Math.Max(0, capacity - Units);

        // Longer than it takes to fill the bucket: the product could overflow, and is not needed.
        long added = ticks > missing / limit.PerMinute ? missing : ticks * limit.PerMinute;
        return new TokenBucket(Math.Min(capacity, Units + added), now);
    }

    /// <summary>Whether a token is there.</summary>
    public bool HasToken => Units >= UnitsPerToken;

    /// <summary>The bucket without one token.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public TokenBucket Take() => HasToken
        ? this with { Units = Units - UnitsPerToken }
        : throw new InvalidOperationException("The bucket holds no token.");

    /// <summary>How long until a token is there; zero when one is.</summary>
    public TimeSpan Wait(RateLimit limit) => HasToken
        ? TimeSpan.Zero
        : TimeSpan.FromTicks((UnitsPerToken - Units + limit.PerMinute - 1) / limit.PerMinute);

    // The limit may have been lowered since.
    private TokenBucket Clamp(RateLimit limit) => this with { Units = Math.Min(Units, limit.Burst * UnitsPerToken) };
}
