using Rynxs.Gateway.Egress;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Egress;

namespace Rynxs.Server.Egress;

/// <summary>From objects to what the gateway decides by. What cannot be read allows nothing; it is never left out.</summary>
internal static class EgressCompiler
{
    /// <summary>One policy.</summary>
    public static EgressLayer Layer(EgressPolicyResource policy)
    {
        try
        {
            return new EgressLayer(
                policy.Metadata.Name, [.. policy.Spec.Rules.Select(Rule)], policy.Spec.Approvals.Allowed, policy.Spec.DnsNames is { } names ? [.. names.Select(Pattern)] : null);
        }
        catch (FormatException)
        {
            // The store refuses such an object; should one get past it, it allows nothing.
            return Closed(policy.Metadata.Name);
        }
    }

    /// <summary>Allows nothing, not even what is approved: stands for a policy that is named and missing, or has no meaning.</summary>
    public static EgressLayer Closed(string name) => new(name, [], allowsGrants: false);

    /// <summary>The agent's own list; null when it has none.</summary>
    public static EgressLayer? OwnList(AgentResource agent)
    {
        if (agent.Spec.Network.AllowEgressTo.Count == 0)
        {
            return null;
        }

        return new EgressLayer("agent", [.. agent.Spec.Network.AllowEgressTo.Select((target, i) => Target(target, $"allowEgressTo[{i}]")).OfType<EgressRule>()]);
    }

    /// <summary>Every public host; only for <c>network_policy: full</c>.</summary>
    public static EgressLayer Everything { get; } = new("full",
    [
        new EgressRule
        {
            Name = "network_policy", Hosts = [HostPattern.Any], Ports = null, Protocols = [EgressProtocol.Tls, EgressProtocol.Http, EgressProtocol.Tcp], Effect = RuleEffect.Allow,
        },
    ]);

    /// <summary>What an approval opens until its end.</summary>
    public static IEnumerable<EgressRule> Grants(EgressApprovalResource approval, DateTimeOffset until)
    {
        foreach (EgressApprovalHost host in approval.Spec.Hosts)
        {
            if (HostPattern.TryParse(host.Host, out HostPattern? pattern) && !pattern.IsWildcard && Protocol(host.Protocol) is { } protocol)
            {
                yield return new EgressRule
                {
                    Name = $"approval/{approval.Metadata.Name}", Hosts = [pattern], Ports = [host.Port], Protocols = [protocol], Effect = RuleEffect.Allow, Expires = until,
                };
            }
        }
    }

    /// <summary>The smallest bound of each kind.</summary>
    public static EgressLimits Limits(IReadOnlyList<EgressPolicyResource> policies)
    {
        EgressLimits limits = new();
        foreach (EgressLimitsSpec one in policies.Select(policy => policy.Spec.Limits))
        {
            limits = limits with
            {
                MaxConnections = Math.Min(limits.MaxConnections, one.Connections ?? int.MaxValue),
                MaxFlows = Math.Min(limits.MaxFlows, one.Flows ?? int.MaxValue),
                MaxFlowsPerSecond = Math.Min(limits.MaxFlowsPerSecond, one.FlowsPerSecond ?? int.MaxValue),
                MaxBytesOut = Math.Min(limits.MaxBytesOut, one.BytesOut ?? long.MaxValue),
                MaxBytesIn = Math.Min(limits.MaxBytesIn, one.BytesIn ?? long.MaxValue),
                IdleTimeout = Least(limits.IdleTimeout, one.IdleSeconds),
                MaxFlowTime = Least(limits.MaxFlowTime, one.FlowSeconds),
            };
        }

        return limits;

        static TimeSpan Least(TimeSpan time, int? seconds) => seconds is { } given && given < time.TotalSeconds ? TimeSpan.FromSeconds(given) : time;
    }

    /// <summary>Whether a policy selects the agent, or the agent id that has no object.</summary>
    public static bool Selects(EgressPolicyResource policy, string agentId, AgentResource? agent, bool isExecution)
    {
        if (policy.Spec.AppliesTo is not { } applies)
        {
            return false;
        }

        return applies.Agents.Contains(agentId)
            || isExecution && applies.Executions
            || agent is not null
                && (applies.MatchLabels.Count > 0 && applies.MatchLabels.All(label => agent.Metadata.Labels.TryGetValue(label.Key, out string? value) && value == label.Value)
                    || applies.UniverseRef is { } universe && agent.Spec.UniverseRef == universe);
    }

    private static EgressRule Rule(EgressRuleSpec rule) => new()
    {
        Name = rule.Name,
        Hosts = [.. rule.Hosts.Select(Pattern)],
        Ports = rule.Ports.Count > 0 ? rule.Ports : rule.Protocols.Contains("http") ? rule.Protocols.Contains("tls") ? [80, 443] : [80] : [443],
        Protocols = [.. rule.Protocols.Select(protocol => Protocol(protocol) ?? throw new FormatException(protocol))],
        Effect = rule.Effect switch
        {
            "allow" => RuleEffect.Allow,
            "ask" => RuleEffect.Ask,
            "deny" => RuleEffect.Deny,
            _ => throw new FormatException(rule.Effect),
        },
        Priority = rule.Priority,
        Methods = rule.Methods,
        Paths = rule.Paths is { } paths ? [.. paths.Select(path => new Glob(path))] : null,
    };

    private static HostPattern Pattern(string text) => HostPattern.TryParse(text, out HostPattern? pattern) ? pattern : throw new FormatException(text);

    public static EgressProtocol? Protocol(string name) => name switch
    {
        "tls" => EgressProtocol.Tls,
        "http" => EgressProtocol.Http,
        "tcp" => EgressProtocol.Tcp,
        _ => null,
    };

    /// <summary>A host, <c>host:port</c> or URL of the agent's own list; null for what names no host, which allows nothing.</summary>
    private static EgressRule? Target(string target, string name)
    {
        (string authority, IReadOnlyList<EgressProtocol> protocols, IReadOnlyList<int> ports) =
            Uri.TryCreate(target, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https" && url.Host.Length > 0
                ? (url.Host, url.Scheme == "https" ? (IReadOnlyList<EgressProtocol>)[EgressProtocol.Tls] : [EgressProtocol.Http], (IReadOnlyList<int>)[url.Port])
                : (target, [EgressProtocol.Tls, EgressProtocol.Http], [443, 80]);
        int colon = authority.LastIndexOf(':');
        if (colon > 0 && int.TryParse(authority.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture, out int port) && port is > 0 and <= ushort.MaxValue)
        {
            (authority, ports) = (authority[..colon], [port]);
        }

        return HostPattern.TryParse(authority, out HostPattern? pattern)
            ? new EgressRule { Name = name, Hosts = [pattern], Ports = ports, Protocols = protocols, Effect = RuleEffect.Allow }
            : null;
    }
}
