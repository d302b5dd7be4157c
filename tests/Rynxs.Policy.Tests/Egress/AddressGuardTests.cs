using System.Net;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Policy.Egress;

namespace Rynxs.Policy.Tests.Egress;

public sealed class AddressGuardTests
{
    [Theory]
    [InlineData("8.8.8.8")]
    [InlineData("1.1.1.1")]
    [InlineData("172.32.0.1")]
    [InlineData("100.128.0.1")]
    [InlineData("2606:4700:4700::1111")]
    [InlineData("2a00:1450:4001:81b::200e")]
    public void Global_addresses_pass(string address) => AddressGuard.Permits(IPAddress.Parse(address), []).ShouldBeTrue();

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.255.255.254")]
    [InlineData("0.0.0.0")]
    [InlineData("10.1.2.3")]
    [InlineData("172.16.0.1")]
    [InlineData("172.31.255.255")]
    [InlineData("192.168.1.1")]
    [InlineData("224.0.0.251")]
    [InlineData("255.255.255.255")]
    [InlineData("::")]
    [InlineData("::1")]
    [InlineData("fe80::1")]
    [InlineData("fc00::1")]
    [InlineData("ff02::1")]
    [InlineData("fec0::1")]
    public void C6_A_name_that_resolves_to_a_private_address_is_refused(string address) =>
        AddressGuard.Permits(IPAddress.Parse(address), []).ShouldBeFalse();

    [Theory]
    [InlineData("169.254.169.254")]
    [InlineData("169.254.170.2")]
    [InlineData("100.100.100.200")]
    [InlineData("168.63.129.16")]
    [InlineData("fd00:ec2::254")]
    [InlineData("fd20:ce::254")]
    [InlineData("192.0.0.192")]
    public void C5_Metadata_services_are_refused(string address) => AddressGuard.Permits(IPAddress.Parse(address), []).ShouldBeFalse();

    [Theory]
    [InlineData("::ffff:8.8.8.8")]
    [InlineData("::ffff:169.254.169.254")]
    [InlineData("::169.254.169.254")]
    [InlineData("64:ff9b::a9fe:a9fe")]
    [InlineData("64:ff9b:1::a9fe:a9fe")]
    [InlineData("2002:a9fe:a9fe::1")]
    [InlineData("2001:0:a9fe:a9fe::1")]
    [InlineData("2001:db8::1")]
    public void C3_An_address_that_carries_another_is_refused(string address) => AddressGuard.Permits(IPAddress.Parse(address), []).ShouldBeFalse();

    [Fact]
    public void C3_A_mapped_address_is_refused_even_when_its_inside_is_opened()
    {
        AddressRange.TryParse("127.0.0.0/8", out AddressRange? loopback).ShouldBeTrue();
        AddressGuard.Permits(IPAddress.Loopback, [loopback]).ShouldBeTrue();
        AddressGuard.Permits(IPAddress.Parse("::ffff:127.0.0.1"), [loopback]).ShouldBeFalse();
    }

    [Fact]
    public void C3_No_sixteen_bytes_that_hold_a_private_address_pass()
    {
        // Every embedding of 169.254.169.254 at the end of a prefix that translates or tunnels.
        Prop.ForAll(Arb.From(Gen.Elements("64:ff9b::", "64:ff9b:1::", "::ffff:0:0", "::", "fe80::", "2002::", "2001:0::")), prefix =>
        {
            byte[] bytes = IPAddress.Parse(prefix).GetAddressBytes();
            new byte[] { 169, 254, 169, 254 }.CopyTo(bytes, 12);
            return !AddressGuard.Permits(new IPAddress(bytes), []);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("10.0.0.1", true)]
    [InlineData("10.0.0.0/8", true)]
    [InlineData("fd00::/8", true)]
    [InlineData("10.0.0.1/8", false)]
    [InlineData("0x0a.1", false)]
    [InlineData("167772161", false)]
    [InlineData("010.0.0.1", false)]
    [InlineData("::ffff:10.0.0.0/104", false)]
    [InlineData("fe80::1%eth0", false)]
    [InlineData("10.0.0.0/33", false)]
    [InlineData("host", false)]
    public void An_opened_block_is_written_plainly(string text, bool valid) => AddressRange.TryParse(text, out _).ShouldBe(valid);
}
