using Rynxs.Policy.Egress;

namespace Rynxs.Policy.Tests.Egress;

public sealed class HostNameTests
{
    [Theory]
    [InlineData("api.example.com", "api.example.com")]
    [InlineData("API.Example.COM", "api.example.com")]
    [InlineData("api.example.com.", "api.example.com")]
    [InlineData("_dmarc.example.com", "_dmarc.example.com")]
    [InlineData("xn--mnchen-3ya.example", "xn--mnchen-3ya.example")]
    public void A_name_has_one_form(string given, string expected)
    {
        HostName.TryParse(given, out HostName? name).ShouldBeTrue();
        name.Text.ShouldBe(expected);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("a..b")]
    [InlineData("a.b..")]
    [InlineData("localhost")]
    [InlineData("-a.example")]
    [InlineData("a-.example")]
    [InlineData("allowed.com@evil.com")]
    [InlineData("allowed.com:443")]
    [InlineData("allowed.com/evil")]
    [InlineData("allowed.com\\evil")]
    [InlineData("attacker.com\0.allowed.com")]
    [InlineData("attacker.com%00.allowed.com")]
    [InlineData("allowed.com\r\nhost: evil.com")]
    [InlineData("al lowed.com")]
    [InlineData("*.allowed.com")]
    [InlineData("[::1]")]
    [InlineData("münchen.example")]
    [InlineData("example。com")]
    [InlineData("exаmple.com")]
    public void C9_What_another_parser_could_read_differently_is_no_name(string given) => HostName.TryParse(given, out _).ShouldBeFalse();

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.1")]
    [InlineData("2130706433")]
    [InlineData("0x7f000001")]
    [InlineData("0x7f.0x1")]
    [InlineData("0177.0.0.1")]
    [InlineData("169.254.169.254.")]
    [InlineData("a.0x")]
    [InlineData("１２７.0.0.１")]
    [InlineData("::1")]
    [InlineData("fd00:ec2::254")]
    public void C5_An_address_in_any_spelling_is_no_name(string given) => HostName.TryParse(given, out _).ShouldBeFalse();

    [Fact]
    public void Lengths_are_bounded()
    {
        string label = new('a', 63);
        HostName.TryParse($"{label}.{label}.{label}.{new string('a', 61)}", out _).ShouldBeTrue();
        HostName.TryParse($"{label}.{label}.{label}.{new string('a', 62)}", out _).ShouldBeFalse();
        HostName.TryParse($"{new string('a', 64)}.example", out _).ShouldBeFalse();
        HostName.TryParse(new string('a', 10_000_000), out _).ShouldBeFalse();
    }

    [Theory]
    [InlineData("*.a.com", "b.a.com", true)]
    [InlineData("*.a.com", "c.b.a.com", true)]
    [InlineData("*.a.com", "a.com", false)]
    [InlineData("*.a.com", "evil-a.com", false)]
    [InlineData("*.a.com", "b.a.com.evil.com", false)]
    [InlineData("a.com", "a.com", true)]
    [InlineData("a.com", "A.com.", true)]
    [InlineData("a.com", "b.a.com", false)]
    public void C10_A_wildcard_means_names_below_and_nothing_else(string pattern, string host, bool matches)
    {
        HostPattern.TryParse(pattern, out HostPattern? parsed).ShouldBeTrue();
        HostName.TryParse(host, out HostName? name).ShouldBeTrue();
        parsed.IsMatch(name).ShouldBe(matches);
    }

    [Theory]
    [InlineData("*")]
    [InlineData("*.com")]
    [InlineData("*.*.com")]
    [InlineData("a.*.com")]
    [InlineData("*a.com")]
    [InlineData("10.0.0.1")]
    public void C10_A_star_stands_first_and_below_two_labels(string pattern) => HostPattern.TryParse(pattern, out _).ShouldBeFalse();
}
