using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Rynxs.Ledger.Blobs;

namespace Rynxs.Ledger.Remote;

/// <summary>The requests to the role; every failure becomes one of the ledger's exceptions.</summary>
internal sealed class RoleClient : IDisposable
{
    private readonly HttpClient _http;
    private readonly Func<string> _token;

    public RoleClient(RemoteLedgerOptions options)
    {
        _token = options.Token;
        _http = new HttpClient(Handler(options))
        {
            BaseAddress = options.Address,
            Timeout = options.RequestTimeout,
            MaxResponseContentBufferSize = RemoteLimits.MaxBodyBytes,
        };
    }

    private static SocketsHttpHandler Handler(RemoteLedgerOptions options)
    {
        // A redirect could lead a token elsewhere.
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        try
        {
            handler.SslOptions = Export.TrustedRoots.For(options.Address.Host, options.CaFile);
        }
        catch (Export.ExportException exception)
        {
            throw new LedgerUnavailableException(exception.Message, exception) { IsLasting = true };
        }

        return handler;
    }

    public Task<RemoteChains> ListAsync(CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Get, "v1/chains", null, RemoteJson.Default.RemoteChains, cancellationToken);

    public Task<RemoteHead> ClaimAsync(ChainId id, RemoteClaim claim, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, $"v1/chains/{id}/claim", JsonContent.Create(claim, RemoteJson.Default.RemoteClaim), RemoteJson.Default.RemoteHead, cancellationToken);

    public Task<RemoteHead> HeadAsync(ChainId id, long? after, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Get, after is null ? $"v1/chains/{id}/head" : $"v1/chains/{id}/head?after={after}", null, RemoteJson.Default.RemoteHead, cancellationToken);

    /// <param name="id">The chain.</param>
    /// <param name="body">A <see cref="RemoteAppend"/> as JSON.</param>
    /// <param name="cancellationToken">Ends the wait; the append may happen nevertheless.</param>
    public Task<RemoteAppended> AppendAsync(ChainId id, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        var content = new ReadOnlyMemoryContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return SendAsync(HttpMethod.Post, $"v1/chains/{id}/append", content, RemoteJson.Default.RemoteAppended, cancellationToken);
    }

    /// <summary>Record lines from a sequence on; empty at the head.</summary>
    public async Task<byte[]> ReadAsync(ChainId id, long fromSeq, CancellationToken cancellationToken) =>
        await SendAsync(HttpMethod.Get, $"v1/chains/{id}/records?from={fromSeq}", null, cancellationToken).ConfigureAwait(false) ?? [];

    /// <summary>The line of a side blob, or null.</summary>
    public Task<byte[]?> TryReadBlobAsync(ChainId id, Commitment commitment, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Get, $"v1/chains/{id}/blobs/{Uri.EscapeDataString(commitment.Value)}", null, cancellationToken);

    public void Dispose() => _http.Dispose();

    private async Task<T> SendAsync<T>(HttpMethod method, string path, HttpContent? content, JsonTypeInfo<T> type, CancellationToken cancellationToken)
        where T : class
    {
        byte[] body = await SendAsync(method, path, content, cancellationToken).ConfigureAwait(false)
            ?? throw new LedgerUnavailableException($"The ledger role has no {path}.");
        try
        {
            return JsonSerializer.Deserialize(body, type) ?? throw new LedgerUnavailableException($"The ledger role answered {path} with null.");
        }
        catch (JsonException exception)
        {
            throw new LedgerUnavailableException($"The ledger role's answer to {path} cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>The body of a success; null for 404.</summary>
    private async Task<byte[]?> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _token());
        try
        {
            using HttpResponseMessage response = await _http.SendAsync(request, cancellationToken).ConfigureAwait(false);
            byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
            if (response.IsSuccessStatusCode)
            {
                return body;
            }

            return response.StatusCode == HttpStatusCode.NotFound ? null : throw Refused(path, response, body);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException
            || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new LedgerUnavailableException($"The ledger role at {_http.BaseAddress} does not answer: {exception.Message}", exception);
        }
    }

    private static Exception Refused(string path, HttpResponseMessage response, byte[] body)
    {
        RemoteProblem? problem = null;
        try
        {
            problem = JsonSerializer.Deserialize(body, RemoteProblemJson.Default.RemoteProblem);
        }
        catch (JsonException)
        {
            // Not from the role: a proxy's page. The status says enough.
        }

        string text = $"The ledger role refused {path} with {(int)response.StatusCode} {problem?.Code}: {problem?.Detail}";
        return problem?.Code switch
        {
            RemoteProblem.Fenced => new LedgerFencedException(text),
            RemoteProblem.EpochChanged => new EpochChangedException(text),
            _ when response.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity or HttpStatusCode.RequestEntityTooLarge
                => new EntryRefusedException(text),
            _ => new RoleBusyException(text, response.Headers.RetryAfter?.Delta),
        };
    }
}

/// <summary>The chain's epoch is another one; it may have been begun by the role itself.</summary>
internal sealed class EpochChangedException(string message) : Exception(message);

/// <summary>The role will never take this entry.</summary>
internal sealed class EntryRefusedException(string message) : Exception(message);

/// <summary>The role cannot now.</summary>
internal sealed class RoleBusyException(string message, TimeSpan? retryAfter) : LedgerUnavailableException(message)
{
    public TimeSpan? RetryAfter { get; } = retryAfter;
}
