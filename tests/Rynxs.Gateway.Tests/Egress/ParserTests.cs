using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Gateway.Egress;
using Rynxs.Gateway.Egress.Forwarding;
using Rynxs.Gateway.Egress.Tunnels;

namespace Rynxs.Gateway.Tests.Egress;

/// <summary>The parsers that read what hostile code sends: one reading or none, never an exception, never more than their bounds.</summary>
public sealed class ParserTests
{
    private static int Fuzzed => Environment.GetEnvironmentVariable("RYNXS_SOAK") is null ? 20_000 : 10_000_000;

    [Theory]
    [InlineData(16 * 1024)]
    [InlineData(100)]
    [InlineData(7)]
    [InlineData(1)]
    public void A_hello_is_read_over_any_number_of_records(int recordSize)
    {
        ClientHello hello = ClientHello.Read(Hellos.Of("api.example.com", recordSize: recordSize));

        ClientHello.Hello read = hello.ShouldBeOfType<ClientHello.Hello>();
        read.ServerName!.Text.ShouldBe("api.example.com");
        read.HasEncryptedHello.ShouldBeFalse();
    }

    [Fact]
    public void Every_beginning_of_a_hello_asks_for_more()
    {
        byte[] whole = Hellos.Of("api.example.com", recordSize: 50);
        for (int length = 0; length < whole.Length; length++)
        {
            ClientHello.Read(whole.AsSpan(0, length)).ShouldBeOfType<ClientHello.Incomplete>($"{length} bytes");
        }
    }

    [Fact]
    public void C8_An_encrypted_hello_is_told() =>
        ClientHello.Read(Hellos.Of("outer.example.com", encrypted: true)).ShouldBeOfType<ClientHello.Hello>().HasEncryptedHello.ShouldBeTrue();

    [Fact]
    public void C8_A_second_server_name_is_malformed()
    {
        byte[] hello = Hellos.Of("a.test");
        byte[] extension = [0, 0, 0, 11, 0, 9, 0, 0, 6, .. "a.test"u8];
        // Appends the extension once more and mends the four lengths around it.
        byte[] twice = [.. hello, .. extension];
        Grow(twice, 3, extension.Length);
        Grow(twice, 7, extension.Length);
        int extensions = 5 + 4 + 2 + 32 + 1 + 2 + 8 + 2;
        Grow(twice, extensions, extension.Length);

        ClientHello.Read(hello).ShouldBeOfType<ClientHello.Hello>("the control");
        ClientHello.Read(twice).ShouldBeOfType<ClientHello.Malformed>();

        static void Grow(byte[] bytes, int at, int by)
        {
            int length = (bytes[at] << 8) + bytes[at + 1] + by;
            (bytes[at], bytes[at + 1]) = ((byte)(length >> 8), (byte)length);
        }
    }

    [Fact]
    public void A_bent_hello_never_throws_nor_names_another_host()
    {
        byte[] whole = Hellos.Of("api.example.com");
        Random random = new(1);
        for (int i = 0; i < Fuzzed; i++)
        {
            byte[] bent = (byte[])whole.Clone();
            for (int j = random.Next(1, 4); j > 0; j--)
            {
                bent[random.Next(bent.Length)] = (byte)random.Next(256);
            }

            ClientHello.Read(bent.AsSpan(0, random.Next(bent.Length + 1)));
        }
    }

    [Fact]
    public void A_connect_request_has_one_reading()
    {
        ConnectRequest.Read("CONNECT A.example.com:8443 HTTP/1.1\r\nHost: a.example.com:8443\r\nUser-Agent: x\r\n\r\nrest"u8)
            .ShouldBeOfType<ConnectRequest.Tunnel>().ShouldSatisfyAllConditions(
                tunnel => tunnel.Host.Text.ShouldBe("a.example.com"),
                tunnel => tunnel.Port.ShouldBe(8443),
                tunnel => tunnel.Length.ShouldBe(80));
        ConnectRequest.Read("CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n"u8).ShouldBeOfType<ConnectRequest.RawAddress>();
        ConnectRequest.Read("CONNECT [::1]:443 HTTP/1.1\r\n\r\n"u8).ShouldBeOfType<ConnectRequest.RawAddress>();
        ConnectRequest.Read("CONNECT a.example.com:443 HTTP/1.1\r\n"u8).ShouldBeOfType<ConnectRequest.Incomplete>();
        ConnectRequest.Read(new byte[ConnectRequest.MaxBytes]).ShouldBeOfType<ConnectRequest.Malformed>();
    }

