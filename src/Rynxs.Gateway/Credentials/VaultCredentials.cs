using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Credentials;

/// <summary>How the gateway shows Vault who it is.</summary>
public abstract record VaultLogin
{
    private VaultLogin()
    {
    }

    /// <summary><c>POST /v1/auth/MOUNT/login</c> with role id and secret id; the secret id is read from its file for each login.</summary>
    public sealed record AppRole(string Mount, string RoleId, string SecretIdFile) : VaultLogin;

    /// <summary>The same with a role and the service account's token, read from its file for each login.</summary>
    public sealed record Kubernetes(string Mount, string Role, string TokenFile) : VaultLogin;
}

/// <summary>Where Vault is.</summary>
public sealed record VaultOptions
{
    /// <summary>Its address.</summary>
    public required Uri Address { get; init; }

    /// <summary>Who the gateway is there.</summary>
    public required VaultLogin Login { get; init; }

    /// <summary>Vault's namespace (<c>X-Vault-Namespace</c>); null for none.</summary>
    public string? VaultNamespace { get; init; }

    /// <summary>How long a secret of the KV store, which has no lease, is kept before it is read again. Default 1 minute.</summary>
    public TimeSpan SecretAge { get; init; } = TimeSpan.FromMinutes(1);
}

/// <summary>
/// Credentials from Vault: KV version 2, logins by AppRole and Kubernetes, renewal of the login's token. Written against the documented HTTP API of Vault
/// 1.x; no server was at hand to run it against.
/// </summary>
public sealed class VaultCredentials(VaultOptions options, HttpMessageInvoker http, TimeProvider timeProvider) : ICredentialSource, IDisposable
{
    private const int MaxAnswerBytes = 1024 * 1024;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Dictionary<(string Mount, string Path), (JsonObject Data, DateTimeOffset Until)> _secrets = [];
    private Login? _login;

