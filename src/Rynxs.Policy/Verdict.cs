using System.Diagnostics;

namespace Rynxs.Policy;

/// <summary>What the policy says about one call.</summary>
public abstract record Verdict
{
    private Verdict()
    {
    }

    /// <summary>Name of the deciding rule; null when none matched.</summary>
    public abstract string? Rule { get; }

    /// <summary>Stable code of the reason.</summary>
    public abstract DecisionReason Reason { get; }

    /// <summary>The call may run now.</summary>
    public sealed record Allow(string AllowingRule) : Verdict
    {
        /// <inheritdoc/>
        public override string? Rule => AllowingRule;

        /// <inheritdoc/>
        public override DecisionReason Reason => DecisionReason.RuleAllows;
    }

    /// <summary>The call must not run.</summary>
    /// <param name="DenyReason">Why.</param>
    /// <param name="DenyingRule">The rule, when one decided.</param>
    /// <param name="RetryAfter">When the reason passes by itself; null when it does not.</param>
    public sealed record Deny(DecisionReason DenyReason, string? DenyingRule, TimeSpan? RetryAfter = null) : Verdict
    {
        /// <inheritdoc/>
        public override string? Rule => DenyingRule;

        /// <inheritdoc/>
        public override DecisionReason Reason => DenyReason;
    }

    /// <summary>A person must approve this very call first.</summary>
    public sealed record Ask(string AskingRule) : Verdict
    {
        /// <inheritdoc/>
        public override string? Rule => AskingRule;

        /// <inheritdoc/>
        public override DecisionReason Reason => DecisionReason.RuleAsks;
    }

    /// <summary>Makes the caller name every case.</summary>
    public T Match<T>(Func<Allow, T> onAllow, Func<Deny, T> onDeny, Func<Ask, T> onAsk) => this switch
    {
        Allow allow => onAllow(allow),
        Deny deny => onDeny(deny),
        Ask ask => onAsk(ask),
        _ => throw new UnreachableException(),
    };
}

/// <summary>Why. <see cref="DecisionReasons.Code"/> gives the stable text of records.</summary>
public enum DecisionReason
{
    RuleAllows,
    RuleDenies,
    RuleAsks,

    /// <summary>No rule matched: denied.</summary>
    NoRuleMatches,

    /// <summary>The universe forbids the tool, whatever the agent's rules say.</summary>
    UniverseDenies,

    /// <summary>A sleep window of the universe is open.</summary>
    Sleeping,
    RateLimited,
    TooManyConcurrentCalls,

    /// <summary>The call itself is malformed: its arguments are not an object, or its tool name is not one.</summary>
    InvalidCall,
}

/// <summary>Stable texts.</summary>
public static class DecisionReasons
{
    /// <summary>snake_case code for records and messages.</summary>
    public static string Code(this DecisionReason reason) => reason switch
    {
        DecisionReason.RuleAllows => "rule_allows",
        DecisionReason.RuleDenies => "rule_denies",
        DecisionReason.RuleAsks => "rule_asks",
        DecisionReason.NoRuleMatches => "no_rule_matches",
        DecisionReason.UniverseDenies => "universe_denies",
        DecisionReason.Sleeping => "sleeping",
        DecisionReason.RateLimited => "rate_limited",
        DecisionReason.TooManyConcurrentCalls => "too_many_concurrent_calls",
        DecisionReason.InvalidCall => "invalid_call",
        _ => throw new UnreachableException(),
    };
}
