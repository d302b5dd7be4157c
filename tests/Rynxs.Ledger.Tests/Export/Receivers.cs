using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Channels;

namespace Rynxs.Ledger.Tests.Export;

/// <summary>A syslog receiver that speaks the real framing (RFC 6587 octet counting), over TCP or TLS.</summary>
internal sealed class SyslogReceiver : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Channel<string> _messages = Channel.CreateUnbounded<string>();
    private readonly CancellationTokenSource _stop = new();
    private readonly X509Certificate2? _certificate;
    private readonly Task _accepting;
    private TcpClient? _current;

    public SyslogReceiver(X509Certificate2? certificate = null, int port = 0)
    {
        _certificate = certificate;
        _listener = new TcpListener(IPAddress.Loopback, port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public async Task<IReadOnlyList<string>> ReceiveAsync(int count, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        var messages = new List<string>();
        while (messages.Count < count)
        {
            messages.Add(await _messages.Reader.ReadAsync(limit.Token));
        }

        return messages;
    }

    public IReadOnlyList<string> Rest()
    {
        var messages = new List<string>();
        while (_messages.Reader.TryRead(out string? message))
        {
            messages.Add(message);
        }

        return messages;
    }

    /// <summary>Breaks the connection as a crash does: with a reset.</summary>
    public void Reset()
    {
        _current?.Client.Close(0);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        _current?.Dispose();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                _current = await _listener.AcceptTcpClientAsync(_stop.Token);
                await ReadAsync(_current);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    private async Task ReadAsync(TcpClient client)
    {
        try
        {
            Stream stream = client.GetStream();
            if (_certificate is not null)
            {
                var tls = new SslStream(stream);
                await tls.AuthenticateAsServerAsync(_certificate);
                stream = tls;
            }

            while (await ReadFrameAsync(stream) is { } message)
            {
                await _messages.Writer.WriteAsync(message);
            }
        }
        catch (Exception exception) when (exception is IOException or System.Security.Authentication.AuthenticationException or ObjectDisposedException or SocketException or OperationCanceledException)
        {
            // The sender went away, or the test reset the connection.
        }
    }

    private async Task<string?> ReadFrameAsync(Stream stream)
    {
        int length = 0;
        byte[] one = new byte[1];
        while (true)
        {
            if (await stream.ReadAsync(one, _stop.Token) == 0)
            {
                return null;
            }

            if (one[0] == ' ')
            {
                break;
            }

            length = (length * 10) + one[0] - '0';
        }

        byte[] message = new byte[length];
        await stream.ReadExactlyAsync(message, _stop.Token);
        return Encoding.UTF8.GetString(message);
    }
}

/// <summary>An HTTP receiver whose answers the test chooses.</summary>
internal sealed class HttpReceiver : IAsyncDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _serving;

    public HttpReceiver()
    {
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            Port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }

        _listener.Prefixes.Add($"http://127.0.0.1:{Port}/");
        _listener.Start();
        _serving = ServeAsync();
    }

    public int Port { get; }

    public Func<string, (int Status, string Body)> Answer { get; set; } = _ => (200, "{}");

    public List<(string Path, string? ContentType, string? Authorization, string Body)> Requests { get; } = [];

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _serving;
        _listener.Close();
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            HttpListenerContext context;
            try
            {
                context = await _listener.GetContextAsync();
            }
            catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }

            using var reader = new StreamReader(context.Request.InputStream);
            string body = await reader.ReadToEndAsync();
            (int status, string answer) = Answer(body);
            lock (Requests)
            {
                Requests.Add((context.Request.Url?.AbsolutePath ?? "", context.Request.ContentType, context.Request.Headers["Authorization"], body));
            }

            context.Response.StatusCode = status;
            await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(answer));
            context.Response.Close();
        }
    }
}

/// <summary>Certificates of a test.</summary>
internal static class TestCertificate
{
    public static X509Certificate2 Create(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }
}
