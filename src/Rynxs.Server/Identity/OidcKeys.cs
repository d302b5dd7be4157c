using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Rynxs.Server.Identity;

/// <summary>
/// The provider's signing keys: fetched when first needed, again after an hour, and when a token names a key that is not among them, at most once in ten
/// seconds, so that made-up key ids cannot make us flood the provider. While it cannot be reached, keys of up to a day ago count.
/// </summary>
internal sealed partial class OidcKeys : IDisposable
{
    internal static readonly TimeSpan FreshFor = TimeSpan.FromHours(1);
    internal static readonly TimeSpan UsableFor = TimeSpan.FromDays(1);
    internal static readonly TimeSpan BetweenFetches = TimeSpan.FromSeconds(10);

    private const int MaxDocumentBytes = 1024 * 1024;

    private readonly string _metadataAddress;
    private readonly HttpClient _http;
    private readonly HttpDocumentRetriever _documents;
    private readonly TimeProvider _timeProvider;
    private readonly ILogger<OidcKeys> _logger;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly string _issuer;
    private Snapshot? _current;
    private DateTimeOffset _lastFetch = DateTimeOffset.MinValue;

    public OidcKeys(OidcOptions options, TimeProvider timeProvider, ILogger<OidcKeys> logger)
    {
        _timeProvider = timeProvider;
        _logger = logger;
        _issuer = options.Issuer;
        _metadataAddress = options.Issuer.TrimEnd('/') + "/.well-known/openid-configuration";
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(5) };
        if (options.AuthorityFile is { } file)
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(file);
            handler.SslOptions = new SslClientAuthenticationOptions
            {
                CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck },
            };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }

        _http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(10), MaxResponseContentBufferSize = MaxDocumentBytes };
        // OidcOptions lets http pass on loopback addresses alone; a document that names another place for the keys is held to the same.
        _documents = new HttpDocumentRetriever(_http) { RequireHttps = new Uri(options.Issuer).Scheme == Uri.UriSchemeHttps };
    }

    /// <summary>The keys, with the one that a token names when the provider has it; empty when there are none to trust.</summary>
    /// <param name="keyId">The token's <c>kid</c>; null or empty when it names none.</param>
    /// <param name="cancellationToken">Stops waiting for the provider.</param>
    public async ValueTask<IReadOnlyCollection<SecurityKey>> ForAsync(string? keyId, CancellationToken cancellationToken)
    {
        if (_current is { } snapshot && Fits(snapshot, keyId))
        {
            return snapshot.Keys;
        }

        await _gate.WaitAsync(cancellationToken);
        try
        {
            DateTimeOffset now = _timeProvider.GetUtcNow();
            if ((_current is null || !Fits(_current, keyId)) && now - _lastFetch >= BetweenFetches)
            {
                _lastFetch = now;
                await FetchAsync(now, cancellationToken);
            }

            return _current is { } held && now - held.Fetched < UsableFor ? held.Keys : [];
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _gate.Dispose();
    }

    private bool Fits(Snapshot snapshot, string? keyId) =>
        _timeProvider.GetUtcNow() - snapshot.Fetched < FreshFor && (string.IsNullOrEmpty(keyId) || snapshot.KeyIds.Contains(keyId));

    private async Task FetchAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        try
        {
            OpenIdConnectConfiguration configuration = await OpenIdConnectConfigurationRetriever.GetAsync(_metadataAddress, _documents, cancellationToken);
            if (configuration.Issuer != _issuer)
            {
                LogFailed(_metadataAddress, $"its document names the issuer '{configuration.Issuer}'");
                return;
            }

            // Public keys alone: a symmetric key in a key set could otherwise be used to sign by whoever reads it.
            SecurityKey[] keys = [.. configuration.SigningKeys.Where(key => key is RsaSecurityKey or ECDsaSecurityKey or X509SecurityKey or JsonWebKey { Kty: "RSA" or "EC" })];
            _current = new Snapshot(keys, keys.Select(key => key.KeyId).Where(id => !string.IsNullOrEmpty(id)).ToHashSet(StringComparer.Ordinal), now);
            LogFetched(keys.Length);
        }
        catch (Exception exception) when (exception is IOException or HttpRequestException or InvalidOperationException or ArgumentException
            || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            LogFailed(_metadataAddress, (exception.InnerException ?? exception).Message);
        }
    }

    private sealed record Snapshot(IReadOnlyCollection<SecurityKey> Keys, HashSet<string> KeyIds, DateTimeOffset Fetched);

    [LoggerMessage(Level = LogLevel.Information, Message = "Fetched {Count} signing keys of the OpenID provider")]
    private partial void LogFetched(int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The signing keys of the OpenID provider could not be fetched from {Address}: {Cause}")]
    private partial void LogFailed(string address, string cause);
}
