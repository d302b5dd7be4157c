using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Egress;

/// <summary>What a connection carries, as far as the gateway can tell it apart.</summary>
public enum EgressProtocol
{
    /// <summary>Plain HTTP: method and path are seen and decided on for each request.</summary>
    Http,

    /// <summary>TLS that is tunnelled: the name is known, what is inside is not.</summary>
    Tls,

    /// <summary>Any other bytes in a tunnel. No name inside can be checked, so it needs a rule that says so.</summary>
    Tcp,
}

/// <summary>One rule of an egress policy.</summary>
public sealed record EgressRule
{
    /// <summary>Unique within the model.</summary>
    public required string Name { get; init; }

    /// <summary>One of them must match.</summary>
    public required IReadOnlyList<HostPattern> Hosts { get; init; }

    /// <summary>1 to 65535; one of them must match. Null for every port.</summary>
    public required IReadOnlyList<int>? Ports { get; init; }

    /// <summary>One of them must match.</summary>
    public required IReadOnlyList<EgressProtocol> Protocols { get; init; }

    public required RuleEffect Effect { get; init; }

    /// <summary>Higher decides first.</summary>
    public int Priority { get; init; }

    /// <summary>Methods of plain HTTP, in capitals; null for every method. A rule with methods never lets a tunnel through.</summary>
    public IReadOnlyList<string>? Methods { get; init; }

    /// <summary>Paths of plain HTTP (without the query); null for every path. A rule with paths never lets a tunnel through.</summary>
    public IReadOnlyList<Glob>? Paths { get; init; }

    /// <summary>Until when the rule counts; null for always. An approval with a time to live becomes a rule with one.</summary>
    public DateTimeOffset? Expires { get; init; }
}

/// <summary>Everything that decides about the way out of one sandbox: an immutable snapshot, replaced whole. Without rules nothing goes out.</summary>
public sealed record EgressPolicyModel
{
    /// <summary>Nothing goes out.</summary>
    public static EgressPolicyModel DenyAll { get; } = new();

    /// <summary>Policies that apply; each must allow. Without one nothing is allowed but what is granted.</summary>
    public IReadOnlyList<EgressLayer> Layers { get; init; } = [];

    /// <summary>Approvals that were given: allow rules with an end.</summary>
    public IReadOnlyList<EgressRule> Grants { get; init; } = [];

    /// <summary>Blocks of non-global addresses that the operator opened; see <see cref="AddressGuard"/>.</summary>
    public IReadOnlyList<AddressRange> OpenedAddresses { get; init; } = [];

    /// <summary>A model of one policy without a name.</summary>
    public static EgressPolicyModel Of(params IReadOnlyList<EgressRule> rules) => new() { Layers = [new EgressLayer("", rules)] };
}

/// <summary>What a sandbox wants to reach.</summary>
/// <param name="Host">The name as asked for.</param>
/// <param name="Port">1 to 65535.</param>
/// <param name="Protocol">What it will carry.</param>
/// <param name="Method">Of plain HTTP; null for tunnels.</param>
/// <param name="Path">Of plain HTTP, normalised, without query; null for tunnels.</param>
public sealed record EgressRequest(HostName Host, int Port, EgressProtocol Protocol, string? Method = null, string? Path = null);
