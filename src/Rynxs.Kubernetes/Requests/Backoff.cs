namespace Rynxs.Kubernetes.Requests;

/// <summary>Waits that double up to a cap, each spread over its upper half so that many clients do not come back together.</summary>
/// <param name="First">Before the first repetition.</param>
/// <param name="Cap">At most.</param>
public sealed record Backoff(TimeSpan First, TimeSpan Cap)
{
    /// <summary>100 ms doubling to 5 s: within one call.</summary>
    public static Backoff Requests { get; } = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(5));

    /// <summary>500 ms doubling to 30 s: for lists and watches that fail.</summary>
    public static Backoff Watches { get; } = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(30));

    /// <summary>The wait after so many failures in a row, 1 or more.</summary>
    public TimeSpan After(int failures, Random random)
    {
        ArgumentNullException.ThrowIfNull(random);
        double factor = Math.Pow(2, Math.Clamp(failures - 1, 0, 30));
        TimeSpan whole = TimeSpan.FromTicks((long)Math.Min(First.Ticks * factor, Cap.Ticks));
        return whole * (0.5 + (0.5 * random.NextDouble()));
    }
}
