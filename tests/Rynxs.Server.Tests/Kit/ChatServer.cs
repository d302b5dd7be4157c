using System.Net;

namespace Rynxs.Server.Tests.Kit;

/// <summary>An OpenAI-compatible server that demands the key.</summary>
internal sealed class ChatServer : IAsyncDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _serving;
    private int _answered;

    public ChatServer(string key)
    {
        using (var probe = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            Url = $"http://127.0.0.1:{((IPEndPoint)probe.LocalEndpoint).Port}/v1";
        }

        _listener.Prefixes.Add(Url[..^2]);
        _listener.Start();
        _serving = ServeAsync(key);
    }

    public string Url { get; }

    public int Answered => Volatile.Read(ref _answered);

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _serving;
        _listener.Close();
    }

    private async Task ServeAsync(string key)
    {
        while (_listener.IsListening)
        {
            try
            {
                HttpListenerContext context = await _listener.GetContextAsync();
                bool known = context.Request.Headers["Authorization"] == $"Bearer {key}";
                await context.Request.InputStream.CopyToAsync(Stream.Null);
                context.Response.StatusCode = known ? 200 : 401;
                context.Response.ContentType = "application/json";
                Interlocked.Add(ref _answered, known ? 1 : 0);
                await context.Response.OutputStream.WriteAsync("""{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":90,"completion_tokens":10,"total_tokens":100}}"""u8.ToArray());
                context.Response.Close();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException or InvalidOperationException)
            {
                // Stopped.
            }
        }
    }
}
