using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Rynxs.Kubernetes.Credentials;

namespace Rynxs.Kubernetes.Requests;

/// <summary>Sends requests with the credential, retries what may be repeated, and turns everything that goes wrong into <see cref="KubernetesException"/>.</summary>
internal sealed class Transport : IDisposable
{
    private readonly KubernetesApiOptions _options;
    private readonly HttpMessageInvoker _http;
    private readonly SocketsHttpHandler _sockets;

    public Transport(KubernetesApiOptions options)
    {
        _options = options;
        KubernetesConnection connection = options.Connection;
        if (connection.Server.Scheme == "http" && !connection.Server.IsLoopback && connection.Credential is not FixedCredential)
        {
            throw new ArgumentException("A credential is not sent over plain HTTP.", nameof(options));
        }

        _sockets = new SocketsHttpHandler
        {
            // A token goes to the server that was named and nowhere else: no redirects, no proxy of the environment, no cookies.
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            EnableMultipleHttp2Connections = true,

            // Finds a dead connection under an open watch, which would otherwise stay silent for ever.
            KeepAlivePingDelay = TimeSpan.FromSeconds(20),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2),
            SslOptions = Tls(connection),
        };
        _http = new HttpMessageInvoker(options.Wrap is { } wrap ? wrap(_sockets) : _sockets);
    }

    /// <summary>TLS settings of a connection: the authority that was named is the only one.</summary>
    public static SslClientAuthenticationOptions Tls(KubernetesConnection connection) => new()
    {
        RemoteCertificateValidationCallback = (_, certificate, _, errors) => IsTrusted(connection, certificate, errors),
        LocalCertificateSelectionCallback = (_, _, _, _, _) => connection.Credential.Certificate!, // null: none is sent
    };

    /// <summary>For connections that are upgraded.</summary>
    public HttpMessageInvoker Invoker => _http;

    /// <summary>The whole answer to a request.</summary>
    public async Task<byte[]> SendAsync(ApiRequest request, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var timer = new CancellationTokenSource(_options.RequestTimeout, _options.TimeProvider);
        using CancellationTokenRegistration link = timer.Token.Register(deadline.Cancel);
        try
        {
            return await RepeatAsync(request, async () =>
            {
                using HttpResponseMessage response = await AttemptAsync(request, deadline.Token);
                byte[] content = await ReadAsync(response.Content, request.What, deadline.Token);
                return response.IsSuccessStatusCode ? content : throw Failures.Of(response.StatusCode, content, RetryAfter(response), request.What);
            }, deadline.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new KubernetesException(KubernetesFailure.Timeout, $"{request.What}: no answer within {_options.RequestTimeout.TotalSeconds:0.#} s");
        }
    }

    /// <summary>An answer whose content is read as it comes; its headers must come within the request's time.</summary>
    public async Task<HttpResponseMessage> OpenAsync(ApiRequest request, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var timer = new CancellationTokenSource(_options.RequestTimeout, _options.TimeProvider);
        using CancellationTokenRegistration link = timer.Token.Register(deadline.Cancel);
        try
        {
            return await RepeatAsync(request, async () =>
            {
                HttpResponseMessage response = await AttemptAsync(request, deadline.Token);
                if (response.IsSuccessStatusCode)
                {
                    return response;
                }

                using (response)
                {
                    throw Failures.Of(response.StatusCode, await ReadAsync(response.Content, request.What, deadline.Token), RetryAfter(response), request.What);
                }
            }, deadline.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new KubernetesException(KubernetesFailure.Timeout, $"{request.What}: no answer within {_options.RequestTimeout.TotalSeconds:0.#} s");
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _sockets.Dispose();
    }

    private async Task<T> RepeatAsync<T>(ApiRequest request, Func<Task<T>> attempt, CancellationToken cancellationToken)
    {
        for (int failures = 1; ; failures++)
        {
            try
            {
                return await attempt();
            }
            catch (KubernetesException exception) when (failures <= _options.MaxRetries && MayRepeat(request, exception))
            {
                TimeSpan wait = Backoff.Requests.After(failures, _options.Random);
                await Task.Delay(exception.RetryAfter is { } asked && asked > wait ? asked + wait : wait, _options.TimeProvider, cancellationToken);
            }
        }
    }

    // A write is repeated only where it is certain that it was not carried out.
    private static bool MayRepeat(ApiRequest request, KubernetesException exception) => exception.Failure switch
    {
        KubernetesFailure.TooManyRequests => true,
        KubernetesFailure.ServiceUnavailable => !request.IsWrite || exception.RetryAfter is not null,
        KubernetesFailure.Unreachable => !request.IsWrite || exception.InnerException is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError },
        KubernetesFailure.InternalError or KubernetesFailure.Timeout => !request.IsWrite,
        _ => false,
    };

    private async Task<HttpResponseMessage> AttemptAsync(ApiRequest request, CancellationToken cancellationToken)
    {
        string? token = await _options.Connection.Credential.TokenAsync(rejected: null, cancellationToken);
        HttpResponseMessage response = await PutOnWireAsync(request, token, cancellationToken);
        if (response.StatusCode != HttpStatusCode.Unauthorized || token is null)
        {
            return response;
        }

        // Rotated while we held the old one, perhaps: once more with what the source has now, if that is another.
        string? renewed = await _options.Connection.Credential.TokenAsync(token, cancellationToken);
        if (renewed == token)
        {
            return response;
        }

        response.Dispose();
        return await PutOnWireAsync(request, renewed, cancellationToken);
    }

    private async Task<HttpResponseMessage> PutOnWireAsync(ApiRequest request, string? token, CancellationToken cancellationToken)
    {
        using var message = new HttpRequestMessage(request.Method, new Uri(_options.Connection.Server, request.Path));
        bool tls = _options.Connection.Server.Scheme == "https";
        message.Version = tls ? HttpVersion.Version20 : HttpVersion.Version11;
        message.VersionPolicy = HttpVersionPolicy.RequestVersionOrLower;
        message.Headers.TryAddWithoutValidation("User-Agent", "rynxs");
        message.Headers.TryAddWithoutValidation("Accept", request.Accept);
        if (token is not null)
        {
            message.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        if (request.Body is { } body)
        {
            message.Content = new ReadOnlyMemoryContent(body);
            message.Content.Headers.ContentType = new MediaTypeHeaderValue(request.ContentType);
        }

        // Nothing is awaited between this question and the handing over: what was allowed here is on the wire.
        if (request.IsWrite && _options.MayWrite is { } mayWrite && !mayWrite())
        {
            throw new KubernetesException(KubernetesFailure.Refused, $"{request.What}: this process may not write any more");
        }

        try
        {
            return await _http.SendAsync(message, cancellationToken);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw new KubernetesException(KubernetesFailure.Unreachable, $"{request.What}: {_options.Connection.Server} gave no answer: {exception.Message}", exception);
        }
    }

    private async Task<byte[]> ReadAsync(HttpContent content, string what, CancellationToken cancellationToken)
    {
        if (content.Headers.ContentLength > _options.MaxAnswerBytes)
        {
            throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: the answer is larger than {_options.MaxAnswerBytes} bytes");
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            await using Stream stream = await content.ReadAsStreamAsync(cancellationToken);
            using var whole = new MemoryStream((int)(content.Headers.ContentLength ?? 4096));
            while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
            {
                if (whole.Length + read > _options.MaxAnswerBytes)
                {
                    throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: the answer is larger than {_options.MaxAnswerBytes} bytes");
                }

                whole.Write(buffer, 0, read);
            }

            return whole.ToArray();
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            throw new KubernetesException(KubernetesFailure.Unreachable, $"{what}: the answer was cut off: {exception.Message}", exception);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static TimeSpan? RetryAfter(HttpResponseMessage response) =>
        response.Headers.RetryAfter?.Delta is { } delta && delta > TimeSpan.Zero && delta <= TimeSpan.FromHours(1) ? delta : null;

    private static bool IsTrusted(KubernetesConnection connection, X509Certificate? certificate, SslPolicyErrors errors)
    {
        if (connection.DangerousAcceptAnyServerCertificate)
        {
            return true;
        }

        if (certificate is not X509Certificate2 shown)
        {
            return false;
        }

        bool nameFits = connection.ServerName is { } name ? shown.MatchesHostname(name) : !errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch);
        if (!nameFits || errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
        {
            return false;
        }

        if (connection.Authority is not { } authority)
        {
            return !errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors);
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck; // a cluster's own authority publishes no lists
        chain.ChainPolicy.ApplicationPolicy.Add(new System.Security.Cryptography.Oid("1.3.6.1.5.5.7.3.1")); // server authentication
        return chain.Build(shown);
    }
}

/// <summary>One request.</summary>
internal sealed record ApiRequest(HttpMethod Method, string Path, string What)
{
    public ReadOnlyMemory<byte>? Body { get; init; }

    public string ContentType { get; init; } = "application/json";

    public string Accept { get; init; } = "application/json";

    public bool IsWrite => Method != HttpMethod.Get;
}
