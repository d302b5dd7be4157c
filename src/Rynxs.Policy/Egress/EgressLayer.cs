using System.Collections.Frozen;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Egress;

/// <summary>One policy as it is decided by: its rules, found by host without looking at the others.</summary>
public sealed class EgressLayer
{
    private readonly FrozenDictionary<string, EgressRule[]> _exact;
    private readonly FrozenDictionary<string, EgressRule[]> _below;
    private readonly EgressRule[] _any;
    private readonly IReadOnlyList<HostPattern>? _dnsNames;

    /// <summary>An immutable snapshot of a policy.</summary>
    /// <param name="name">Of the policy; stands before the names of its rules in verdicts. Empty for none.</param>
    /// <param name="rules">Their order means nothing.</param>
    /// <param name="allowsGrants">Whether an approval counts under this policy.</param>
    /// <param name="dnsNames">Names that DNS answers, of those that a rule allows; null for all of them.</param>
    public EgressLayer(string name, IReadOnlyList<EgressRule> rules, bool allowsGrants = true, IReadOnlyList<HostPattern>? dnsNames = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(rules);
        (Name, Rules, AllowsGrants, _dnsNames) = (name, rules, allowsGrants, dnsNames);
        _exact = Index(rules, pattern => !pattern.IsWildcard && !pattern.IsAny);
        _below = Index(rules, pattern => pattern.IsWildcard);
        _any = [.. rules.Where(rule => rule.Hosts.Any(pattern => pattern.IsAny))];
        Digest = Hash();
    }

    /// <summary>Of the policy.</summary>
    public string Name { get; }

    /// <summary>Their order means nothing.</summary>
    public IReadOnlyList<EgressRule> Rules { get; }

    /// <summary>Whether an approval counts under this policy.</summary>
    public bool AllowsGrants { get; }

    /// <summary>SHA-256 over a canonical text of everything that this decides by: <c>sha256:</c> and 64 hexadecimal digits.</summary>
    public string Digest { get; }

    internal static EgressLayer Empty { get; } = new("", []);

    /// <summary>The rule that decides; null when none matches.</summary>
    internal EgressRule? Find(EgressRequest request, DateTimeOffset now)
    {
        EgressRule? decisive = Best(_any, request, now, null);
        if (_exact.TryGetValue(request.Host.Text, out EgressRule[]? exact))
        {
            decisive = Best(exact, request, now, decisive);
        }

        // Each parent of the name, the nearest first: a.b.c is below b.c and below c.
        FrozenDictionary<string, EgressRule[]>.AlternateLookup<ReadOnlySpan<char>> below = _below.GetAlternateLookup<ReadOnlySpan<char>>();
        ReadOnlySpan<char> rest = request.Host.Text;
        int dot;
        while (_below.Count > 0 && (dot = rest.IndexOf('.')) >= 0)
        {
            rest = rest[(dot + 1)..];
            if (below.TryGetValue(rest, out EgressRule[]? rules))
            {
                decisive = Best(rules, request, now, decisive);
            }
        }

        return decisive;
    }

    /// <summary>Whether a rule could let the host be reached at all, and DNS may say so.</summary>
    internal bool MayResolve(HostName host, DateTimeOffset now) =>
        IsAnswered(host) && Rules.Any(rule => rule.Effect == RuleEffect.Allow && !HasExpired(rule, now) && rule.Hosts.Any(pattern => pattern.IsMatch(host)));

    internal bool IsAnswered(HostName host) => _dnsNames is null || _dnsNames.Any(pattern => pattern.IsMatch(host));

    /// <summary>The name of a rule as verdicts and records show it.</summary>
    internal string NameOf(EgressRule rule) => Name.Length == 0 ? rule.Name : $"{Name}/{rule.Name}";

    internal static bool HasExpired(EgressRule rule, DateTimeOffset now) => rule.Expires is { } expires && now >= expires;

    internal static bool Matches(EgressRule rule, EgressRequest request, DateTimeOffset now)
    {
        if (HasExpired(rule, now) || rule.Ports?.Contains(request.Port) == false || !rule.Protocols.Contains(request.Protocol))
        {
            return false;
        }

        if (rule.Methods is null && rule.Paths is null)
        {
            return true;
        }

        // A condition on what cannot be seen (the inside of a tunnel) holds for rules that forbid or ask and fails for rules that allow, so that a
        // tunnel is never the way around a condition.
        if (request.Protocol != EgressProtocol.Http)
        {
            return rule.Effect != RuleEffect.Allow;
        }

        return (rule.Methods is null || rule.Methods.Contains(request.Method)) && (rule.Paths is null || rule.Paths.Any(path => path.IsMatch(request.Path)));
    }

    private static EgressRule? Best(EgressRule[] rules, EgressRequest request, DateTimeOffset now, EgressRule? decisive)
    {
        foreach (EgressRule rule in rules)
        {
            if (Matches(rule, request, now) && (decisive is null || Outranks(rule, decisive)))
            {
                decisive = rule;
            }
        }

        return decisive;
    }

    private static bool Outranks(EgressRule rule, EgressRule other) =>
        rule.Priority != other.Priority ? rule.Priority > other.Priority
        : rule.Effect != other.Effect ? rule.Effect > other.Effect
        : string.CompareOrdinal(rule.Name, other.Name) < 0;

    private static FrozenDictionary<string, EgressRule[]> Index(IReadOnlyList<EgressRule> rules, Func<HostPattern, bool> kind) =>
        rules.SelectMany(rule => rule.Hosts.Where(kind).Select(pattern => (pattern.Name.Text, Rule: rule)))
            .GroupBy(pair => pair.Text, pair => pair.Rule, StringComparer.Ordinal)
            .ToFrozenDictionary(group => group.Key, group => group.ToArray(), StringComparer.Ordinal);

    /// <summary>One line a rule, sorted, each list sorted: the same meaning gives the same digest.</summary>
    private string Hash()
    {
        List<string> lines = [];
        foreach (EgressRule rule in Rules)
        {
            lines.Add(string.Join('\t',
            [
                rule.Name, rule.Effect.ToString(), rule.Priority.ToString(CultureInfo.InvariantCulture),
                Sorted(rule.Hosts.Select(host => host.ToString())), rule.Ports is null ? "*" : Sorted(rule.Ports.Select(port => port.ToString(CultureInfo.InvariantCulture))),
                Sorted(rule.Protocols.Select(protocol => protocol.ToString())), rule.Methods is null ? "*" : Sorted(rule.Methods),
                rule.Paths is null ? "*" : Sorted(rule.Paths.Select(path => path.Pattern)), rule.Expires?.UtcDateTime.ToString("O", CultureInfo.InvariantCulture) ?? "",
            ]));
        }

        lines.Sort(StringComparer.Ordinal);
        string text = $"egress/1\n{(AllowsGrants ? "grants" : "no grants")}\n{(_dnsNames is null ? "*" : Sorted(_dnsNames.Select(name => name.ToString())))}\n{string.Join('\n', lines)}\n";
        return "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }

    private static string Sorted(IEnumerable<string> values) => string.Join(' ', values.Order(StringComparer.Ordinal));
}
