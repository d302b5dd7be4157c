using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Egress;

/// <summary>Decides what a sandbox may reach. Pure: the same model, request and moment give the same verdict.</summary>
/// <remarks>
/// Within a layer as for tools: the highest priority among matching rules decides, at equal priority deny wins over ask and ask over allow, no match is deny,
/// and the order of rules means nothing. Every layer must allow, so the strictest wins. A grant stands in for a rule that is not there, or that asks, in the
/// layers that allow grants; it never overrides a rule that denies.
/// </remarks>
public static class EgressPolicy
{
    /// <summary>The name that nothing allows, whatever the rules: probes ask for it. Names below <c>.invalid</c> exist nowhere (RFC 6761 6.4).</summary>
    public static HostName ProbeHost { get; } = HostName.TryParse("probe.rynxs.invalid", out HostName? name) ? name : throw new FormatException();

    /// <summary>Decides about one request or tunnel.</summary>
    public static Verdict Decide(EgressPolicyModel model, EgressRequest request, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        if (!IsWellFormed(request))
        {
            return new Verdict.Deny(DecisionReason.InvalidCall, null);
        }

        if (IsNowhere(request.Host))
        {
            return new Verdict.Deny(DecisionReason.NoRuleMatches, null);
        }

        // This runs for each request of a keep-alive connection: a look-up by host and no list of intermediate results.
        EgressRule? grant = null;
        string? allowing = null, asking = null;
        bool missing = false;
        for (int i = 0; i < Math.Max(1, model.Layers.Count); i++)
        {
            EgressLayer layer = model.Layers.Count == 0 ? EgressLayer.Empty : model.Layers[i];
            EgressRule? rule = layer.Find(request, now);
            if (rule is not null && rule.Effect == RuleEffect.Deny)
            {
                return new Verdict.Deny(DecisionReason.RuleDenies, layer.NameOf(rule));
            }

            if (rule is not null && rule.Effect == RuleEffect.Allow)
            {
                allowing ??= layer.NameOf(rule);
            }
            else if (layer.AllowsGrants && (grant ?? FindGrant(model, request, now)) is { } found)
            {
                (grant, allowing) = (found, found.Name);
            }
            else if (rule is null)
            {
                missing = true;
            }
            else
            {
                asking ??= layer.NameOf(rule);
            }
        }

        return missing ? new Verdict.Deny(DecisionReason.NoRuleMatches, null)
            : asking is not null ? new Verdict.Ask(asking)
            : new Verdict.Allow(allowing ?? "");
    }

    /// <summary>
    /// Whether any rule could let the host be reached at all: what a DNS answer for a sandbox is decided on. A name that nothing allows is not
    /// looked up, so that a query itself carries nothing out.
    /// </summary>
    public static bool MayResolve(EgressPolicyModel model, HostName host, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(host);
        if (IsNowhere(host))
        {
            return false;
        }

        bool granted = model.Grants.Any(rule => !EgressLayer.HasExpired(rule, now) && rule.Hosts.Any(pattern => pattern.IsMatch(host)));
        return model.Layers.Count == 0
            ? granted
            : model.Layers.All(layer => layer.MayResolve(host, now) || granted && layer.AllowsGrants && layer.IsAnswered(host));
    }

    /// <summary>Whether an approval could open this: no layer denies it by a rule, and each layer that does not allow it allows grants. Only such a denial is worth offering.</summary>
    public static bool CouldBeGranted(EgressPolicyModel model, EgressRequest request, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        return IsWellFormed(request) && !IsNowhere(request.Host)
            && model.Layers.All(layer => layer.Find(request, now) is var rule && (rule is { Effect: RuleEffect.Allow } || rule is not { Effect: RuleEffect.Deny } && layer.AllowsGrants));
    }

    private static bool IsNowhere(HostName host) => host.Text.EndsWith(".invalid", StringComparison.Ordinal);

    private static EgressRule? FindGrant(EgressPolicyModel model, EgressRequest request, DateTimeOffset now)
    {
        foreach (EgressRule rule in model.Grants)
        {
            if (rule.Hosts.Any(pattern => pattern.IsMatch(request.Host)) && EgressLayer.Matches(rule, request, now))
            {
                return rule;
            }
        }

        return null;
    }

    private static bool IsWellFormed(EgressRequest request) =>
        request.Port is > 0 and <= ushort.MaxValue
        && (request.Protocol == EgressProtocol.Http
            ? request is { Method.Length: > 0, Path: ['/', ..] }
            : request is { Method: null, Path: null });
}
