using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Rynxs.Gateway.Credentials;

/// <summary>
/// Access tokens by client credentials (RFC 6749 4.4), each kept until shortly before its end and fetched once however many wait for it. A refresh token
/// has no place in this grant (4.4.3): renewal is another request.
/// </summary>
internal sealed class OAuthTokens(ICredentialSource secrets, HttpMessageInvoker http, TimeProvider timeProvider)
{
    private const int MaxAnswerBytes = 64 * 1024;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(15);

    private readonly ConcurrentDictionary<CredentialRef.OAuth, Slot> _slots = [];

    public async ValueTask<Credential> GetAsync(CredentialRef.OAuth reference, CancellationToken cancellationToken)
    {
        if (reference.ClientSecret is CredentialRef.OAuth)
        {
            throw new CredentialException($"The credential '{reference.Name}' is refused: a client secret cannot be another OAuth token.");
        }

        Slot slot = _slots.GetOrAdd(reference, _ => new Slot());
        if (slot.Fresh(timeProvider.GetUtcNow()) is { } fresh)
        {
            return fresh;
        }

        await slot.Gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return slot.Fresh(timeProvider.GetUtcNow()) ?? slot.Keep(await FetchAsync(reference, cancellationToken).ConfigureAwait(false), timeProvider.GetUtcNow());
        }
        finally
        {
            slot.Gate.Release();
        }
    }

    public void Forget(CredentialRef.OAuth reference) => _slots.TryRemove(reference, out _);

    private async Task<Credential> FetchAsync(CredentialRef.OAuth reference, CancellationToken cancellationToken)
    {
        bool loopback = reference.TokenEndpoint.IsLoopback;
        if (reference.TokenEndpoint.Scheme != Uri.UriSchemeHttps && !(reference.TokenEndpoint.Scheme == Uri.UriSchemeHttp && loopback))
        {
            throw new CredentialException($"The credential '{reference.Name}' is refused: a token endpoint is reached by https.");
        }

        Credential secret = await secrets.GetAsync(reference.ClientSecret, cancellationToken).ConfigureAwait(false);
        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(Timeout);
        Dictionary<string, string> form = new() { ["grant_type"] = "client_credentials" };
        if (reference.Scope is not null)
        {
            form["scope"] = reference.Scope;
        }

        if (reference.Resource is not null)
        {
            form["resource"] = reference.Resource;
        }

        using HttpRequestMessage request = new(HttpMethod.Post, reference.TokenEndpoint) { Content = new FormUrlEncodedContent(form) };

        // RFC 6749 2.3.1: both are form-encoded before they are joined.
        string basic = $"{Uri.EscapeDataString(reference.ClientId)}:{Uri.EscapeDataString(secret.Value)}";
        request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(basic)));
        request.Headers.Accept.ParseAdd("application/json");
        try
        {
            using HttpResponseMessage response = await http.SendAsync(request, timeout.Token).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
            {
                throw new CredentialException($"The credential '{reference.Name}' cannot be had: the token endpoint answered {(int)response.StatusCode}.");
            }

            byte[] body = await BoundedBody.ReadAsync(response.Content, MaxAnswerBytes, timeout.Token).ConfigureAwait(false);
            return Parse(reference, body);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or BodyTooLargeException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new CredentialException($"The credential '{reference.Name}' cannot be had: the token endpoint does not answer.", e);
        }
    }

    private Credential Parse(CredentialRef.OAuth reference, byte[] body)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            JsonElement root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Object
                && root.TryGetProperty("access_token", out JsonElement token) && token.ValueKind == JsonValueKind.String
                && root.TryGetProperty("token_type", out JsonElement type) && type.ValueKind == JsonValueKind.String
                && string.Equals(type.GetString(), "Bearer", StringComparison.OrdinalIgnoreCase))
            {
                // Without expires_in nobody knows (RFC 6749 5.1 recommends it): five minutes are safe for every server met so far.
                long seconds = root.TryGetProperty("expires_in", out JsonElement expires) && expires.TryGetInt64(out long given) ? Math.Clamp(given, 0, 86_400) : 300;
                return new Credential(token.GetString() ?? "", timeProvider.GetUtcNow().AddSeconds(seconds));
            }
        }
        catch (JsonException)
        {
            // Told below, without a word of the body.
        }

        throw new CredentialException($"The credential '{reference.Name}' cannot be had: the token endpoint's answer is not a Bearer token of RFC 6749.");
    }

    private sealed class Slot
    {
        private Credential? _credential;
        private DateTimeOffset _renew;

        public SemaphoreSlim Gate { get; } = new(1, 1);

        public Credential? Fresh(DateTimeOffset now) => _credential is { } credential && now < _renew ? credential : null;

        /// <summary>Renewed after nine tenths of its life, at least 5 seconds before its end; one that lives shorter is used for one request.</summary>
        public Credential Keep(Credential credential, DateTimeOffset now)
        {
            TimeSpan life = (credential.Expires ?? now) - now;
            TimeSpan margin = TimeSpan.FromTicks(Math.Max(life.Ticks / 10, TimeSpan.FromSeconds(5).Ticks));
            _renew = now + life - margin;
            _credential = credential;
            return credential;
        }
    }
}
