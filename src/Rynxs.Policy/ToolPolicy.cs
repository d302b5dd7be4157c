using System.Collections.Immutable;
using System.Text.Json;
using Rynxs.Policy.Approvals;
using Rynxs.Policy.Rates;
using Rynxs.Policy.Rules;

namespace Rynxs.Policy;

/// <summary>
/// Decides whether a tool may be called. Pure: the same model, call, state and moment give the same decision.
/// </summary>
/// <remarks>
/// <para>Checks, in order; the first that objects decides: the call's form; tools the universe denies; sleep windows; the agent's rules;
/// concurrency; rate limits. So whatever the universe says is at least as strict as the agent's rules.</para>
/// <para>Among rules that match, the highest priority decides; at equal priority deny wins over ask and ask over allow; no match is deny.
/// The order in which rules are written means nothing.</para>
/// </remarks>
public static class ToolPolicy
{
    /// <summary>Longest tool name: 128 characters.</summary>
    public const int MaxToolNameLength = 128;

    /// <summary>Decides, and accounts for the call when it is allowed.</summary>
    /// <param name="model">The rules.</param>
    /// <param name="call">The call; its arguments have passed the tool's schema.</param>
    /// <param name="state">What was used so far.</param>
    /// <param name="now">The moment.</param>
    /// <param name="approval">An approval that the caller holds: it turns ask into allow when it is for this very subject and not expired.</param>
    public static Decision Decide(ToolPolicyModel model, ToolCall call, ToolPolicyState state, DateTimeOffset now, GrantedApproval? approval = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(state);
        Verdict verdict = Judge(model, call, now).Verdict;
        if (verdict is Verdict.Ask ask && approval is not null && now < approval.Expires
            && string.Equals(approval.SubjectHash, ApprovalSubject.Hash(call), StringComparison.Ordinal))
        {
            verdict = new Verdict.Allow(ask.AskingRule);
        }

        return verdict is Verdict.Deny ? new Decision(verdict, state) : Account(model, call, state, now, verdict);
    }

    /// <summary>Every rule that was considered, which matched, which decided and why. Concurrency and rates are shown as they are now; nothing is used up.</summary>
    public static Explanation Explain(ToolPolicyModel model, ToolCall call, ToolPolicyState state, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(call);
        ArgumentNullException.ThrowIfNull(state);
        (_, IReadOnlyList<ConsideredRule> considered) = Judge(model, call, now);
        return new Explanation(Decide(model, call, state, now).Verdict, considered);
    }

    private static (Verdict Verdict, IReadOnlyList<ConsideredRule> Considered) Judge(ToolPolicyModel model, ToolCall call, DateTimeOffset now)
    {
        ImmutableArray<ConsideredRule> considered = [.. model.Rules.Select(rule => Consider(rule, call))];
        if (!IsWellFormed(call))
        {
            return (new Verdict.Deny(DecisionReason.InvalidCall, null), considered);
        }

        if (model.UniverseDenied.FirstOrDefault(glob => glob.IsMatch(call.Tool)) is { } denied)
        {
            return (new Verdict.Deny(DecisionReason.UniverseDenies, $"universe:{denied}"), considered);
        }

        if (model.SleepTimes.Any(window => window.Contains(now)))
        {
            return (new Verdict.Deny(DecisionReason.Sleeping, null), considered);
        }

        // Names break ties, so that the same rule is named whatever the order of the list.
        ToolRule? decisive = considered.Where(rule => rule.Matched).Select(rule => rule.Rule)
            .OrderByDescending(rule => rule.Priority)
            .ThenByDescending(rule => rule.Effect)
            .ThenBy(rule => rule.Name, StringComparer.Ordinal)
            .FirstOrDefault();
        Verdict verdict = decisive switch
        {
            null => new Verdict.Deny(DecisionReason.NoRuleMatches, null),
            { Effect: RuleEffect.Allow } => new Verdict.Allow(decisive.Name),
            { Effect: RuleEffect.Ask } => new Verdict.Ask(decisive.Name),
            _ => new Verdict.Deny(DecisionReason.RuleDenies, decisive.Name),
        };
        return (verdict, [.. considered.Select(rule => rule with { Decided = ReferenceEquals(rule.Rule, decisive) })]);
    }

    private static Decision Account(ToolPolicyModel model, ToolCall call, ToolPolicyState state, DateTimeOffset now, Verdict verdict)
    {
        if (state.InFlight >= model.MaxConcurrentCalls)
        {
            return new Decision(new Verdict.Deny(DecisionReason.TooManyConcurrentCalls, null), state);
        }

        ImmutableDictionary<RateLimit, TokenBucket> buckets = state.Buckets;
        TimeSpan wait = TimeSpan.Zero;
        RateLimit? empty = null;
        foreach (RateLimit limit in model.RateLimits.Where(limit => limit.Tool.IsMatch(call.Tool)))
        {
            TokenBucket bucket = state.BucketAt(limit, now);
            if (bucket.HasToken)
            {
                // Asking a person uses no token: the call itself will, when it is approved and decided again.
                buckets = buckets.SetItem(limit, verdict is Verdict.Allow ? bucket.Take() : bucket);
            }
            else if (bucket.Wait(limit) >= wait)
            {
                wait = bucket.Wait(limit);
                empty = limit;
            }
        }

        if (empty is not null)
        {
            return new Decision(new Verdict.Deny(DecisionReason.RateLimited, $"rate:{empty.Tool}", wait), state);
        }

        return new Decision(verdict, state with { Buckets = buckets, InFlight = state.InFlight + (verdict is Verdict.Allow ? 1 : 0) });
    }

    private static bool IsWellFormed(ToolCall call) =>
        call.Arguments.ValueKind == JsonValueKind.Object
        && call.Tool.Length is > 0 and <= MaxToolNameLength
        && call.Tool.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    private static ConsideredRule Consider(ToolRule rule, ToolCall call)
    {
        if (!rule.Tools.Any(glob => glob.IsMatch(call.Tool)))
        {
            return new ConsideredRule(rule, Matched: false, "other tool");
        }

        bool whenUnreadable = rule.Effect != RuleEffect.Allow;
        ArgumentConstraint? failed = rule.Arguments.FirstOrDefault(constraint => !constraint.IsSatisfiedBy(call.Arguments, whenUnreadable));
        return failed is null
            ? new ConsideredRule(rule, Matched: true, "matches")
            : new ConsideredRule(rule, Matched: false, $"argument '{failed.Argument}' fails {failed.GetType().Name}");
    }
}

/// <summary>A verdict and the state after it.</summary>
public sealed record Decision(Verdict Verdict, ToolPolicyState State);

/// <summary>One rule, as it was looked at.</summary>
/// <param name="Rule">Which.</param>
/// <param name="Matched">Tool and all argument constraints match.</param>
/// <param name="Because">Why it matched or not.</param>
/// <param name="Decided">It is the one that decided (a universe rule, a rate or a limit may still have overruled it).</param>
public sealed record ConsideredRule(ToolRule Rule, bool Matched, string Because, bool Decided = false);

/// <summary>How a verdict came about.</summary>
public sealed record Explanation(Verdict Verdict, IReadOnlyList<ConsideredRule> Considered);
