using FsCheck;
using FsCheck.Fluent;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;
using HostName = Rynxs.Policy.Egress.HostName;

namespace Rynxs.Policy.Tests.Egress;

public sealed class EgressPolicyTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 22, 0, 0, 0, TimeSpan.Zero);
    private static readonly string[] HostTexts = ["a.example.com", "b.example.com", "example.com", "other.net"];
    private static readonly string[] Patterns = ["*.example.com", "a.example.com", "example.com", "other.net"];

    private static readonly Gen<EgressRule> Rules =
        from pattern in Gen.Elements(Patterns)
        from effect in Gen.Elements(RuleEffect.Allow, RuleEffect.Ask, RuleEffect.Deny)
        from priority in Gen.Choose(-2, 2)
        from name in Gen.Choose(0, 1_000_000)
        from methods in Gen.Elements<IReadOnlyList<string>?>(null, ["GET"])
        select Rule($"rule-{name}", pattern, effect, priority) with { Methods = methods };

    private static readonly Gen<(EgressRule[] Rules, EgressRequest Request)> Situations =
        from count in Gen.Choose(0, 8)
        from rules in Gen.ArrayOf(Rules, count)
        from host in Gen.Elements(HostTexts)
        from tunnel in Gen.Elements(true, false)
        select (rules.DistinctBy(rule => rule.Name).ToArray(), tunnel ? Tunnel(host) : Get(host));

    [Fact]
    public void Without_rules_nothing_goes_out() =>
        EgressPolicy.Decide(EgressPolicyModel.DenyAll, Tunnel("example.com"), Now).ShouldBe(new Verdict.Deny(DecisionReason.NoRuleMatches, null));

    [Fact]
    public void A_matching_rule_lets_out_and_names_itself() =>
        Decide([Rule("mirror", "example.com", RuleEffect.Allow)], Tunnel("example.com")).ShouldBe(new Verdict.Allow("mirror"));

    [Theory]
    [InlineData(80)]
    [InlineData(8443)]
    [InlineData(0)]
    [InlineData(65536)]
    public void Another_port_is_denied(int port) =>
        Decide([Rule("mirror", "example.com", RuleEffect.Allow)], Tunnel("example.com") with { Port = port }).ShouldBeOfType<Verdict.Deny>();

    [Fact]
    public void Another_protocol_is_denied()
    {
        EgressRule rule = Rule("mirror", "example.com", RuleEffect.Allow) with { Protocols = [EgressProtocol.Tls] };
        Decide([rule], Tunnel("example.com")).ShouldBeOfType<Verdict.Allow>();
        Decide([rule], Tunnel("example.com") with { Protocol = EgressProtocol.Tcp }).ShouldBeOfType<Verdict.Deny>();
    }

    [Fact]
    public void C13_A_condition_on_method_or_path_is_not_passed_by_a_tunnel()
    {
        EgressRule rule = Rule("read", "example.com", RuleEffect.Allow) with { Methods = ["GET"], Paths = [new Glob("/public/*")] };
        Decide([rule], Get("example.com") with { Path = "/public/a" }).ShouldBeOfType<Verdict.Allow>();
        Decide([rule], Get("example.com") with { Path = "/private" }).ShouldBeOfType<Verdict.Deny>();
        Decide([rule], Get("example.com") with { Path = "/public/a", Method = "POST" }).ShouldBeOfType<Verdict.Deny>();
        Decide([rule], Tunnel("example.com")).ShouldBeOfType<Verdict.Deny>();
    }

    [Fact]
    public void C13_A_deny_on_a_method_also_denies_the_tunnel_that_hides_it()
    {
        EgressRule allow = Rule("all", "example.com", RuleEffect.Allow);
        EgressRule deny = Rule("no-upload", "example.com", RuleEffect.Deny, priority: 1) with { Methods = ["PUT"] };
        Decide([allow, deny], Get("example.com")).ShouldBeOfType<Verdict.Allow>();
        Decide([allow, deny], Tunnel("example.com")).ShouldBe(new Verdict.Deny(DecisionReason.RuleDenies, "no-upload"));
    }

    [Fact]
    public void C11_A_rule_ends_at_its_time()
    {
        EgressRule rule = Rule("granted", "example.com", RuleEffect.Allow) with { Expires = Now };
        EgressPolicy.Decide(EgressPolicyModel.Of([rule]), Tunnel("example.com"), Now.AddTicks(-1)).ShouldBeOfType<Verdict.Allow>();
        EgressPolicy.Decide(EgressPolicyModel.Of([rule]), Tunnel("example.com"), Now).ShouldBeOfType<Verdict.Deny>();
    }

    [Fact]
    public void C1_A_name_that_nothing_allows_is_not_looked_up()
    {
        EgressPolicyModel model = EgressPolicyModel.Of([Rule("a", "*.example.com", RuleEffect.Allow), Rule("b", "other.net", RuleEffect.Ask)]);
        EgressPolicy.MayResolve(model, Host("x.example.com"), Now).ShouldBeTrue();
        EgressPolicy.MayResolve(model, Host("secret.evil.net"), Now).ShouldBeFalse();
        EgressPolicy.MayResolve(model, Host("other.net"), Now).ShouldBeFalse();
    }

    [Fact]
    public void Adding_a_deny_never_opens_anything()
    {
        Prop.ForAll(Arb.From(from s in Situations from rule in Rules select (s, Deny: rule with { Name = "added", Effect = RuleEffect.Deny })),
            given => Decide(given.s.Rules, given.s.Request) is not Verdict.Deny
                || Decide([.. given.s.Rules, given.Deny], given.s.Request) is Verdict.Deny).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_order_of_rules_means_nothing()
    {
        Prop.ForAll(Arb.From(from s in Situations from shuffled in Gen.Shuffle(s.Rules) select (s, shuffled)),
            given => Decide(given.s.Rules, given.s.Request) == Decide(given.shuffled, given.s.Request)).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Whatever_is_allowed_could_be_looked_up()
    {
        Prop.ForAll(Arb.From(Situations), s => Decide(s.Rules, s.Request) is not Verdict.Allow
            || EgressPolicy.MayResolve(EgressPolicyModel.Of(s.Rules), s.Request.Host, Now)).QuickCheckThrowOnFailure();
    }

    private static Verdict Decide(IReadOnlyList<EgressRule> rules, EgressRequest request) =>
        EgressPolicy.Decide(EgressPolicyModel.Of(rules), request, Now);

    private static HostName Host(string text) => HostName.TryParse(text, out HostName? host) ? host : throw new FormatException(text);

    private static EgressRequest Tunnel(string host) => new(Host(host), 443, EgressProtocol.Tls);

    private static EgressRequest Get(string host) => new(Host(host), 443, EgressProtocol.Http, "GET", "/");

    private static EgressRule Rule(string name, string pattern, RuleEffect effect, int priority = 0) => new()
    {
        Name = name,
        Hosts = [HostPattern.TryParse(pattern, out HostPattern? parsed) ? parsed : throw new FormatException(pattern)],
        Ports = [443],
        Protocols = [EgressProtocol.Http, EgressProtocol.Tls, EgressProtocol.Tcp],
        Effect = effect,
        Priority = priority,
    };
}

/// <summary>Several policies, approvals, and digests.</summary>
public sealed class EgressLayerTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Every_layer_must_allow_and_a_denying_one_is_named()
    {
        EgressLayer wide = new("wide", [Rule("r", "*.example.com", RuleEffect.Allow)]), narrow = new("narrow", [Rule("r", "a.example.com", RuleEffect.Allow)]);
        EgressLayer forbids = new("forbids", [Rule("no", "a.example.com", RuleEffect.Deny)]);

        Decide("a.example.com", [wide, narrow]).ShouldBe(new Verdict.Allow("wide/r"));
        Decide("b.example.com", [wide, narrow]).ShouldBeOfType<Verdict.Deny>();
        Decide("a.example.com", [wide, narrow, forbids]).ShouldBe(new Verdict.Deny(DecisionReason.RuleDenies, "forbids/no"));
    }

    [Fact]
    public void A_grant_stands_in_for_a_missing_rule_never_for_one_that_denies_and_not_where_grants_do_not_count()
    {
        EgressRule grant = Rule("approval/x", "a.example.com", RuleEffect.Allow) with { Expires = Now.AddMinutes(1) };
        EgressLayer silent = new("silent", []), asks = new("asks", [Rule("q", "a.example.com", RuleEffect.Ask)]);
        EgressLayer denies = new("denies", [Rule("no", "*.example.com", RuleEffect.Deny)]), closed = new("closed", [], allowsGrants: false);

        Decide("a.example.com", [silent], grant).ShouldBe(new Verdict.Allow("approval/x"));
        Decide("a.example.com", [asks], grant).ShouldBe(new Verdict.Allow("approval/x"));
        Decide("a.example.com", [], grant).ShouldBe(new Verdict.Allow("approval/x"));
        Decide("b.example.com", [silent], grant).ShouldBeOfType<Verdict.Deny>();
        Decide("a.example.com", [denies], grant).ShouldBeOfType<Verdict.Deny>();
        Decide("a.example.com", [silent, closed], grant).ShouldBeOfType<Verdict.Deny>();
        Decide("a.example.com", [silent], grant with { Expires = Now }).ShouldBeOfType<Verdict.Deny>();
    }

    [Fact]
    public void Nothing_allows_a_name_below_invalid()
    {
        EgressRule any = Rule("any", "example.com", RuleEffect.Allow) with { Hosts = [HostPattern.Any], Ports = null };
        EgressPolicyModel model = EgressPolicyModel.Of(any);

        EgressPolicy.Decide(model, new EgressRequest(Host("any.example.org"), 443, EgressProtocol.Tls), Now).ShouldBeOfType<Verdict.Allow>();
        EgressPolicy.Decide(model, new EgressRequest(EgressPolicy.ProbeHost, 443, EgressProtocol.Tls), Now).ShouldBeOfType<Verdict.Deny>();
        EgressPolicy.MayResolve(model, EgressPolicy.ProbeHost, Now).ShouldBeFalse();
        HostPattern.TryParse("*", out _).ShouldBeFalse("no text gives a pattern for every name");
    }

    [Fact]
    public void The_digest_is_that_of_the_meaning_and_not_of_the_order()
    {
        EgressRule a = Rule("a", "a.example.com", RuleEffect.Allow), b = Rule("b", "b.example.com", RuleEffect.Deny);
        string digest = new EgressLayer("x", [a, b]).Digest;

        new EgressLayer("y", [b, a]).Digest.ShouldBe(digest);
        new EgressLayer("x", [a, b with { Effect = RuleEffect.Ask }]).Digest.ShouldNotBe(digest);
        new EgressLayer("x", [a, b], allowsGrants: false).Digest.ShouldNotBe(digest);
        new EgressLayer("x", [a, b], dnsNames: []).Digest.ShouldNotBe(digest);
    }

    private static Verdict Decide(string host, EgressLayer[] layers, params EgressRule[] grants) =>
        EgressPolicy.Decide(new EgressPolicyModel { Layers = layers, Grants = grants }, new EgressRequest(Host(host), 443, EgressProtocol.Tls), Now);

    private static HostName Host(string text) => HostName.TryParse(text, out HostName? host) ? host : throw new FormatException(text);

    private static EgressRule Rule(string name, string host, RuleEffect effect) => new()
    {
        Name = name, Hosts = [HostPattern.TryParse(host, out HostPattern? pattern) ? pattern : throw new FormatException(host)], Ports = [443], Protocols = [EgressProtocol.Tls], Effect = effect,
    };
}
