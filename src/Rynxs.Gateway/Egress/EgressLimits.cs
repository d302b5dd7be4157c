namespace Rynxs.Gateway.Egress;

/// <summary>Bounds on what one sandbox may use of the way out. Every one is enforced while bytes flow, not only at the start.</summary>
public sealed record EgressLimits
{
    /// <summary>Connections from the sandbox at once, 1 to 10,000; further ones are closed unanswered. Default 128.</summary>
    public int MaxConnections { get; init; } = 128;

    /// <summary>Tunnels and requests at once, 1 to 10,000; further ones answer 429. Default 64.</summary>
    public int MaxFlows { get; init; } = 64;

    /// <summary>New tunnels and requests per second, with a burst of as many; further ones answer 429. Default 50.</summary>
    public int MaxFlowsPerSecond { get; init; } = 50;

    /// <summary>Bytes that the sandbox may send in its life. Default 1 GiB.</summary>
    public long MaxBytesOut { get; init; } = 1L << 30;

    /// <summary>Bytes that the sandbox may receive in its life. Default 8 GiB.</summary>
    public long MaxBytesIn { get; init; } = 8L << 30;

    /// <summary>A tunnel over which nothing went for so long is closed. Default 2 minutes.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Longest life of a tunnel or request. Default 1 hour.</summary>
    public TimeSpan MaxFlowTime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>For the proxy request and, in a tunnel, the first bytes inside it. Default 10 seconds.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>For resolving a name and connecting to it. Default 10 seconds.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    internal void ThrowIfInvalid()
    {
        ThrowIfOutside(MaxConnections, 1, 10_000, nameof(MaxConnections));
        ThrowIfOutside(MaxFlows, 1, 10_000, nameof(MaxFlows));
        ThrowIfOutside(MaxFlowsPerSecond, 1, 100_000, nameof(MaxFlowsPerSecond));
        ThrowIfOutside(MaxBytesOut, 0, long.MaxValue, nameof(MaxBytesOut));
        ThrowIfOutside(MaxBytesIn, 0, long.MaxValue, nameof(MaxBytesIn));
        ThrowIfOutside(IdleTimeout, TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(1), nameof(IdleTimeout));
        ThrowIfOutside(MaxFlowTime, TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(7), nameof(MaxFlowTime));
        ThrowIfOutside(HandshakeTimeout, TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(5), nameof(HandshakeTimeout));
        ThrowIfOutside(ConnectTimeout, TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(5), nameof(ConnectTimeout));
    }

    private static void ThrowIfOutside<T>(T value, T least, T most, string name)
        where T : IComparable<T>
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, least, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, most, name);
    }
}
