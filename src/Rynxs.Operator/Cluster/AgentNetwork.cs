using System.Net;
using System.Text.Json.Nodes;
using Rynxs.Resources.Agents;

namespace Rynxs.Operator.Cluster;

/// <summary>
/// The NetworkPolicies of an agent. Both directions are denied by default for its pod and for its sandboxes'; what is opened is named one by one. A role
/// opens nothing, so changing it leaves nothing open.
/// </summary>
/// <remarks>
/// NetworkPolicies know addresses and pods, no names: names are reached through the gateway, which judges them, and not at all where there is no gateway.
/// Enforcing them is up to the cluster's network plugin.
/// </remarks>
internal static class AgentNetwork
{
    // Where clouds keep their metadata service, and what is nobody's: RFC 3927, RFC 4291 (link-local, loopback).
    private static readonly IPNetwork[] NeverReached =
        [IPNetwork.Parse("169.254.0.0/16"), IPNetwork.Parse("127.0.0.0/8"), IPNetwork.Parse("fe80::/10"), IPNetwork.Parse("::1/128"), IPNetwork.Parse("fd00:ec2::254/128")];

    /// <summary>Egress of the agent's own pod, and what of its spec cannot be reached from it.</summary>
    public static (JsonArray Rules, IReadOnlyList<string> Unreachable) AgentEgress(AgentSpec spec, ClusterOptions options)
    {
        var rules = new JsonArray();
        List<string> unreachable = [];
        bool names = false;
        foreach (EgressTarget target in Targets(spec))
        {
            switch (target)
            {
                case EgressTarget.Addresses addresses when Peer(addresses.Block, options) is { } peer:
                    rules.Add(Rule([peer], addresses.Port is { } port ? Ports(("TCP", port)) : null));
                    break;
                case EgressTarget.Name:
                    names = true;
                    if (options.Gateway is null)
                        unreachable.Add(target.ToString());
                    break;
                default:
                    unreachable.Add(target.ToString());
                    break;
            }
        }

        ClusterPeer?[] ours = [options.Ledger, names ? options.Gateway : null];
        foreach (ClusterPeer peer in ours.OfType<ClusterPeer>())
        {
            rules.Add(Rule([Pods(peer)], Ports(("TCP", peer.Port))));
        }

        // Ours are found by the names of their Services; addresses need no resolver.
        if (ours.Any(peer => peer is not null))
        {
            rules.Add(Rule([Pods(options.Resolver)], Ports(("UDP", options.Resolver.Port), ("TCP", options.Resolver.Port))));
        }

        return (rules, unreachable);
    }

    /// <summary>Egress of the agent's sandboxes: our gateway and nothing else. They resolve nothing: the gateway does.</summary>
    public static JsonArray SandboxEgress(ClusterOptions options) =>
        options.Gateway is { } gateway ? [Rule([Pods(gateway)], Ports(("TCP", gateway.Port)))] : [];

    /// <summary>A policy that selects pods by labels, denies both directions, and opens what the rules say.</summary>
    /// <remarks>Empty lists are stated: what is not, an apply would leave to whoever else writes it.</remarks>
    public static JsonObject Policy(JsonObject podLabels, JsonArray egress) => new()
    {
        ["podSelector"] = new JsonObject { ["matchLabels"] = podLabels },
        ["policyTypes"] = new JsonArray("Ingress", "Egress"),
        ["ingress"] = new JsonArray(),
        ["egress"] = egress,
    };

    private static IEnumerable<EgressTarget> Targets(AgentSpec spec)
    {
        foreach (string entry in spec.Network.AllowEgressTo)
        {
            yield return EgressTarget.Parse(entry);
        }

        if (spec.Provider is { Kind: not "scripted", BaseUrl: { } model })
        {
            yield return EgressTarget.Parse(model);
        }
    }

    /// <summary>The block without what no agent reaches; null when nothing is left of it.</summary>
    private static JsonObject? Peer(IPNetwork block, ClusterOptions options)
    {
        var except = new JsonArray();
        foreach (IPNetwork kept in NeverReached.Concat(options.ProtectedRanges.Select(IPNetwork.Parse)))
        {
            if (kept.BaseAddress.AddressFamily != block.BaseAddress.AddressFamily)
                continue;
            if (kept.Contains(block.BaseAddress) && kept.PrefixLength <= block.PrefixLength)
                return null;
            if (block.Contains(kept.BaseAddress))
                except.Add($"{kept}");
        }

        var range = new JsonObject { ["cidr"] = $"{block}" };
        if (except.Count > 0)
            range["except"] = except;
        return new JsonObject { ["ipBlock"] = range };
    }

    private static JsonObject Pods(ClusterPeer peer) => new()
    {
        // The name label is set by the API server itself and cannot be given to another namespace.
        ["namespaceSelector"] = new JsonObject { ["matchLabels"] = new JsonObject { ["kubernetes.io/metadata.name"] = peer.Namespace } },
        ["podSelector"] = new JsonObject
        {
            ["matchLabels"] = new JsonObject(peer.Labels.OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => KeyValuePair.Create(label.Key, (JsonNode?)label.Value))),
        },
    };

    private static JsonObject Rule(JsonArray peers, JsonArray? ports)
    {
        var rule = new JsonObject { ["to"] = peers };
        if (ports is not null)
            rule["ports"] = ports;
        return rule;
    }

    private static JsonArray Ports(params ReadOnlySpan<(string Protocol, int Port)> ports)
    {
        var list = new JsonArray();
        foreach ((string protocol, int port) in ports)
            list.Add(new JsonObject { ["protocol"] = protocol, ["port"] = port });
        return list;
    }
}
