namespace Rynxs.Operator.Agents;

/// <summary>How long to wait after failures in a row: doubling, capped, and spread so that many agents do not retry together.</summary>
/// <param name="Base">After the first failure. Default 1 s.</param>
/// <param name="Cap">At most. Default 5 min.</param>
public sealed record RetryBackoff(TimeSpan Base, TimeSpan Cap)
{
    /// <summary>1 s doubling to 5 min.</summary>
    public static RetryBackoff Default { get; } = new(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5));

    /// <summary>Between a half and the whole of the exponential delay.</summary>
    /// <param name="failures">Failures in a row, 1 or more.</param>
    /// <param name="spread">0 to 1, from a random source.</param>
    public TimeSpan After(int failures, double spread)
    {
        double factor = Math.Pow(2, Math.Clamp(failures - 1, 0, 30));
        TimeSpan whole = TimeSpan.FromTicks((long)Math.Min(Base.Ticks * factor, Cap.Ticks));
        return whole * (0.5 + (0.5 * Math.Clamp(spread, 0, 1)));
    }
}
