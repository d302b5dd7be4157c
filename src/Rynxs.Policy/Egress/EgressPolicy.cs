using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Egress;

/// <summary>Decides what a sandbox may reach. Pure: the same model, request and moment give the same verdict.</summary>
/// <remarks>
/// As for tools: the highest priority among matching rules decides, at equal priority deny wins over ask and ask over allow, no match is deny,
/// and the order of rules means nothing.
/// </remarks>
public static class EgressPolicy
{
    /// <summary>Decides about one request or tunnel.</summary>
    public static Verdict Decide(EgressPolicyModel model, EgressRequest request, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        if (!IsWellFormed(request))
        {
            return new Verdict.Deny(DecisionReason.InvalidCall, null);
        }

        // One pass, nothing allocated: this runs for each request of a keep-alive connection.
        EgressRule? decisive = null;
        foreach (EgressRule rule in model.Rules)
        {
            if (Matches(rule, request, now) && (decisive is null || Outranks(rule, decisive)))
            {
                decisive = rule;
            }
        }

        return decisive switch
        {
            null => new Verdict.Deny(DecisionReason.NoRuleMatches, null),
            { Effect: RuleEffect.Allow } => new Verdict.Allow(decisive.Name),
            { Effect: RuleEffect.Ask } => new Verdict.Ask(decisive.Name),
            _ => new Verdict.Deny(DecisionReason.RuleDenies, decisive.Name),
        };
    }

    /// <summary>
    /// Whether any rule could let the host be reached at all: what a DNS answer for a sandbox is decided on. A name that nothing allows is not
    /// looked up, so that a query itself carries nothing out.
    /// </summary>
    public static bool MayResolve(EgressPolicyModel model, HostName host, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(host);
        return model.Rules.Any(rule => rule.Effect == RuleEffect.Allow && !HasExpired(rule, now) && rule.Hosts.Any(pattern => pattern.IsMatch(host)));
    }

    private static bool Outranks(EgressRule rule, EgressRule other) =>
        rule.Priority != other.Priority ? rule.Priority > other.Priority
        : rule.Effect != other.Effect ? rule.Effect > other.Effect
        : string.CompareOrdinal(rule.Name, other.Name) < 0;

    private static bool Matches(EgressRule rule, EgressRequest request, DateTimeOffset now)
    {
        if (HasExpired(rule, now) || !rule.Ports.Contains(request.Port) || !rule.Protocols.Contains(request.Protocol))
        {
            return false;
        }

        bool host = false;
        foreach (HostPattern pattern in rule.Hosts)
        {
            if (pattern.IsMatch(request.Host))
            {
                host = true;
                break;
            }
        }

        return host && MatchesContent(rule, request);
    }

    /// <summary>
    /// A condition on what cannot be seen (the inside of a tunnel) holds for rules that forbid or ask and fails for rules that allow, so that a
    /// tunnel is never the way around a condition.
    /// </summary>
    private static bool MatchesContent(EgressRule rule, EgressRequest request)
    {
        if (rule.Methods is null && rule.Paths is null)
        {
            return true;
        }

        if (request.Protocol != EgressProtocol.Http)
        {
            return rule.Effect != RuleEffect.Allow;
        }

        return (rule.Methods is null || rule.Methods.Contains(request.Method))
            && (rule.Paths is null || rule.Paths.Any(path => path.IsMatch(request.Path)));
    }

    private static bool HasExpired(EgressRule rule, DateTimeOffset now) => rule.Expires is { } expires && now >= expires;

    private static bool IsWellFormed(EgressRequest request) =>
        request.Port is > 0 and <= ushort.MaxValue
        && (request.Protocol == EgressProtocol.Http
            ? request is { Method.Length: > 0, Path: ['/', ..] }
            : request is { Method: null, Path: null });
}
