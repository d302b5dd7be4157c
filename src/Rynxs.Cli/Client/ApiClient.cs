using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;

namespace Rynxs.Cli.Client;

/// <summary>
/// HTTP to a Rynxs server. An ordinary answer is bounded in size and time; a stream is bounded per line and ends with its token.
/// </summary>
internal sealed class ApiClient : IDisposable
{
    /// <summary>Largest ordinary answer: a list of many objects, or the output of a program.</summary>
    private const int MaxAnswerBytes = 128 * 1024 * 1024;

    /// <summary>Largest line of a stream: a record of 1 MiB with its preview, JSON-escaped.</summary>
    private const int MaxLineBytes = 16 * 1024 * 1024;

    private const string Json = "application/json";

    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    private readonly HttpClient _http;
    private readonly Uri _server;

    public ApiClient(ClientSettings settings)
    {
        _server = settings.Server;
        var handler = new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(10),
            AllowAutoRedirect = false, // a redirect could carry the token elsewhere
            UseProxy = !settings.Server.IsLoopback,
            AutomaticDecompression = DecompressionMethods.GZip,
        };
        if (settings.Authority is { } authority)
        {
            // The kubeconfig's authority instead of the machine's, not beside it.
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authority);
        }

        if (settings.ClientCertificate is { } certificate)
        {
            handler.SslOptions.ClientCertificates = [certificate];
        }

        if (settings.ServerName is { } name)
        {
            handler.SslOptions.TargetHost = name;
        }

        _http = new HttpClient(handler)
        {
            BaseAddress = settings.Server,
            Timeout = Timeout.InfiniteTimeSpan,
            MaxResponseContentBufferSize = MaxAnswerBytes,
        };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("rynxs", ProductVersion.Text));
        if (settings.Token is not null)
        {
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", settings.Token);
        }
    }

    /// <summary>Sends one request and reads its JSON answer; null for an empty one.</summary>
    /// <exception cref="ApiException">The server refused.</exception>
    /// <exception cref="CliException">There is no answer.</exception>
    public async Task<JsonElement?> SendAsync(
        HttpMethod method,
        string path,
        string? body,
        CancellationToken cancellationToken,
        string contentType = "application/json",
        TimeSpan? timeout = null,
        string accept = Json)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout ?? DefaultTimeout);
        try
        {
            using var request = new HttpRequestMessage(method, path);
            request.Headers.TryAddWithoutValidation("Accept", accept);
            if (body is not null)
            {
                request.Content = new StringContent(body, Encoding.UTF8);
                request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
            }

            using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseContentRead, deadline.Token);
            byte[] bytes = await response.Content.ReadAsByteArrayAsync(deadline.Token);
            TellWarnings(response);
            ThrowIfRefused(response.StatusCode, bytes);
            return bytes.AsSpan().Trim(" \r\n\t"u8).IsEmpty ? null : ParseAnswer(bytes);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CliException($"the server at {_server} did not answer within {(timeout ?? DefaultTimeout).TotalSeconds:0} s.");
        }
        catch (HttpRequestException exception)
        {
            throw Unreachable(exception);
        }
    }

    /// <summary>GET; the JSON answer.</summary>
    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellationToken, string accept = Json) =>
        await SendAsync(HttpMethod.Get, path, body: null, cancellationToken, accept: accept)
        ?? throw new CliException($"the server at {_server} answered nothing to GET {path}.");

    /// <summary>GET; null when it does not exist.</summary>
    public async Task<JsonElement?> TryGetAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            return await SendAsync(HttpMethod.Get, path, body: null, cancellationToken);
        }
        catch (ApiException exception) when (exception.Status == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>The lines of a stream, as they arrive, without their newlines.</summary>
    public async IAsyncEnumerable<byte[]> StreamAsync(string path, [EnumeratorCancellation] CancellationToken cancellationToken, string accept = Json)
    {
        HttpResponseMessage response;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(_server, path));
            request.Headers.TryAddWithoutValidation("Accept", accept);
            response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        }
        catch (HttpRequestException exception)
        {
            throw Unreachable(exception);
        }

        using (response)
        {
            if (!response.IsSuccessStatusCode)
            {
                ThrowIfRefused(response.StatusCode, await response.Content.ReadAsByteArrayAsync(cancellationToken));
            }

            PipeReader reader = PipeReader.Create(await response.Content.ReadAsStreamAsync(cancellationToken));
            bool ended = false;
            while (!ended)
            {
                ReadResult read;
                try
                {
                    read = await reader.ReadAsync(cancellationToken);
                }
                catch (Exception exception) when (exception is HttpRequestException or IOException)
                {
                    throw new CliException($"the connection to the server at {_server} broke: {exception.Message}");
                }

                ended = read.IsCompleted;
                ReadOnlySequence<byte> buffer = read.Buffer;
                while (TryTakeLine(ref buffer, ended, out byte[]? line))
                {
                    yield return line;
                }

                if (buffer.Length > MaxLineBytes)
                {
                    throw new CliException($"the server at {_server} sent a line of more than {MaxLineBytes} bytes.");
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
            }

            await reader.CompleteAsync();
        }
    }

    public void Dispose() => _http.Dispose();

    private static bool TryTakeLine(ref ReadOnlySequence<byte> buffer, bool ended, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out byte[]? line)
    {
        if (buffer.PositionOf((byte)'\n') is { } newline)
        {
            line = buffer.Slice(0, newline).ToArray();
            buffer = buffer.Slice(buffer.GetPosition(1, newline));
            return true;
        }

        if (ended && !buffer.IsEmpty)
        {
            line = buffer.ToArray();
            buffer = buffer.Slice(buffer.End);
            return true;
        }

        line = null;
        return false;
    }

    /// <summary>Told of each warning that the server sends along (RFC 7234, 299); null when nobody wants to know.</summary>
    public Action<string>? Warning { get; init; }

    private void TellWarnings(HttpResponseMessage response)
    {
        foreach (WarningHeaderValue warning in response.Headers.Warning.Where(warning => warning.Code == 299))
        {
            Warning?.Invoke(warning.Text.Trim('"').Replace("\\\"", "\"", StringComparison.Ordinal));
        }
    }

    private static void ThrowIfRefused(HttpStatusCode status, byte[] body)
    {
        if ((int)status is < 200 or > 299)
        {
            throw ApiException.Read(status, body);
        }
    }

    private JsonElement ParseAnswer(byte[] bytes)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            throw new CliException($"what answers at {_server} is not a Rynxs server: its answer is not JSON.");
        }
    }

    private CliException Unreachable(HttpRequestException exception) => exception.HttpRequestError switch
    {
        HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError => new CliException(
            $"no server answers at {_server} ({exception.InnerException?.Message ?? exception.Message}).",
            hints: ["Start one with: rynxs up"]),
        HttpRequestError.SecureConnectionError => new CliException($"no trusted TLS connection to {_server}: {exception.InnerException?.Message ?? exception.Message}"),
        HttpRequestError.ConfigurationLimitExceeded => new CliException($"the server at {_server} answered with more than {MaxAnswerBytes} bytes."),
        _ => new CliException($"talking to {_server} failed: {exception.Message}"),
    };
}
