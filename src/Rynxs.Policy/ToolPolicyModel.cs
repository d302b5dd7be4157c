using Rynxs.Policy.Rates;
using Rynxs.Policy.Rules;
using Rynxs.Policy.Sleep;

namespace Rynxs.Policy;

/// <summary>Everything that decides about the tools of one agent: an immutable snapshot, replaced whole when a spec changes.</summary>
public sealed record ToolPolicyModel
{
    /// <summary>Rules of the agent; their order has no meaning.</summary>
    public IReadOnlyList<ToolRule> Rules { get; init; } = [];

    /// <summary>Token buckets; every one that matches a call must hold a token.</summary>
    public IReadOnlyList<RateLimit> RateLimits { get; init; } = [];

    /// <summary>Calls at once, at least 1.</summary>
    public int MaxConcurrentCalls { get; init; } = 4;

    /// <summary>Tools that the universe forbids. Nothing in the agent's rules overrides it.</summary>
    public IReadOnlyList<Glob> UniverseDenied { get; init; } = [];

    /// <summary>When the universe lets no tool be called.</summary>
    public IReadOnlyList<SleepTime> SleepTimes { get; init; } = [];
}
