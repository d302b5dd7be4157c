using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Gateway.Egress.Upstream;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;

namespace Rynxs.Gateway.Egress.Benchmark;

/// <summary>
/// The way out beside its floor, in one process: a decision among 1,000 rules, a reload under open tunnels, a tunnel's throughput beside a direct connection's, and
/// what an idle tunnel holds. Client and upstream run in the same process and on the same cores, so throughput is that of the whole machine.
/// </summary>
internal static class EgressBenchmark
{
    private const int Rules = 1_000, Decisions = 200_000, IdleTunnels = 5_000;
    private const long Bytes = 1L << 30;
    private const int Chunk = 64 * 1024;

    public static async Task RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        EgressPolicyModel model = Model();
        await output.WriteLineAsync("egress".AsMemory(), cancellationToken).ConfigureAwait(false);
        await output.WriteLineAsync(Line("decision, 1,000 rules", $"{Decide(model):0.000} us (budget 10)")).ConfigureAwait(false);

        string directory = Directory.CreateTempSubdirectory("rynxs-bench-").FullName;
        using Socket upstream = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        upstream.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        upstream.Listen(1024);
        int port = ((IPEndPoint)upstream.LocalEndPoint!).Port; // Bound above.
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task serving = ServeAsync(upstream, stop.Token);
        await using (EgressGateway gateway = await EgressGateway.StartAsync(
            new EgressGatewayOptions { Log = new Unrecorded(), Resolver = new Loopback(), LoggerFactory = NullLoggerFactory.Instance }, cancellationToken).ConfigureAwait(false))
        {
            string path = Path.Combine(directory, "s");
            EgressLimits limits = new()
            {
                MaxConnections = 10_000, MaxFlows = 10_000, MaxFlowsPerSecond = 100_000, MaxBytesIn = long.MaxValue, MaxBytesOut = long.MaxValue, IdleTimeout = TimeSpan.FromHours(1),
            };
            await using EgressChannel channel = gateway.Open(new ChannelId("bench"), path, model, limits);
            double direct = await ThroughputAsync(() => DirectAsync(port, cancellationToken), cancellationToken).ConfigureAwait(false);
            double tunnel = await ThroughputAsync(() => TunnelAsync(path, port, cancellationToken), cancellationToken).ConfigureAwait(false);
            await output.WriteLineAsync(Line("direct", $"{direct:0} MiB/s")).ConfigureAwait(false);
            await output.WriteLineAsync(Line("CONNECT tunnel", $"{tunnel:0} MiB/s, {tunnel / direct:0.00} x direct (budget 0.70)")).ConfigureAwait(false);

            long before = Settled();
            List<Socket> idle = [];
            int tunnels = await TunnelsAsync(output).ConfigureAwait(false);
            for (int i = 0; i < tunnels; i++)
            {
                idle.Add(await TunnelAsync(path, port, cancellationToken).ConfigureAwait(false));
            }

            long held = Settled() - before;
            await output.WriteLineAsync(Line($"{channel.OpenFlows:N0} idle tunnels", $"{held / 1024.0 / tunnels:0.0} KiB each of managed memory, with client and upstream (budget 64)")).ConfigureAwait(false);
            long began = Stopwatch.GetTimestamp();
            channel.ReplacePolicy(Model());
            await output.WriteLineAsync(Line("reload with them open", $"{Stopwatch.GetElapsedTime(began).TotalMilliseconds:0.0} ms with compiling, {channel.OpenFlows:N0} still open (budget 50)")).ConfigureAwait(false);
            idle.ForEach(socket => socket.Dispose());
        }