    [Theory]
    [InlineData("CONNECT a.example.com:0 HTTP/1.1")]
    [InlineData("CONNECT a.example.com:65536 HTTP/1.1")]
    [InlineData("CONNECT a.example.com:+443 HTTP/1.1")]
    [InlineData("CONNECT a.example.com: HTTP/1.1")]
    [InlineData("CONNECT a.example.com HTTP/1.1")]
    [InlineData("CONNECT user@a.example.com:443 HTTP/1.1")]
    [InlineData("CONNECT http://a.example.com:443 HTTP/1.1")]
    [InlineData("CONNECT a.example.com:443  HTTP/1.1")]
    [InlineData("CONNECT a.example.com:443 HTTP/2.0")]
    [InlineData("CONNECT  HTTP/1.1")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nTransfer-Encoding: chunked")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nContent-Length: 1")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nHost: b.example.com")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nHost: a.example.com:80")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nHost: a.example.com\r\nHost: a.example.com")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nX : y")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\nX: a\nHost: b.example.com")]
    [InlineData("CONNECT a.example.com:443 HTTP/1.1\r\n: y")]
    public void C9_What_has_two_readings_is_no_connect(string head) =>
        ConnectRequest.Read(Encoding.Latin1.GetBytes(head + "\r\n\r\n")).ShouldBeOfType<ConnectRequest.Malformed>();

    [Fact]
    public void C9_A_nul_in_a_socks_name_is_refused()
    {
        byte[] name = "attacker.com\0.allowed.com"u8.ToArray();
        byte[] request = [5, 1, 0, 3, (byte)name.Length, .. name, 1, 187];

        SocksRequest.ReadRequest(request).ShouldBeOfType<SocksRequest.Refused>().Reply.ShouldBe(SocksReply.NotAllowed);
        byte[] good = "a.allowed.com"u8.ToArray();
        SocksRequest.ReadRequest([5, 1, 0, 3, (byte)good.Length, .. good, 1, 187]).ShouldBeOfType<SocksRequest.Tunnel>().Port.ShouldBe(443);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void C4_Bind_and_udp_are_not_served(byte command) =>
        SocksRequest.ReadRequest([5, command, 0, 1, 127, 0, 0, 1, 0, 80]).ShouldBeOfType<SocksRequest.Refused>().Reply.ShouldBe(SocksReply.CommandNotSupported);

    [Fact]
    public void C2_A_raw_address_over_socks_is_refused()
    {
        SocksRequest.ReadRequest([5, 1, 0, 1, 8, 8, 8, 8, 0, 80]).ShouldBeOfType<SocksRequest.Refused>().Denial.ShouldBe(EgressDenial.RawAddress);
        SocksRequest.ReadRequest([5, 1, 0, 4, .. new byte[16], 0, 80]).ShouldBeOfType<SocksRequest.Refused>().Denial.ShouldBe(EgressDenial.RawAddress);
    }

    [Fact]
    public void No_bytes_make_a_parser_throw_or_read_beyond_its_input()
    {
        Random random = new(2);
        byte[] bytes = new byte[400];
        for (int i = 0; i < Fuzzed; i++)
        {
            random.NextBytes(bytes);
            if (i % 2 == 0)
            {
                bytes[0] = 5;
                bytes[2] = 0;
            }

            ReadOnlySpan<byte> input = bytes.AsSpan(0, random.Next(bytes.Length));
            SocksRequest.ReadGreeting(input);
            if (SocksRequest.ReadRequest(input) is SocksRequest.Tunnel tunnel)
            {
                tunnel.Length.ShouldBeLessThanOrEqualTo(input.Length);
            }

            ConnectRequest.Read(input);
            ClientHello.Read(input);
            _ = ForwardTarget.TryParse("http://" + Encoding.Latin1.GetString(input), out _, out _);
        }
    }

    [Fact]
    public void What_is_sent_is_what_was_decided_on()
    {
        Gen<string> paths = Gen.Elements("a", "%41", "%2e", "%2E%2e", "..", ".", "%2f", "%5c", "%00", "~", "%7e", "b%20c", "%zz", "%", "").ListOf()
            .Select(parts => "/" + string.Join('/', parts));
        Prop.ForAll(Arb.From(paths), path =>
        {
            if (!ForwardTarget.TryParse("http://a.example.com" + path + "?q", out ForwardTarget? target, out _))
            {
                return true;
            }

            Uri sent = target.ToUri();
            return sent.PathAndQuery == target.Path + "?q" && sent.Host == "a.example.com" && sent.Port == 80
                && !target.Path.Split('/').Any(segment => segment is "." or "..")
                && ForwardTarget.TryParse(sent.OriginalString, out ForwardTarget? again, out _) && again == target;
        }).QuickCheckThrowOnFailure();
    }
}
