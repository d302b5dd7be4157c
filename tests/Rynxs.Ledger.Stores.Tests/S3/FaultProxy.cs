using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Rynxs.Ledger.Stores.Tests.S3;

/// <summary>What the proxy does with one request.</summary>
public abstract record Fault
{
    private Fault()
    {
    }

    /// <summary>Forward it and answer as the server does.</summary>
    public sealed record None : Fault;

    /// <summary>Forward it, and never answer: a time-out after the commit.</summary>
    public sealed record CommitThenSilence : Fault;

    /// <summary>Forward it, and cut the connection instead of answering.</summary>
    public sealed record CommitThenCut : Fault;

    /// <summary>Forward it, and answer with an error nevertheless.</summary>
    public sealed record CommitThenStatus(int Status, string Code) : Fault;

    /// <summary>Answer with an error without forwarding it.</summary>
    public sealed record Answer(int Status, string Code) : Fault;

    /// <summary>Forward half of the body and cut both connections.</summary>
    public sealed record CutBody : Fault;

    /// <summary>Answer with the first half of the server's answer and cut.</summary>
    public sealed record CutAnswer : Fault;

    /// <summary>Answer a listing with nothing: the server lists late.</summary>
    public sealed record EmptyList : Fault;

    /// <summary>Wait, then forward.</summary>
    public sealed record Slow(TimeSpan By) : Fault;

    /// <summary>Let the test do something first, then the other fault.</summary>
    public sealed record After(Func<Task> Action, Fault Then) : Fault;
}

/// <summary>One request as the proxy saw it.</summary>
public sealed record SeenRequest(string Method, string Target)
{
    public bool IsPut(string part) => Method == "PUT" && Target.Contains(part, StringComparison.Ordinal);

    public bool IsList => Method == "GET" && Target.Contains("list-type=2", StringComparison.Ordinal);
}

/// <summary>
/// A proxy between a client and a real S3 server that speaks HTTP/1.1 faithfully except where it is told to fail. One request per connection;
/// requests are forwarded byte for byte, because their headers are signed.
/// </summary>
public sealed class FaultProxy : IAsyncDisposable
{
    private readonly Uri _server;
    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentBag<Task> _connections = [];
    private readonly Task _accepting;

