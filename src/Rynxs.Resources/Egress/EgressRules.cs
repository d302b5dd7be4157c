using System.Text.RegularExpressions;
using Rynxs.Resources.Client;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Egress;

/// <summary>Defaults and rules of EgressPolicy and EgressApproval that need more than a type.</summary>
internal static partial class EgressRules
{
    public static EgressApprovalResource Default(EgressApprovalResource approval) =>
        approval.Spec.SubjectHash is null
            ? approval with { Spec = approval.Spec with { SubjectHash = EgressSubject.Hash(approval.Metadata.Namespace, approval.Spec) } }
            : approval;

    public static void Check(EgressPolicyResource policy, Rules rules)
    {
        EgressPolicySpec spec = policy.Spec;
        if (spec.Inspect)
            rules.Add("spec.inspect", FieldErrorCodes.NotSupported, "Unsupported value: true: this gateway does not look into TLS; supported values: false");
        if (spec.AppliesTo is { } applies)
            CheckAppliesTo(applies, rules);
        rules.Count("spec.rules", spec.Rules.Count, 1000);
        rules.Unique("spec.rules", [.. spec.Rules.Select(rule => rule.Name)]);
        for (int i = 0; i < spec.Rules.Count; i++)
            CheckRule($"spec.rules[{i}]", spec.Rules[i], rules);
        rules.Count("spec.dnsNames", spec.DnsNames?.Count ?? 0, 1000);
        for (int i = 0; i < (spec.DnsNames?.Count ?? 0); i++)
            CheckHost($"spec.dnsNames[{i}]", spec.DnsNames![i], wildcard: true, rules); // Count was taken from it.
        CheckLimits(spec.Limits, rules);
        rules.Range("spec.approvals.maxTtlSeconds", spec.Approvals.MaxTtlSeconds, 60, EgressApprovalSpec.MaxTtlSeconds);
        if (policy.Status is { } status)
        {
            if (status.Phase is not null)
                rules.OneOf("status.phase", status.Phase, "Enforced", "Invalid");
            rules.Line("status.digest", status.Digest, 71);
            rules.Range("status.sandboxes", status.Sandboxes, 0, int.MaxValue);
            rules.Conditions("status.conditions", status.Conditions);
        }
    }

    public static void Check(EgressApprovalResource approval, Rules rules)
    {
        EgressApprovalSpec spec = approval.Spec;
        rules.Name("spec.agent", spec.Agent);
        if (spec.Hosts.Count == 0)
            rules.Add("spec.hosts", FieldErrorCodes.Required, "Required value: at least one host");
        rules.Count("spec.hosts", spec.Hosts.Count, 16);
        for (int i = 0; i < spec.Hosts.Count; i++)
        {
            CheckHost($"spec.hosts[{i}].host", spec.Hosts[i].Host, wildcard: false, rules);
            rules.Range($"spec.hosts[{i}].port", spec.Hosts[i].Port, 1, ushort.MaxValue);
            rules.OneOf($"spec.hosts[{i}].protocol", spec.Hosts[i].Protocol, "tls", "http", "tcp");
        }

        rules.Line("spec.reason", spec.Reason, 512);
        rules.Line("spec.requester", spec.Requester, 256);
        rules.Range("spec.ttlSeconds", spec.TtlSeconds, 60, EgressApprovalSpec.MaxTtlSeconds);
        if (spec.SubjectHash is { } hash && hash != EgressSubject.Hash(approval.Metadata.Namespace, spec))
            rules.Invalid("spec.subjectHash", hash, "it is another subject's; leave it out and it is filled in");
        if (approval.Status is not { } status)
            return;
        if (status.Phase is not null)
            rules.OneOf("status.phase", status.Phase, "Pending", "Active", "Denied", "Expired");
        rules.Line("status.approver", status.Approver, 256);
        if (status.Approver is not null && status.Approver == spec.Requester)
            rules.Add("status.approver", FieldErrorCodes.Forbidden, "Forbidden: who requests never approves");
    }

    public static void CheckTransition(EgressApprovalResource before, EgressApprovalResource after, Rules rules)
    {
        if (!Transitions.Same(before, after, "spec"))
            rules.Add("spec", FieldErrorCodes.Forbidden, "Forbidden: an approval's spec is immutable; make another one");
    }

    private static void CheckAppliesTo(EgressAppliesTo applies, Rules rules)
    {
        rules.Count("spec.appliesTo.agents", applies.Agents.Count, 1000);
        rules.Unique("spec.appliesTo.agents", applies.Agents);
        for (int i = 0; i < applies.Agents.Count; i++)
            rules.Name($"spec.appliesTo.agents[{i}]", applies.Agents[i]);
        rules.Count("spec.appliesTo.matchLabels", applies.MatchLabels.Count, 64);
        foreach ((string key, string value) in applies.MatchLabels)
        {
            if (!Rules.IsQualifiedName(key) || !Rules.IsLabelValue(value))
                rules.Invalid($"spec.appliesTo.matchLabels[{BadValue.Escape(key, 64)}]", value, "a label and its value are due, such as tier: research");
        }

        rules.Name("spec.appliesTo.universeRef", applies.UniverseRef);
    }

