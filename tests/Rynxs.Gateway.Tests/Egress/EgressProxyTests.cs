using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;
using Rynxs.Gateway.Egress;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Tests.Egress;

public sealed class EgressProxyTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_allowed_host_answers_over_http_and_both_ends_are_recorded()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        using HttpClient client = host.Client();

        (await client.GetStringAsync($"http://allowed.test:{host.HttpPort}/a%7Eb?q=%2F", Token)).ShouldBe("GET allowed.test /a~b?q=%2F");

        EgressEvent.Opening opening = await host.Log.WaitForAsync<EgressEvent.Opening>();
        opening.Request.Host.Text.ShouldBe("allowed.test");
        opening.Rule.ShouldBe("test");
        EgressEvent.Closed closed = await host.Log.WaitForAsync<EgressEvent.Closed>();
        (closed.Flow, closed.End).ShouldBe((opening.Flow, FlowEnd.Completed));
        closed.BytesIn.ShouldBe("GET allowed.test /a~b?q=%2F".Length);
    }

    [Fact]
    public async Task An_allowed_host_answers_over_tls_in_a_tunnel()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        using HttpClient client = host.Client();

        (await client.GetStringAsync($"https://allowed.test:{host.TlsPort}/a", Token)).ShouldBe("GET allowed.test /a");

        (await host.Log.WaitForAsync<EgressEvent.Opening>()).Request.Protocol.ShouldBe(EgressProtocol.Tls);
    }

    [Fact]
    public async Task A_body_goes_out_whole_and_hop_by_hop_headers_stay_here()
    {
        string? seen = null;
        await using EgressHost host = await EgressHost.StartAsync(async context =>
        {
            using StreamReader reader = new(context.Request.Body);
            string body = await reader.ReadToEndAsync(context.RequestAborted);
            seen = string.Join(',', context.Request.Headers.Keys.Order(StringComparer.Ordinal));
            await context.Response.WriteAsync(body.Length.ToString(System.Globalization.CultureInfo.InvariantCulture), context.RequestAborted);
        });
        using HttpClient client = host.Client();
        using HttpRequestMessage request = new(HttpMethod.Post, $"http://allowed.test:{host.HttpPort}/") { Content = new ByteArrayContent(new byte[300_000]) };
        request.Headers.TryAddWithoutValidation("Proxy-Authorization", "Basic c2VjcmV0");
        request.Headers.TryAddWithoutValidation("Connection", "X-Private");
        request.Headers.TryAddWithoutValidation("X-Private", "1");
        request.Headers.TryAddWithoutValidation("X-Kept", "1");

        using HttpResponseMessage response = await client.SendAsync(request, Token);

        (await response.Content.ReadAsStringAsync(Token)).ShouldBe("300000");
        seen.ShouldBe("Content-Length,Host,X-Kept");
    }

    [Fact]
    public async Task C1_A_host_that_nothing_allows_is_denied_and_never_looked_up()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        using HttpClient client = host.Client();

        using HttpResponseMessage response = await client.GetAsync($"http://c2VjcmV0.evil.test:{host.HttpPort}/", Token);
        string tunnel = await host.TalkAsync("CONNECT c2VjcmV0.evil.test:443 HTTP/1.1\r\nHost: c2VjcmV0.evil.test:443\r\n\r\n"u8.ToArray(), _ => false);

        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        (await response.Content.ReadAsStringAsync(Token)).ShouldContain("egress_denied");
        tunnel.ShouldStartWith("HTTP/1.1 403 ");
        host.Resolver.Asked.ShouldBeEmpty();
        (await host.Log.WaitForAsync<EgressEvent.Denied>()).Host!.Text.ShouldBe("c2vjcmv0.evil.test");
    }

    [Theory]
    [InlineData("http://169.254.169.254/latest/meta-data")]
    [InlineData("http://[fd00:ec2::254]/")]
    [InlineData("http://2130706433/")]
    [InlineData("http://0x7f.1/")]
    [InlineData("http://0177.0.0.1/")]
    public async Task C5_C2_An_address_in_any_spelling_is_not_reached(string url)
    {
        await using EgressHost host = await EgressHost.StartAsync();
        host.Channel.ReplacePolicy(EgressHost.Allowing("*.allowed.test"));

        string answer = await host.TalkAsync(Encoding.ASCII.GetBytes($"GET {url} HTTP/1.1\r\nHost: {new Uri(url).Authority}\r\nConnection: close\r\n\r\n"), _ => false);

        int status = int.Parse(answer.AsSpan(9, 3), System.Globalization.CultureInfo.InvariantCulture);
        status.ShouldBeOneOf(400, 403);
        host.Log.Events.OfType<EgressEvent.Opening>().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("169.254.169.254")]
    [InlineData("10.0.0.1")]
    [InlineData("::1")]
    [InlineData("::ffff:127.0.0.1")]
    [InlineData("64:ff9b::7f00:1")]
    public async Task C6_C3_An_allowed_name_that_resolves_inside_is_refused(string address)
    {
        await using EgressHost host = await EgressHost.StartAsync();
        host.Resolver.Table["allowed.test"] = [IPAddress.Parse(address)];
        using HttpClient client = host.Client();

        using HttpResponseMessage response = await client.GetAsync($"http://allowed.test:{host.HttpPort}/", Token);
        string tunnel = await host.TalkAsync(Encoding.ASCII.GetBytes($"CONNECT allowed.test:{host.TlsPort} HTTP/1.1\r\n\r\n"), _ => false);

        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        (await response.Content.ReadAsStringAsync(Token)).ShouldContain("address_refused");
        tunnel.ShouldContain("address_refused");
        (await host.Log.WaitForAsync<EgressEvent.Denied>()).Reason.ShouldBe(EgressDenial.Address);
    }

    [Fact]
    public async Task C6_A_name_that_changes_its_answer_is_judged_each_time()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        string connect = $"CONNECT allowed.test:{host.TlsPort} HTTP/1.1\r\n\r\n";

        string first = await host.TalkAsync(Encoding.ASCII.GetBytes(connect), answer => answer.Contains("\r\n\r\n", StringComparison.Ordinal));
        host.Resolver.Table["allowed.test"] = [IPAddress.Parse("192.168.0.1")];
        string second = await host.TalkAsync(Encoding.ASCII.GetBytes(connect), _ => false);

        first.ShouldStartWith("HTTP/1.1 200 ");
        second.ShouldStartWith("HTTP/1.1 403 ");
    }

    [Fact]
    public async Task C8_The_tls_name_inside_a_tunnel_must_be_the_host_that_was_asked_for()
    {
        await using EgressHost host = await EgressHost.StartAsync();

        (await TunnelAsync(host, Hellos.Of("allowed.test"))).ShouldBeTrue("the control: a hello with the right name reaches the server");
        (await TunnelAsync(host, Hellos.Of("hidden.test"))).ShouldBeFalse();
        (await TunnelAsync(host, Hellos.Of(null))).ShouldBeFalse();
        (await TunnelAsync(host, Hellos.Of("allowed.test", encrypted: true))).ShouldBeFalse();
        (await TunnelAsync(host, "GET / HTTP/1.1\r\nHost: hidden.test\r\n\r\n"u8.ToArray())).ShouldBeFalse();
        (await TunnelAsync(host, "SSH-2.0-x\r\n"u8.ToArray())).ShouldBeFalse();

        EgressDenial[] reasons = [.. host.Log.Events.OfType<EgressEvent.Denied>().Select(denied => denied.Reason)];
        reasons.ShouldContain(EgressDenial.TlsName);
        reasons.ShouldContain(EgressDenial.NotTls);
    }

    [Fact]
    public async Task C8_A_host_header_that_differs_from_the_target_is_refused()
    {
        await using EgressHost host = await EgressHost.StartAsync();

        string forwarded = await host.TalkAsync(
            Encoding.ASCII.GetBytes($"GET http://allowed.test:{host.HttpPort}/ HTTP/1.1\r\nHost: hidden.test\r\nConnection: close\r\n\r\n"), _ => false);
        string tunnel = await host.TalkAsync("CONNECT allowed.test:443 HTTP/1.1\r\nHost: hidden.test:443\r\n\r\n"u8.ToArray(), _ => false);

        // The framework either refuses the request or replaces Host by the authority of the target (RFC 9112 3.2.2); the hidden name never goes out.
        forwarded.ShouldNotContain("hidden.test");
        tunnel.ShouldStartWith("HTTP/1.1 400 ");
    }

    [Fact]
    public async Task C11_Each_request_of_a_connection_is_decided_on_by_itself()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        string first = $"GET http://allowed.test:{host.HttpPort}/1 HTTP/1.1\r\nHost: allowed.test:{host.HttpPort}\r\n\r\n";
        string second = $"GET http://denied.test:{host.HttpPort}/2 HTTP/1.1\r\nHost: denied.test:{host.HttpPort}\r\nConnection: close\r\n\r\n";

        string answer = await host.TalkAsync(Encoding.ASCII.GetBytes(first + second), _ => false);

        answer.ShouldContain("GET allowed.test /1");
        answer.ShouldContain("egress_denied");
        answer.ShouldNotContain("GET denied.test");
    }

    [Fact]
    public async Task C11_Taking_a_permission_away_cuts_what_is_open()
    {
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using EgressHost host = await EgressHost.StartAsync(async context =>
        {
            await context.Response.Body.FlushAsync(context.RequestAborted);
            reached.TrySetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        });
        using HttpClient client = host.Client();
        Task<string> request = client.GetStringAsync($"http://allowed.test:{host.HttpPort}/", Token);
        Task<bool> tunnel = TunnelStaysOpenAsync(host, out TaskCompletionSource open);
        await reached.Task.WaitAsync(TimeSpan.FromSeconds(20), Token);
        await open.Task.WaitAsync(TimeSpan.FromSeconds(20), Token);

        host.Channel.ReplacePolicy(EgressPolicyModel.DenyAll);

        await Should.ThrowAsync<HttpRequestException>(request.WaitAsync(TimeSpan.FromSeconds(20), Token));
        (await tunnel.WaitAsync(TimeSpan.FromSeconds(20), Token)).ShouldBeFalse();
        await host.Log.WaitForAsync<EgressEvent.Closed>(closed => closed.End == FlowEnd.PermissionEnded);
        host.Channel.OpenFlows.ShouldBe(0);
    }

    [Fact]
    public async Task C9_Two_readings_of_one_request_are_no_request()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        string target = $"http://allowed.test:{host.HttpPort}";
        string authority = $"allowed.test:{host.HttpPort}";
        string[] requests =
        [
            $"POST {target}/ HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            $"POST {target}/ HTTP/1.1\r\nHost: {authority}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            $"GET {target}/ HTTP/1.1\r\nHost: {authority}\r\nHost: hidden.test\r\n\r\n",
            $"GET {target}/ HTTP/1.1\r\nHost: {authority}\r\n X: folded\r\n\r\n",
            $"GET {target}/ HTTP/1.1\r\nHost : {authority}\r\n\r\n",
            $"GET {target}/../x HTTP/1.1\r\nHost: {authority}\r\n\r\n",
            $"GET {target}/a%2fb HTTP/1.1\r\nHost: {authority}\r\n\r\n",
            $"GET {target}/%2e%2e/x HTTP/1.1\r\nHost: {authority}\r\n\r\n",
            $"GET http://allowed.test@hidden.test:{host.HttpPort}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n",
            $"GET http://hidden.test\\@allowed.test:{host.HttpPort}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n",
            $"GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n",
            $"GET https://allowed.test:{host.TlsPort}/ HTTP/1.1\r\nHost: allowed.test:{host.TlsPort}\r\n\r\n",
            $"CONNECT allowed.test HTTP/1.1\r\n\r\n",
            $"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\nContent-Length: 5\r\n\r\nhello",
            $"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n folded: 1\r\n\r\n",
            "CONNECT attacker.test\0.allowed.test:443 HTTP/1.1\r\n\r\n",
        ];
        foreach (string request in requests)
        {
            string answer = await host.TalkAsync(Encoding.Latin1.GetBytes(request), text => text.Contains("\r\n\r\n", StringComparison.Ordinal));
            answer.ShouldStartWith("HTTP/1.1 400", customMessage: request);
        }

        host.Log.Events.OfType<EgressEvent.Opening>().ShouldBeEmpty();
        string control = await host.TalkAsync(
            Encoding.ASCII.GetBytes($"GET {target}/ HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"), _ => false);
        control.ShouldStartWith("HTTP/1.1 200");
    }

    [Fact]
    public async Task C9_A_request_with_both_lengths_reaches_the_other_side_with_one()
    {
        string? framing = null;
        await using EgressHost host = await EgressHost.StartAsync(async context =>
        {
            framing = $"{context.Request.Headers.ContentLength}|{context.Request.Headers.TransferEncoding}";
            await context.Response.WriteAsync(context.Request.Path, context.RequestAborted);
        });
        string request = $"POST http://allowed.test:{host.HttpPort}/a HTTP/1.1\r\nHost: allowed.test:{host.HttpPort}\r\nContent-Length: 6\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: hidden.test\r\n\r\n";

        string answer = await host.TalkAsync(Encoding.ASCII.GetBytes(request), text => text.Contains("smuggled", StringComparison.Ordinal));

        answer.ShouldNotContain("smuggled");
        framing.ShouldBeOneOf(null, "|chunked", "0|");
    }

    [Fact]
    public async Task C9_A_loosely_written_length_goes_out_as_the_number_that_was_read()
    {
        string? framing = null;
        await using EgressHost host = await EgressHost.StartAsync(async context =>
        {
            framing = context.Request.Headers["Content-Length"];
            await context.Response.WriteAsync("ok", context.RequestAborted);
        });

        string answer = await host.TalkAsync(
            Encoding.ASCII.GetBytes($"POST http://allowed.test:{host.HttpPort}/ HTTP/1.1\r\nHost: allowed.test:{host.HttpPort}\r\nContent-Length: +4\r\nConnection: close\r\n\r\nabcd"),
            _ => false);

        answer.ShouldStartWith("HTTP/1.1 200");
        framing.ShouldBe("4");
    }

    [Fact]
    public async Task F3_What_cannot_be_recorded_does_not_go_out()
    {
        int served = 0;
        await using EgressHost host = await EgressHost.StartAsync(context =>
        {
            Interlocked.Increment(ref served);
            return context.Response.WriteAsync("ok", context.RequestAborted);
        });
        using HttpClient client = host.Client();
        (await client.GetStringAsync($"http://allowed.test:{host.HttpPort}/", Token)).ShouldBe("ok");

        host.Log.Fails = true;
        using HttpResponseMessage refused = await client.GetAsync($"http://allowed.test:{host.HttpPort}/", Token);
        string tunnel = await host.TalkAsync(Encoding.ASCII.GetBytes($"CONNECT allowed.test:{host.TlsPort} HTTP/1.1\r\n\r\n"), _ => false);

        refused.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        tunnel.ShouldStartWith("HTTP/1.1 503 ");
        served.ShouldBe(1);
    }

    [Fact]
    public async Task G6_A_channel_is_bounded_in_flows_and_bytes()
    {
        await using EgressHost host = await EgressHost.StartAsync(async context =>
        {
            byte[] block = new byte[64 * 1024];
            for (int i = 0; i < 64; i++)
            {
                await context.Response.Body.WriteAsync(block, context.RequestAborted);
            }
        });
        string path = host.SocketPath + "2";
        await using EgressChannel small = host.Gateway.Open(
            new ChannelId("sb-2"), path, EgressHost.Allowing("allowed.test"), EgressHost.Limits with { MaxBytesIn = 1_000_000, MaxFlows = 1 });
        using HttpClient client = new(new SocketsHttpHandler
        {
            Proxy = new WebProxy("http://gateway.invalid:3128"),
            ConnectCallback = async (_, cancellationToken) =>
            {
                System.Net.Sockets.Socket socket = new(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
                await socket.ConnectAsync(new System.Net.Sockets.UnixDomainSocketEndPoint(path), cancellationToken);
                return new System.Net.Sockets.NetworkStream(socket, ownsSocket: true);
            },
        });

        await Should.ThrowAsync<HttpRequestException>(client.GetByteArrayAsync($"http://allowed.test:{host.HttpPort}/", Token));
        EgressEvent.Closed closed = await host.Log.WaitForAsync<EgressEvent.Closed>(c => c.Channel.Text == "sb-2");
        closed.End.ShouldBe(FlowEnd.ByteLimit);

        // The control: another channel has its own bytes.
        using HttpClient other = host.Client();
        (await other.GetByteArrayAsync($"http://allowed.test:{host.HttpPort}/", Token)).Length.ShouldBe(64 * 64 * 1024);
    }

    [Fact]
    public async Task Equal_denials_are_told_once()
    {
        await using EgressHost host = await EgressHost.StartAsync();
        using HttpClient client = host.Client();
        for (int i = 0; i < 20; i++)
        {
            using HttpResponseMessage response = await client.GetAsync($"http://denied.test:{host.HttpPort}/{i}", Token);
            response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        host.Log.Events.OfType<EgressEvent.Denied>().ShouldHaveSingleItem().Count.ShouldBe(1);
        await host.Channel.DisposeAsync();
        host.Log.Events.OfType<EgressEvent.Denied>().Sum(denied => denied.Count).ShouldBe(20);
    }

    [Fact]
    public async Task D7_A_channel_cannot_be_opened_twice_nor_its_socket_taken()
    {
        await using EgressHost host = await EgressHost.StartAsync();

        Should.Throw<ArgumentException>(() => host.Gateway.Open(host.Channel.Id, host.SocketPath, EgressPolicyModel.DenyAll, EgressHost.Limits));

        using HttpClient client = host.Client();
        (await client.GetStringAsync($"http://allowed.test:{host.HttpPort}/", Token)).ShouldStartWith("GET ");
        File.GetUnixFileMode(host.SocketPath).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await host.Channel.DisposeAsync();
        File.Exists(host.SocketPath).ShouldBeFalse();
    }

    /// <summary>Whether the first bytes sent into a tunnel reach the other side: a TLS server answers a hello with a TLS record.</summary>
    private static async Task<bool> TunnelAsync(EgressHost host, byte[] inside)
    {
        byte[] connect = Encoding.ASCII.GetBytes($"CONNECT allowed.test:{host.TlsPort} HTTP/1.1\r\nHost: allowed.test:{host.TlsPort}\r\n\r\n");
        const string Established = "HTTP/1.1 200 Connection established\r\n\r\n";
        string answer = await host.TalkAsync([.. connect, .. inside], text => text.Length > Established.Length);
        answer.ShouldStartWith(Established);
        return answer.Length > Established.Length;
    }

    private static Task<bool> TunnelStaysOpenAsync(EgressHost host, out TaskCompletionSource open)
    {
        TaskCompletionSource opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
        open = opened;
        return RunAsync();

        async Task<bool> RunAsync()
        {
            byte[] connect = Encoding.ASCII.GetBytes($"CONNECT allowed.test:{host.TlsPort} HTTP/1.1\r\n\r\n");
            string answer = await host.TalkAsync([.. connect, .. Hellos.Of("allowed.test")], text =>
            {
                if (text.Length > 100)
                {
                    opened.TrySetResult();
                }

                return false;
            });
            return answer.Length == 0;
        }
    }
}
