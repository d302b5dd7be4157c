using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Rates;

/// <summary>A token bucket for the tools that match.</summary>
public sealed record RateLimit
{
    /// <exception cref="ArgumentOutOfRangeException">A number is outside 1 to 60,000.</exception>
    public RateLimit(Glob tool, int perMinute, int burst)
    {
        ArgumentNullException.ThrowIfNull(tool);
        ArgumentOutOfRangeException.ThrowIfLessThan(perMinute, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(perMinute, 60_000);
        ArgumentOutOfRangeException.ThrowIfLessThan(burst, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(burst, 60_000);
        Tool = tool;
        PerMinute = perMinute;
        Burst = burst;
    }

    /// <summary>Which tools share the bucket.</summary>
    public Glob Tool { get; }

    /// <summary>Tokens added per minute, evenly.</summary>
    public int PerMinute { get; }

    /// <summary>Most tokens the bucket holds.</summary>
    public int Burst { get; }
}