    private static void CheckRule(string field, EgressRuleSpec rule, Rules rules)
    {
        rules.Line($"{field}.name", rule.Name, 128);
        if (rule.Hosts.Count == 0)
            rules.Add($"{field}.hosts", FieldErrorCodes.Required, "Required value: a rule names at least one host");
        rules.Count($"{field}.hosts", rule.Hosts.Count, 256);
        for (int i = 0; i < rule.Hosts.Count; i++)
            CheckHost($"{field}.hosts[{i}]", rule.Hosts[i], wildcard: true, rules);
        rules.Count($"{field}.ports", rule.Ports.Count, 64);
        for (int i = 0; i < rule.Ports.Count; i++)
            rules.Range($"{field}.ports[{i}]", rule.Ports[i], 1, ushort.MaxValue);
        if (rule.Protocols.Count == 0)
            rules.Add($"{field}.protocols", FieldErrorCodes.Required, "Required value: tls, http or tcp");
        rules.Unique($"{field}.protocols", rule.Protocols);
        for (int i = 0; i < rule.Protocols.Count; i++)
            rules.OneOf($"{field}.protocols[{i}]", rule.Protocols[i], "tls", "http", "tcp");
        if (rule.Protocols.Contains("tcp") && rule.Ports.Count == 0)
            rules.Add($"{field}.ports", FieldErrorCodes.Required, "Required value: protocol tcp has no port of its own");
        rules.OneOf($"{field}.effect", rule.Effect, "allow", "deny", "ask");
        rules.Range($"{field}.priority", rule.Priority, -1000, 1000);
        if (rule.Effect == "allow" && (rule.Methods ?? rule.Paths) is not null && rule.Protocols.Any(protocol => protocol != "http"))
            rules.Add($"{field}.protocols", FieldErrorCodes.Invalid, "Invalid value: methods and paths are seen in plain http only; a rule with them that allows names protocol http alone");
        for (int i = 0; i < (rule.Methods?.Count ?? 0); i++)
        {
            if (!MethodForm().IsMatch(rule.Methods![i])) // Count was taken from it.
                rules.Invalid($"{field}.methods[{i}]", rule.Methods[i], "a method is 1 to 32 capital letters, such as GET");
        }

        for (int i = 0; i < (rule.Paths?.Count ?? 0); i++)
        {
            if (!PathForm().IsMatch(rule.Paths![i])) // As above.
                rules.Invalid($"{field}.paths[{i}]", rule.Paths[i], "a path starts with '/' and has at most 256 visible ASCII characters");
        }
    }

    private static void CheckLimits(EgressLimitsSpec limits, Rules rules)
    {
        Bound("connections", limits.Connections, 1, 10_000);
        Bound("flows", limits.Flows, 1, 10_000);
        Bound("flowsPerSecond", limits.FlowsPerSecond, 1, 100_000);
        Bound("bytesOut", limits.BytesOut, 0, 1L << 50);
        Bound("bytesIn", limits.BytesIn, 0, 1L << 50);
        Bound("idleSeconds", limits.IdleSeconds, 1, 86_400);
        Bound("flowSeconds", limits.FlowSeconds, 1, 604_800);

        void Bound(string name, long? value, long least, long most)
        {
            if (value is { } number)
                rules.Range($"spec.limits.{name}", number, least, most);
        }
    }

    /// <summary>The form of Rynxs.Policy's HostName, which decides; a test holds the two against each other.</summary>
    private static void CheckHost(string field, string text, bool wildcard, Rules rules)
    {
        bool star = wildcard && text.StartsWith("*.", StringComparison.Ordinal);
        string name = star ? text[2..] : text;
        if (!IsHostName(name))
        {
            rules.Invalid(field, text, wildcard
                ? "a host is a name of at least two labels, such as api.example.com or *.example.com; no address, no scheme, no port, Unicode as xn--"
                : "a host is a name of at least two labels, such as api.example.com; no wildcard, no address, Unicode as xn--");
        }
    }

    internal static bool IsHostName(string text)
    {
        if (text.Length is 0 or > 254)
            return false;
        string name = (text[^1] == '.' ? text[..^1] : text).ToLowerInvariant();
        string[] labels = name.Split('.');
        return name.Length is > 0 and <= 253 && labels.Length >= 2 && labels.All(label => LabelForm().IsMatch(label))
            && !NumberForm().IsMatch(labels[^1]);
    }

    [GeneratedRegex(@"\A[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\z")]
    private static partial Regex LabelForm();

    [GeneratedRegex(@"\A([0-9]+|0x[0-9a-f]*)\z")]
    private static partial Regex NumberForm();

    [GeneratedRegex(@"\A[A-Z]{1,32}\z")]
    private static partial Regex MethodForm();

    [GeneratedRegex(@"\A/[!-~]{0,255}\z")]
    private static partial Regex PathForm();
}
