using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace Rynxs.Gateway.Tests.Inference;

/// <summary>
/// An upstream on a raw socket, so that it can break every rule: it reads one request per connection and answers with exactly the bytes that the test gives.
/// </summary>
internal sealed class ModelServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<Exchange, Task> _answer;
    private readonly Task _accepting;
    private readonly ConcurrentBag<Task> _serving = [];

    public ModelServer(Func<Exchange, Task> answer)
    {
        _answer = answer;
        _listener.Start();
        BaseUrl = new Uri($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/v1");
        _accepting = AcceptAsync();
    }

    public Uri BaseUrl { get; }

    /// <summary>Every request as it came.</summary>
    public ConcurrentQueue<Exchange> Requests { get; } = [];

    /// <summary>A whole chat completion.</summary>
    public static string Chat(string text, long input = 10, long output = 5) => new JsonObject
    {
        ["id"] = "chatcmpl-1",
        ["object"] = "chat.completion",
        ["model"] = "real",
        ["choices"] = new JsonArray(new JsonObject { ["index"] = 0, ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = text }, ["finish_reason"] = "stop" }),
        ["usage"] = new JsonObject { ["prompt_tokens"] = input, ["completion_tokens"] = output, ["total_tokens"] = input + output },
    }.ToJsonString();

    public static string Chunk(string text) =>
        $"data: {{\"id\":\"c1\",\"model\":\"real\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{JsonValue.Create(text).ToJsonString()}}},\"finish_reason\":null}}]}}\n\n";

    public const string Finish = "data: {\"id\":\"c1\",\"model\":\"real\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

    public static string UsageChunk(long input = 10, long output = 5) =>
        $"data: {{\"id\":\"c1\",\"model\":\"real\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{input + output}}}}}\n\n";

    public const string Done = "data: [DONE]\n\n";

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_serving);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = await _listener.AcceptTcpClientAsync(_stop.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }

            _serving.Add(ServeAsync(client));
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                NetworkStream stream = client.GetStream();
                Exchange? exchange = await Exchange.ReadAsync(stream, _stop.Token);
                if (exchange is not null)
                {
                    Requests.Enqueue(exchange);
                    await _answer(exchange);
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or SocketException)
            {
                // The other side left, or the test is over.
            }
        }
    }
}

/// <summary>One request and the way to answer it.</summary>
internal sealed class Exchange(NetworkStream stream, string head, byte[] body, CancellationToken stop)
{
    public string Head { get; } = head;

    public string Body { get; } = Encoding.UTF8.GetString(body);

    public JsonObject Json => JsonNode.Parse(Body)!.AsObject(); // Requests of the gateway are JSON.

    public CancellationToken Stop { get; } = stop;

    public async Task SendAsync(string text) => await stream.WriteAsync(Encoding.UTF8.GetBytes(text), Stop);

    public Task JsonAsync(int status, string json, string headers = "") =>
        SendAsync($"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(json)}\r\nConnection: close\r\n{headers}\r\n{json}");

    /// <summary>Begins a stream of events; what follows is sent by <see cref="SendAsync"/>, and the end of the connection ends it.</summary>
    public Task BeginStreamAsync() => SendAsync("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");

    /// <summary>Begins a chunked stream, whose end without its last chunk is a truncation.</summary>
    public Task BeginChunkedAsync() => SendAsync("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");

    public Task ChunkAsync(string text) => SendAsync($"{Encoding.UTF8.GetByteCount(text):x}\r\n{text}\r\n");

    /// <summary>Completes when the other side closes.</summary>
    public async Task UntilClosedAsync()
    {
        byte[] buffer = new byte[64];
        while (await stream.ReadAsync(buffer, Stop) > 0)
        {
        }
    }

    public static async Task<Exchange?> ReadAsync(NetworkStream stream, CancellationToken stop)
    {
        List<byte> all = [];
        byte[] buffer = new byte[4096];
        int head = -1;
        while (head < 0)
        {
            int read = await stream.ReadAsync(buffer, stop);
            if (read == 0)
            {
                return null;
            }

            all.AddRange(buffer.AsSpan(0, read));
            head = Encoding.Latin1.GetString([.. all]).IndexOf("\r\n\r\n", StringComparison.Ordinal);
        }

        string text = Encoding.Latin1.GetString([.. all], 0, head);
        string? length = text.Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
        int due = length is null ? 0 : int.Parse(length[15..].Trim(), System.Globalization.CultureInfo.InvariantCulture);
        while (all.Count < head + 4 + due)
        {
            int read = await stream.ReadAsync(buffer, stop);
            if (read == 0)
            {
                return null;
            }

            all.AddRange(buffer.AsSpan(0, read));
        }

        return new Exchange(stream, text, [.. all.Skip(head + 4).Take(due)], stop);
    }
}