        await stop.CancelAsync().ConfigureAwait(false);
        await serving.ConfigureAwait(false);
        Directory.Delete(directory, recursive: true);
    }

    /// <summary>As many as this process may have files open for: each tunnel takes four here, one for the client, two in the gateway and one for the upstream.</summary>
    private static async Task<int> TunnelsAsync(TextWriter output)
    {
        const int FilesOfATunnel = 4, FilesBeside = 1_000;
        string line = File.ReadLines("/proc/self/limits").First(limit => limit.StartsWith("Max open files", StringComparison.Ordinal));
        string soft = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3];
        if (!long.TryParse(soft, CultureInfo.InvariantCulture, out long files) || (files - FilesBeside) / FilesOfATunnel >= IdleTunnels)
        {
            return IdleTunnels;
        }

        int tunnels = (int)Math.Max(1, (files - FilesBeside) / FilesOfATunnel);
        await output.WriteLineAsync(Line("idle tunnels", $"{tunnels:N0} instead of {IdleTunnels:N0}: this process may have {files:N0} files open")).ConfigureAwait(false);
        return tunnels;
    }

    private static double Decide(EgressPolicyModel model)
    {
        EgressRequest request = new(Name("host-999.example.com"), 443, EgressProtocol.Tls);
        DateTimeOffset now = DateTimeOffset.UnixEpoch;
        for (int i = 0; i < Decisions / 10; i++)
        {
            EgressPolicy.Decide(model, request, now);
        }

        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < Decisions; i++)
        {
            EgressPolicy.Decide(model, request, now);
        }

        return Stopwatch.GetElapsedTime(began).TotalMicroseconds / Decisions;
    }

    private static async Task<double> ThroughputAsync(Func<Task<Socket>> connect, CancellationToken cancellationToken)
    {
        using Socket socket = await connect().ConfigureAwait(false);
        byte[] buffer = new byte[Chunk];
        await socket.SendAsync(Encoding.ASCII.GetBytes("s"), cancellationToken).ConfigureAwait(false);
        long began = Stopwatch.GetTimestamp(), left = Bytes;
        while (left > 0)
        {
            int read = await socket.ReceiveAsync(buffer, cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                throw new IOException("the upstream ended early");
            }

            left -= read;
        }

        return Bytes / (1024.0 * 1024.0) / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static async Task<Socket> DirectAsync(int port, CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port, cancellationToken).ConfigureAwait(false);
        return socket;
    }

    private static async Task<Socket> TunnelAsync(string path, int port, CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
        await socket.SendAsync(
            Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"CONNECT bench.example.net:{port} HTTP/1.1\r\nHost: bench.example.net:{port}\r\n\r\n")), cancellationToken).ConfigureAwait(false);
        byte[] answer = new byte[256];
        int read = await socket.ReceiveAsync(answer, cancellationToken).ConfigureAwait(false);
        string line = Encoding.ASCII.GetString(answer, 0, read);
        return line.StartsWith("HTTP/1.1 200", StringComparison.Ordinal) ? socket : throw new IOException(line);
    }

    /// <summary>Sends what is asked for to each connection that asks; others stay idle.</summary>
    private static async Task ServeAsync(Socket listener, CancellationToken cancellationToken)
    {
        List<Task> clients = [];
        try
        {
            while (true)
            {
                Socket client = await listener.AcceptAsync(cancellationToken).ConfigureAwait(false);
                clients.Add(SendAsync(client, cancellationToken));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(clients).ConfigureAwait(false);
        }
    }

    private static async Task SendAsync(Socket client, CancellationToken cancellationToken)
    {
        using (client)
        {
            try
            {
                byte[] asked = new byte[1];
                if (await client.ReceiveAsync(asked, cancellationToken).ConfigureAwait(false) == 0)
                {
                    return;
                }

                byte[] chunk = new byte[Chunk];
                for (long sent = 0; sent < Bytes;)
                {
                    sent += await client.SendAsync(chunk, cancellationToken).ConfigureAwait(false);
                }
            }
            catch (Exception gone) when (gone is SocketException or OperationCanceledException)
            {
                // The measurement is over.
            }
        }
    }

    private static long Settled()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    private static EgressPolicyModel Model() => EgressPolicyModel.Of(
    [
        .. Enumerable.Range(0, Rules - 2).Select(i => Rule($"r{i}", string.Create(CultureInfo.InvariantCulture, $"host-{i + 2}.example.com"), EgressProtocol.Tls, 443)),
        Rule("below", "*.example.org", EgressProtocol.Tls, 443),
        Rule("bench", "bench.example.net", EgressProtocol.Tcp, null),
    ]) with { OpenedAddresses = [AddressRange.TryParse("127.0.0.0/8", out AddressRange? range) ? range : throw new FormatException()] };

    private static EgressRule Rule(string name, string host, EgressProtocol protocol, int? port) => new()
    {
        Name = name, Hosts = [HostPattern.TryParse(host, out HostPattern? pattern) ? pattern : throw new FormatException(host)], Ports = port is { } one ? [one] : null, Protocols = [protocol],
        Effect = RuleEffect.Allow,
    };

    private static HostName Name(string text) => HostName.TryParse(text, out HostName? host) ? host : throw new FormatException(text);

    private static string Line(string what, string value) => $"  {what,-28} {value}";

    /// <summary>No disk in the measurement: what a record costs is measured with the ledger.</summary>
    private sealed class Unrecorded : IEgressLog
    {
        public ValueTask WriteAsync(EgressEvent egressEvent, CancellationToken cancellationToken) => default;
    }

    private sealed class Loopback : INameResolver
    {
        public ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(HostName host, CancellationToken cancellationToken) => new([IPAddress.Loopback]);
    }
}