    public FaultProxy(Uri server, int port = 0)
    {
        _server = server;
        _listener = new TcpListener(IPAddress.Loopback, port);
        _listener.Start();
        Endpoint = new Uri($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/");
        _accepting = AcceptAsync();
    }

    public Uri Endpoint { get; }

    /// <summary>Decides about each request; asked one at a time.</summary>
    public Func<SeenRequest, Fault> Decide { get; set; } = _ => new Fault.None();

    public ConcurrentQueue<SeenRequest> Seen { get; } = new();

    /// <summary>A decision for the first requests that match, and none for the others.</summary>
    public void FailFirst(int count, Predicate<SeenRequest> match, Fault fault)
    {
        int left = count;
        Decide = request => match(request) && left-- > 0 ? fault : new Fault.None();
    }

    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested)
        {
            return;
        }

        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_connections);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                NetworkStream stream = client.GetStream();
                if (await ReadRequestAsync(stream) is not { } request)
                {
                    return;
                }

                Seen.Enqueue(request.Seen);
                Fault fault;
                lock (_connections)
                {
                    fault = Decide(request.Seen);
                }

                await ApplyAsync(fault, request, stream);
            }
            catch (Exception exception) when (exception is IOException or SocketException or OperationCanceledException)
            {
                // The client gave up, or the test ended.
            }
        }
    }

    private async Task ApplyAsync(Fault fault, Request request, NetworkStream client)
    {
        switch (fault)
        {
            case Fault.None:
                await client.WriteAsync(await ForwardAsync(request, request.Body.Length), _stop.Token);
                break;
            case Fault.CommitThenSilence:
                await ForwardAsync(request, request.Body.Length);
                await Task.Delay(Timeout.Infinite, _stop.Token);
                break;
            case Fault.CommitThenCut:
                await ForwardAsync(request, request.Body.Length);
                break;
            case Fault.CommitThenStatus status:
                await ForwardAsync(request, request.Body.Length);
                await client.WriteAsync(Error(status.Status, status.Code), _stop.Token);
                break;
            case Fault.Answer answer:
                await client.WriteAsync(Error(answer.Status, answer.Code), _stop.Token);
                break;
            case Fault.CutBody:
                await ForwardAsync(request, request.Body.Length / 2);
                break;
            case Fault.CutAnswer:
                byte[] whole = await ForwardAsync(request, request.Body.Length);
                await client.WriteAsync(whole.AsMemory(0, whole.Length - Math.Max(1, (whole.Length - whole.AsSpan().IndexOf("\r\n\r\n"u8)) / 2)), _stop.Token);
                break;
            case Fault.EmptyList:
                await client.WriteAsync(
                    Response(200, "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"),
                    _stop.Token);
                break;
            case Fault.Slow slow:
                await Task.Delay(slow.By, _stop.Token);
                await ApplyAsync(new Fault.None(), request, client);
                break;
            case Fault.After after:
                await after.Action();
                await ApplyAsync(after.Then, request, client);
                break;
            default:
                throw new InvalidOperationException(fault.ToString());
        }
    }

    /// <summary>Sends a request on and returns the whole answer; with less than the body, the server sees the connection end in the middle.</summary>
    private async Task<byte[]> ForwardAsync(Request request, int bodyBytes)
    {
        using var server = new TcpClient();
        await server.ConnectAsync(IPAddress.Loopback, _server.Port, _stop.Token);
        NetworkStream stream = server.GetStream();
        await stream.WriteAsync(request.Head, _stop.Token);
        await stream.WriteAsync(request.Body.AsMemory(0, bodyBytes), _stop.Token);
        if (bodyBytes < request.Body.Length)
        {
            server.Client.Shutdown(SocketShutdown.Send);
        }

        using var answer = new MemoryStream();
        await stream.CopyToAsync(answer, _stop.Token);
        return answer.ToArray();
    }

    private async Task<Request?> ReadRequestAsync(NetworkStream stream)
    {
        using var buffer = new MemoryStream();
        byte[] chunk = new byte[64 * 1024];
        int headEnd;
        while ((headEnd = buffer.GetBuffer().AsSpan(0, (int)buffer.Length).IndexOf("\r\n\r\n"u8)) < 0)
        {
            int read = await stream.ReadAsync(chunk, _stop.Token);
            if (read == 0)
            {
                return null;
            }

            buffer.Write(chunk, 0, read);
        }

        string[] lines = Encoding.ASCII.GetString(buffer.GetBuffer(), 0, headEnd).Split("\r\n");
        int length = lines.Where(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase))
            .Select(line => int.Parse(line.Split(':')[1], CultureInfo.InvariantCulture)).FirstOrDefault();
        if (lines.Contains("Expect: 100-continue", StringComparer.OrdinalIgnoreCase))
        {
            await stream.WriteAsync("HTTP/1.1 100 Continue\r\n\r\n"u8.ToArray(), _stop.Token);
        }

        while (buffer.Length < headEnd + 4 + length)
        {
            int read = await stream.ReadAsync(chunk, _stop.Token);
            if (read == 0)
            {
                return null;
            }

            buffer.Write(chunk, 0, read);
        }

        // Neither header is signed.
        IEnumerable<string> kept = lines.Where(line =>
            !line.StartsWith("Connection:", StringComparison.OrdinalIgnoreCase) && !line.StartsWith("Expect:", StringComparison.OrdinalIgnoreCase));
        byte[] head = Encoding.ASCII.GetBytes(string.Join("\r\n", kept) + "\r\nConnection: close\r\n\r\n");
        string[] first = lines[0].Split(' ');
        return new Request(new SeenRequest(first[0], first[1]), head, buffer.ToArray()[(headEnd + 4)..(headEnd + 4 + length)]);
    }

    private static byte[] Error(int status, string code) => Response(status, $"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>made by the test</Message></Error>");

    private static byte[] Response(int status, string xml) => Encoding.ASCII.GetBytes(string.Create(
        CultureInfo.InvariantCulture, $"HTTP/1.1 {status} Made\r\nContent-Type: application/xml\r\nContent-Length: {xml.Length}\r\nConnection: close\r\n\r\n{xml}"));

    private sealed record Request(SeenRequest Seen, byte[] Head, byte[] Body);
}