    /// <inheritdoc/>
    public async ValueTask<Credential> GetAsync(CredentialRef reference, CancellationToken cancellationToken)
    {
        if (reference is not CredentialRef.Vault wanted)
        {
            throw new CredentialException($"The credential '{reference?.Name}' is not one of Vault.");
        }

        // One at a time: many calls that need the same secret must become one request.
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            DateTimeOffset now = timeProvider.GetUtcNow();
            if (!_secrets.TryGetValue((wanted.Mount, wanted.Path), out (JsonObject Data, DateTimeOffset Until) kept) || now >= kept.Until)
            {
                kept = await ReadAsync(wanted, cancellationToken).ConfigureAwait(false);
                _secrets[(wanted.Mount, wanted.Path)] = kept;
            }

            return kept.Data.String(wanted.Key) is { } value
                ? new Credential(value, kept.Until)
                : throw new CredentialException($"The credential '{wanted.Name}' does not exist: the secret has no such text.");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException or BodyTooLargeException or UnauthorizedAccessException
            || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new CredentialException($"The credential '{wanted.Name}' cannot be had: Vault does not answer as it must.", e);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _gate.Dispose();

    private async Task<(JsonObject Data, DateTimeOffset Until)> ReadAsync(CredentialRef.Vault wanted, CancellationToken cancellationToken)
    {
        string path = $"v1/{Uri.EscapeDataString(wanted.Mount)}/data/{string.Join('/', wanted.Path.Split('/').Select(Uri.EscapeDataString))}";
        (HttpStatusCode status, JsonObject body) = await SendAsync(HttpMethod.Get, path, null, await TokenAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
        if (status == HttpStatusCode.Forbidden)
        {
            // The token may have been revoked: one new login, then it is a refusal.
            _login = null;
            (status, body) = await SendAsync(HttpMethod.Get, path, null, await TokenAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
        }

        DateTimeOffset now = timeProvider.GetUtcNow();
        return status switch
        {
            // KV version 2: data.data holds the secret; it is null for a version that was deleted. A lease, where there is one, bounds its age.
            HttpStatusCode.OK when body.Object("data").Object("data") is { } data =>
                (data, now + (body.Long("lease_duration") is > 0 and var lease ? Min(options.SecretAge, TimeSpan.FromSeconds(lease)) : options.SecretAge)),
            HttpStatusCode.OK or HttpStatusCode.NotFound => throw new CredentialException($"The credential '{wanted.Name}' does not exist."),
            _ => throw new CredentialException($"The credential '{wanted.Name}' cannot be had: Vault answered {(int)status}."),
        };
    }

    /// <summary>The login's token: renewed at two thirds of its life when it can be, else a new login.</summary>
    private async Task<string> TokenAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset now = timeProvider.GetUtcNow();
        if (_login is { } login && now < login.Renew)
        {
            return login.Token;
        }

        if (_login is { Renewable: true } old && now < old.End)
        {
            (HttpStatusCode renewed, JsonObject body) = await SendAsync(HttpMethod.Post, "v1/auth/token/renew-self", [], old.Token, cancellationToken).ConfigureAwait(false);
            if (renewed == HttpStatusCode.OK && TryTake(body, now))
            {
                return _login.Token;
            }
        }

        _login = null;
        (string path, JsonObject question) = options.Login switch
        {
            VaultLogin.AppRole role => ($"v1/auth/{Uri.EscapeDataString(role.Mount)}/login",
                new JsonObject { ["role_id"] = role.RoleId, ["secret_id"] = await ReadFileAsync(role.SecretIdFile, cancellationToken).ConfigureAwait(false) }),
            VaultLogin.Kubernetes kubernetes => ($"v1/auth/{Uri.EscapeDataString(kubernetes.Mount)}/login",
                new JsonObject { ["role"] = kubernetes.Role, ["jwt"] = await ReadFileAsync(kubernetes.TokenFile, cancellationToken).ConfigureAwait(false) }),
            _ => throw new CredentialException("Vault: a login of an unknown kind."),
        };
        (HttpStatusCode status, JsonObject answer) = await SendAsync(HttpMethod.Post, path, question, null, cancellationToken).ConfigureAwait(false);
        return status == HttpStatusCode.OK && TryTake(answer, now) && _login is { } fresh
            ? fresh.Token
            : throw new CredentialException($"Vault does not take the gateway's login ({(int)status}).");
    }

    private bool TryTake(JsonObject body, DateTimeOffset now)
    {
        JsonObject? auth = body.Object("auth");
        if (auth.String("client_token") is not { Length: > 0 } token)
        {
            return false;
        }

        // 0 is a token without an end.
        TimeSpan life = TimeSpan.FromSeconds(Math.Clamp(auth.Long("lease_duration") ?? 0, 0, 31_536_000));
        life = life == TimeSpan.Zero ? TimeSpan.FromHours(1) : life;
        _login = new Login(token, auth.Bool("renewable") == true, now + (life * 2 / 3), now + life);
        return true;
    }

    private async Task<(HttpStatusCode Status, JsonObject Body)> SendAsync(HttpMethod method, string path, JsonObject? body, string? token, CancellationToken cancellationToken)
    {
        using CancellationTokenSource timeout = new(Timeout, timeProvider);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        using HttpRequestMessage request = new(method, new Uri(options.Address.AbsoluteUri.TrimEnd('/') + "/" + path));
        if (body is not null)
        {
            request.Content = new ByteArrayContent(JsonFields.Utf8(body));
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }

        // Says to Vault's agents and proxies that this is no forged cross-site request.
        request.Headers.TryAddWithoutValidation("X-Vault-Request", "true");
        if (token is not null)
        {
            request.Headers.TryAddWithoutValidation("X-Vault-Token", token);
        }

        if (options.VaultNamespace is { } space)
        {
            request.Headers.TryAddWithoutValidation("X-Vault-Namespace", space);
        }

        using HttpResponseMessage response = await http.SendAsync(request, linked.Token).ConfigureAwait(false);
        byte[] answer = await BoundedBody.ReadAsync(response.Content, MaxAnswerBytes, linked.Token).ConfigureAwait(false);
        return (response.StatusCode, answer.Length == 0 || !response.IsSuccessStatusCode ? [] : JsonFields.ParseObject(answer));
    }

    private static async Task<string> ReadFileAsync(string path, CancellationToken cancellationToken) =>
        Encoding.UTF8.GetString(await File.ReadAllBytesAsync(path, cancellationToken).ConfigureAwait(false)).Trim();

    private static TimeSpan Min(TimeSpan left, TimeSpan right) => left < right ? left : right;

    private sealed record Login(string Token, bool Renewable, DateTimeOffset Renew, DateTimeOffset End);
}
