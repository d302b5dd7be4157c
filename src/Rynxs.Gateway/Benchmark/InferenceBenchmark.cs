using System.Collections.Frozen;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;
using Rynxs.Policy.Rules;

namespace Rynxs.Gateway.Benchmark;

/// <summary>
/// One hop to a model: directly, through nginx and through the gateway with policy, budget and records on, to the same upstream on the same cores in the
/// same run. The load, the upstream and the gateway share one process; nginx has its own: its figures are helped by that, not ours.
/// </summary>
internal static class InferenceBenchmark
{
    private const int Rate = 1000;
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(10);
    private static readonly byte[] Body = Encoding.UTF8.GetBytes($$"""{"model":"m","messages":[{"role":"user","content":"{{new string('x', 960)}}"}]}""");
    private static readonly byte[] StreamBody = Encoding.UTF8.GetBytes("""{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");

    public static async Task RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        await using WebApplication upstream = await StartAsync(AnswerAsync).ConfigureAwait(false);
        Uri direct = UrlOf(upstream);
        string directory = Directory.CreateTempSubdirectory("rynxs-bench-").FullName;
        try
        {
            using BenchMeters meters = new();
            using HttpMessageInvoker http = new(new SocketsHttpHandler());
            InferenceGateway gateway = InferenceGateway.Open(new InferenceGatewayOptions
            {
                SpoolDirectory = Path.Combine(directory, "spool"),
                Log = new NoLedger(),
                Credentials = new CredentialSources(null, null, null, http, TimeProvider.System),
                Meters = meters,
                LoggerFactory = NullLoggerFactory.Instance,
            });
            await using ConfiguredAsyncDisposable closing = gateway.ConfigureAwait(false);
            gateway.Replace(ModelOf(direct));
            // As many agents as it takes for the closed loop not to meet the rate of one, which counts each request all the same.
            GatewayCaller[] callers = [.. Enumerable.Range(0, 64).Select(i => new GatewayCaller { Principal = $"agent:bench/a{i}", Namespace = "bench", Agent = $"a{i}" })];
            int turn = 0;
            await using WebApplication hop = await StartAsync(context => gateway.ServeAsync(context, callers[(uint)Interlocked.Increment(ref turn) % callers.Length])).ConfigureAwait(false);
            using Nginx? nginx = await Nginx.TryStartAsync(directory, direct, cancellationToken).ConfigureAwait(false);

            List<(string Name, Uri Url)> ways = [("direct", direct), ("gateway", UrlOf(hop))];
            if (nginx is not null)
            {
                ways.Insert(1, ("nginx", nginx.Url));
            }
            else
            {
                await output.WriteLineAsync("nginx is not installed (apt-get install nginx-light): its rows are missing, not estimated.").ConfigureAwait(false);
            }

            await output.WriteLineAsync($"\n| way, {Body.Length} B request, keep-alive | at {Rate}/s: p50 ms | p99 ms | closed loop, 32 connections: requests/s | first byte of a stream, p50 ms |\n|---|---|---|---|---|").ConfigureAwait(false);
            foreach ((string name, Uri url) in ways)
            {
                using HttpClient client = new(new SocketsHttpHandler { MaxConnectionsPerServer = 256, UseProxy = false }) { BaseAddress = url };
                await ClosedLoopAsync(client, TimeSpan.FromSeconds(3), cancellationToken).ConfigureAwait(false); // Warm.
                (double p50, double p99) = await OpenLoopAsync(client, cancellationToken).ConfigureAwait(false);
                double rate = await ClosedLoopAsync(client, Long, cancellationToken).ConfigureAwait(false);
                double first = await FirstByteAsync(client, cancellationToken).ConfigureAwait(false);
                await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"| {name} | {p50:0.000} | {p99:0.000} | {rate:0} | {first:0.000} |")).ConfigureAwait(false);
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static InferenceModel ModelOf(Uri upstream) => new()
    {
        ByNamespace = new Dictionary<string, IReadOnlyList<InferencePolicyConfig>>
        {
            ["bench"] =
            [
                new InferencePolicyConfig
                {
                    Policy = new InferencePolicyModel
                    {
                        Name = "bench/p",
                        Digest = new string('0', 64),
                        Agents = [new Glob("*")],
                        Models = Enumerable.Range(0, 1000).Select(i => new ModelRule
                        {
                            Name = i == 0 ? "m" : $"m{i}",
                            Routes = [new ModelRoute("up", "real")],
                            Endpoints = new HashSet<InferenceEndpoint> { InferenceEndpoint.ChatCompletions },
                            MaxOutputTokens = 100,
                            Price = new TokenPrice(150_000_000, 600_000_000),
                        }).ToFrozenDictionary(model => model.Name, StringComparer.Ordinal),
                        Budgets = [new BudgetLimit(BudgetScope.Agent, BudgetPeriod.Day, long.MaxValue / 4, long.MaxValue / 4), new BudgetLimit(BudgetScope.Namespace, BudgetPeriod.Total, long.MaxValue / 4, null)],
                    },
                    Upstreams = new Dictionary<string, UpstreamConfig>
                    {
                        ["up"] = new() { Name = "up", Kind = UpstreamKind.OpenAi, BaseUrl = new Uri(upstream, "v1"), MaxConcurrent = 256 },
                    },
                    RequestsPerMinute = 60_000,
                    MaxConcurrent = 256,
                    MaxQueued = 256,
                },
            ],
        },
    };

    /// <summary>The upstream: a whole answer of about 1 KiB, or a short stream.</summary>
    private static async Task AnswerAsync(HttpContext context)
    {
        byte[] request = new byte[(int)(context.Request.ContentLength ?? 0)];
        await context.Request.Body.ReadExactlyAsync(request, context.RequestAborted).ConfigureAwait(false);
        if (request.AsSpan().IndexOf("\"stream\":true"u8) < 0)
        {
            byte[] answer = Encoding.UTF8.GetBytes($$$"""{"id":"c","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"{{{new string('y', 800)}}}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":240,"completion_tokens":200,"total_tokens":440}}""");
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = answer.Length;
            await context.Response.Body.WriteAsync(answer, context.RequestAborted).ConfigureAwait(false);
            return;
        }

