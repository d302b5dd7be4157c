using System.Net;
using System.Text.Json.Nodes;

namespace Rynxs.Operator.Tests.Network;

/// <summary>Somebody on the network: a pod with labels in a namespace, or an address outside.</summary>
internal sealed record Party(string Name, string Address)
{
    public string? Namespace { get; init; }

    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    public bool IsPod => Namespace is not null;
}

/// <summary>
/// What NetworkPolicies let through (networking.k8s.io/v1): a pod that a policy selects for a direction is closed in it but for the union of what its policies
/// open; others are open. An address block is taken to match pods too, which plugins may do: the answer errs towards reachable.
/// </summary>
internal sealed class PolicyEvaluator(IEnumerable<JsonObject> policies)
{
    private readonly JsonObject[] _policies = [.. policies];

    public bool Reaches(Party from, Party to, int port, string protocol = "TCP") =>
        Passes(from, to, port, protocol, "Egress", "egress", "to") && Passes(to, from, port, protocol, "Ingress", "ingress", "from");

    private bool Passes(Party self, Party other, int port, string protocol, string direction, string rules, string peers)
    {
        if (!self.IsPod)
            return true;
        JsonObject[] selecting = [.. _policies.Where(policy =>
            (string?)policy["metadata"]?["namespace"] == self.Namespace && Selects(policy["spec"]!["podSelector"], self.Labels)
            && Directions(policy["spec"]!).Contains(direction))];
        return selecting.Length == 0 || selecting.Any(policy => (policy["spec"]![rules] as JsonArray ?? []).Any(rule =>
            Ports(rule!["ports"] as JsonArray, port, protocol)
            && (rule[peers] is not JsonArray { Count: > 0 } list || list.Any(peer => Matches(peer!, other, self.Namespace!)))));
    }

    private static string[] Directions(JsonNode spec) =>
        spec["policyTypes"] is JsonArray types ? [.. types.Select(type => (string)type!)] : spec["egress"] is null ? ["Ingress"] : ["Ingress", "Egress"];

    private static bool Ports(JsonArray? ports, int port, string protocol) => ports is not { Count: > 0 } || ports.Any(entry =>
        ((string?)entry!["protocol"] ?? "TCP") == protocol && (entry["port"] is null || ((int)entry["port"]! <= port && port <= ((int?)entry["endPort"] ?? (int)entry["port"]!))));

    private static bool Matches(JsonNode peer, Party other, string ownNamespace)
    {
        if (peer["ipBlock"] is { } block)
        {
            IPAddress address = IPAddress.Parse(other.Address);
            return IPNetwork.Parse((string)block["cidr"]!).Contains(address)
                && !(block["except"] as JsonArray ?? []).Any(except => IPNetwork.Parse((string)except!).Contains(address));
        }

        return other.IsPod
            && (peer["namespaceSelector"] is { } namespaces
                ? Selects(namespaces, new Dictionary<string, string> { ["kubernetes.io/metadata.name"] = other.Namespace! })
                : other.Namespace == ownNamespace)
            && (peer["podSelector"] is not { } pods || Selects(pods, other.Labels));
    }

    private static bool Selects(JsonNode? selector, IReadOnlyDictionary<string, string> labels)
    {
        selector?["matchExpressions"].ShouldBeNull("this evaluator knows matchLabels alone");
        return (selector?["matchLabels"] as JsonObject ?? []).All(wanted => labels.TryGetValue(wanted.Key, out string? value) && value == (string?)wanted.Value);
    }
}
