using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Rynxs.Cli.Demo;

/// <summary>An OpenAI-compatible server on loopback: answers every chat completion with one sentence, if it is shown the key. Dispose ends it.</summary>
internal sealed class ModelServer : IAsyncDisposable
{
    /// <summary>Tokens that it reports for each answer.</summary>
    public const int TokensPerAnswer = 100;

    private readonly HttpListener _listener = new();
    private readonly string _key;
    private readonly Task _serving;
    private int _answered;

    public ModelServer(string key)
    {
        _key = key;
        int port = FreePort();
        Url = $"http://127.0.0.1:{port}/v1";
        _listener.Prefixes.Add($"http://127.0.0.1:{port}/");
        _listener.Start();
        _serving = ServeAsync();
    }

    public string Url { get; }

    /// <summary>How often it was shown the key and answered.</summary>
    public int Answered => Volatile.Read(ref _answered);

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _serving;
        _listener.Close();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private async Task ServeAsync()
    {
        byte[] answer = Encoding.UTF8.GetBytes($$$"""
            {"id":"demo","object":"chat.completion","created":0,"model":"demo-real","choices":[{"index":0,"message":{"role":"assistant","content":"An answer of the model."},"finish_reason":"stop"}],"usage":{"prompt_tokens":{{{TokensPerAnswer - 10}}},"completion_tokens":10,"total_tokens":{{{TokensPerAnswer}}}}}
            """);
        while (_listener.IsListening)
        {
            try
            {
                HttpListenerContext context = await _listener.GetContextAsync();
                bool known = context.Request.Headers["Authorization"] == $"Bearer {_key}";
                await context.Request.InputStream.CopyToAsync(Stream.Null);
                context.Response.StatusCode = known ? 200 : 401;
                context.Response.ContentType = "application/json";
                if (known)
                {
                    Interlocked.Increment(ref _answered);
                    await context.Response.OutputStream.WriteAsync(answer);
                }

                context.Response.Close();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException or InvalidOperationException)
            {
                // Stopped, or a client that left.
            }
        }
    }
}