        context.Response.ContentType = "text/event-stream";
        await context.Response.BodyWriter.WriteAsync("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n"u8.ToArray(), context.RequestAborted).ConfigureAwait(false);
        await context.Response.BodyWriter.WriteAsync("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n"u8.ToArray(), context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task<WebApplication> StartAsync(RequestDelegate handle)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        WebApplication server = builder.Build();
        server.Run(handle);
        await server.StartAsync().ConfigureAwait(false);
        return server;
    }

    private static Uri UrlOf(WebApplication server) =>
        new(server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()?.Addresses.First() ?? throw new InvalidOperationException("The server has no address."));

    private static HttpRequestMessage Request(byte[] body)
    {
        HttpRequestMessage request = new(HttpMethod.Post, "/v1/chat/completions") { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return request;
    }

    private static async Task OneAsync(HttpClient client, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = Request(Body);
        using HttpResponseMessage response = await client.SendAsync(request, cancellationToken).ConfigureAwait(false);
        response.EnsureSuccessStatusCode();
    }

    /// <summary>Requests begin at their times whether or not earlier ones have ended; the latency counts from the time at which each was due.</summary>
    private static async Task<(double P50, double P99)> OpenLoopAsync(HttpClient client, CancellationToken cancellationToken)
    {
        int count = Rate * (int)Long.TotalSeconds;
        double[] latencies = new double[count];
        List<Task> running = new(count);
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            double due = i * 1000.0 / Rate;
            double early = due - Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
            if (early > 1)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(early), cancellationToken).ConfigureAwait(false);
            }

            // A timer that rings late is the load's fault and no latency: what is behind starts now.
            double started = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
            int index = i;
            running.Add(MeasureAsync());

