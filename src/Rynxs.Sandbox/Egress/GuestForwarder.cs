using System.Text;
using System.Text.Json.Nodes;

namespace Rynxs.Sandbox.Egress;

/// <summary>What makes the socket usable inside: a mount of one directory, and a program that listens on loopback and copies bytes to the socket.</summary>
internal static class GuestForwarder
{
    /// <summary>Where the socket's directory is mounted inside, read-only. Below /dev, because that is a tmpfs in every image.</summary>
    public const string MountPoint = "/dev/rynxs";

    /// <summary>Name of the socket in it.</summary>
    public const string SocketName = "s";

    /// <summary>Name of its directory below the sandbox's own on the host.</summary>
    public const string DirectoryName = "e";

    /// <summary>Capability 10: ports 53 and 443 of loopback. It has no other.</summary>
    public const int BindLowPorts = 1 << 10;

    private const string Proxy = "http://127.0.0.1:3128";
    private const string Loopback = "localhost,127.0.0.1,::1";

    private static string Source { get; } = Read();

    /// <summary>The name that the gateway never allows: a probe asks for it (the gateway's EgressPolicy.ProbeHost).</summary>
    public const string ProbeHost = "probe.rynxs.invalid";

    /// <summary>
    /// Added to the environment of programs. ALL_PROXY is an HTTP proxy as well: many Python clients fail when it names SOCKS and a package is missing.
    /// </summary>
    public static IReadOnlyDictionary<string, string> Environment { get; } = new Dictionary<string, string>
    {
        ["HTTP_PROXY"] = Proxy, ["http_proxy"] = Proxy,
        ["HTTPS_PROXY"] = Proxy, ["https_proxy"] = Proxy,
        ["ALL_PROXY"] = Proxy, ["all_proxy"] = Proxy,
        ["NO_PROXY"] = Loopback, ["no_proxy"] = Loopback,
    };

    /// <summary>Its command line.</summary>
    public static IReadOnlyList<string> Command { get; } = ["/usr/bin/python3", "-I", "-S", "-c", Source, $"{MountPoint}/{SocketName}"];

    /// <summary>Asks the forwarder for the forbidden name, by proxy and by DNS, and for an address past it.</summary>
    public static IReadOnlyList<string> ProbeCommand { get; } = ["/usr/bin/python3", "-I", "-S", "-c", $$"""
        import socket,struct,sys,time
        def proxy():
            s=socket.create_connection(('127.0.0.1',3128),5)
            s.sendall(b'CONNECT {{ProbeHost}}:443 HTTP/1.1\r\nHost: {{ProbeHost}}:443\r\n\r\n')
            d=b''
            while b'\r\n' not in d:
                c=s.recv(4096)
                if not c: break
                d+=c
            return d.split(b'\r\n')[0].decode('latin-1')
        def tried(f):
            try: return f()
            except OSError as e: return e.strerror or type(e).__name__
        def dns():
            try: return socket.gethostbyname('{{ProbeHost}}')
            except socket.gaierror: return 'no address'
        def direct():
            s=socket.socket(); s.settimeout(2); s.connect(('192.0.2.1',443)); return 'worked'
        def local():
            s=socket.socket(socket.AF_UNIX); s.bind('{{MountPoint}}/x'); return 'worked'
        for i in range(100):
            p=tried(proxy)
            if p!='Connection refused': break
            time.sleep(0.02)
        print('|'.join([p,tried(dns),tried(direct),tried(local)]))
        """];

    /// <summary>The mount of the socket's directory.</summary>
    public static JsonObject Mount(string hostDirectory) => new()
    {
        ["destination"] = MountPoint,
        ["type"] = "bind",
        ["source"] = hostDirectory,
        ["options"] = new JsonArray("bind", "ro", "nosuid", "nodev", "noexec"),
    };

    private static string Read()
    {
        using Stream resource = typeof(GuestForwarder).Assembly.GetManifestResourceStream("Rynxs.Sandbox.Egress.forwarder.py") ?? throw new InvalidOperationException("forwarder.py is part of this assembly");
        using var reader = new StreamReader(resource, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