            async Task MeasureAsync()
            {
                await OneAsync(client, cancellationToken).ConfigureAwait(false);
                latencies[index] = Stopwatch.GetElapsedTime(begin).TotalMilliseconds - started;
            }
        }

        await Task.WhenAll(running).ConfigureAwait(false);
        Array.Sort(latencies);
        return (latencies[count / 2], latencies[count * 99 / 100]);
    }

    private static async Task<double> ClosedLoopAsync(HttpClient client, TimeSpan time, CancellationToken cancellationToken)
    {
        long done = 0;
        long begin = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, 32).Select(async _ =>
        {
            while (Stopwatch.GetElapsedTime(begin) < time)
            {
                await OneAsync(client, cancellationToken).ConfigureAwait(false);
                Interlocked.Increment(ref done);
            }
        })).ConfigureAwait(false);
        return done / Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }

    private static async Task<double> FirstByteAsync(HttpClient client, CancellationToken cancellationToken)
    {
        double[] latencies = new double[500];
        byte[] buffer = new byte[4096];
        for (int i = 0; i < latencies.Length; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            using HttpRequestMessage request = Request(StreamBody);
            using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
            using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
            _ = await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            latencies[i] = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
            while (await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false) > 0)
            {
            }
        }

        Array.Sort(latencies);
        return latencies[latencies.Length / 2];
    }

    /// <summary>The peer, as Debian packages it: a proxy with keep-alive to its upstream and no access log.</summary>
    private sealed class Nginx(Process process, Uri url) : IDisposable
    {
        public Uri Url { get; } = url;

        public static async Task<Nginx?> TryStartAsync(string directory, Uri upstream, CancellationToken cancellationToken)
        {
            string? program = ((string[])["/usr/sbin/nginx", "/usr/local/sbin/nginx"]).FirstOrDefault(File.Exists);
            if (program is null)
            {
                return null;
            }

            int port = FreePort();
            string configuration = Path.Combine(directory, "nginx.conf");
            await File.WriteAllTextAsync(
                configuration,
                $$"""
                daemon off;
                pid {{directory}}/nginx.pid;
                error_log {{directory}}/nginx.err;
                worker_processes {{Environment.ProcessorCount}};
                events { worker_connections 1024; }
                http {
                  access_log off;
                  client_body_temp_path {{directory}}/body; proxy_temp_path {{directory}}/proxy; fastcgi_temp_path {{directory}}/f; uwsgi_temp_path {{directory}}/u; scgi_temp_path {{directory}}/s;
                  upstream model { server {{upstream.Authority}}; keepalive 64; }
                  server {
                    listen 127.0.0.1:{{port}};
                    keepalive_requests 10000000;
                    location / { proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
                  }
                }
                """,
                cancellationToken).ConfigureAwait(false);
            Process process = Process.Start(new ProcessStartInfo(program, ["-c", configuration, "-p", directory])) ?? throw new InvalidOperationException("nginx does not start.");
            Uri url = new($"http://127.0.0.1:{port}");
            for (int i = 0; i < 200; i++)
            {
                try
                {
                    using TcpClient probe = new();
                    await probe.ConnectAsync(IPAddress.Loopback, port, cancellationToken).ConfigureAwait(false);
                    return new Nginx(process, url);
                }
                catch (SocketException)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(25), cancellationToken).ConfigureAwait(false);
                }
            }

            process.Kill(entireProcessTree: true);
            process.Dispose();
            throw new InvalidOperationException("nginx does not listen.");
        }

        public void Dispose()
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            process.Dispose();
        }

        private static int FreePort()
        {
            using Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            return (socket.LocalEndPoint as IPEndPoint)?.Port ?? throw new InvalidOperationException("No port.");
        }
    }

    /// <summary>Takes every record at once: the ledger's own cost is measured by its own benchmark.</summary>
    private sealed class NoLedger : IInferenceLog
    {
        public ValueTask WriteAsync(InferenceRecord record, string idempotencyKey, CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }

    private sealed class BenchMeters : IMeterFactory
    {
        private readonly List<Meter> _meters = [];

        public Meter Create(MeterOptions options)
        {
            Meter meter = new(options);
            _meters.Add(meter);
            return meter;
        }

        public void Dispose() => _meters.ForEach(meter => meter.Dispose());
    }
}
