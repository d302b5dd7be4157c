using Rynxs.ResourceServer.Http;
using Rynxs.Server.Hosting;
using Rynxs.Server.Identity.Reviews;
using Rynxs.Server.Tls;

namespace Rynxs.Server.Identity;

/// <summary>Everything that knows who somebody is, opened together and closed together.</summary>
internal sealed class IdentityParts : IDisposable
{
    private readonly ServiceAccountTokens _serviceAccounts;
    private readonly OidcTokens? _oidc;
    private readonly RequestRates _rates;
    private readonly AccessReviews _accessReviews;
    private readonly TokenReviews _tokenReviews;

    public IdentityParts(
        ServerOptions options, string stateDirectory, CertificateAuthority authority, TokenStore tokens, FindServiceAccount findServiceAccount, KindScope scope, ILoggerFactory loggers)
    {
        _serviceAccounts = ServiceAccountTokens.Open(stateDirectory, findServiceAccount, options.TimeProvider);
        _oidc = options.Oidc is { } oidc
            ? new OidcTokens(oidc, new OidcKeys(oidc, options.TimeProvider, loggers.CreateLogger<OidcKeys>()), options.TimeProvider)
            : null;
        _rates = new RequestRates(options.RequestsPerSecond);
        Live = new LiveRequests(options.TimeProvider, loggers.CreateLogger<LiveRequests>());
        var directory = new PrincipalDirectory(tokens, findServiceAccount, _oidc);
        var authenticator = new Authenticator(tokens, new ClientCertificates(authority, tokens), _serviceAccounts, _oidc);
        Guard = new RequestGuardServices(authenticator, _rates, new Impersonation(directory), Live);
        _accessReviews = new AccessReviews(directory, scope);
        _tokenReviews = new TokenReviews(_serviceAccounts, findServiceAccount, authenticator);
    }

    /// <summary>The reviews, for discovery.</summary>
    public static IReadOnlyList<DiscoveredResource> Discovered { get; } =
    [
        Review("authentication.k8s.io", "SelfSubjectReview"),
        Review("authentication.k8s.io", "TokenReview"),
        Review("authorization.k8s.io", "LocalSubjectAccessReview", namespaced: true),
        Review("authorization.k8s.io", "SelfSubjectAccessReview"),
        Review("authorization.k8s.io", "SelfSubjectRulesReview"),
        Review("authorization.k8s.io", "SubjectAccessReview"),
    ];

    public RequestGuardServices Guard { get; }

    public LiveRequests Live { get; }

    public void Map(IEndpointRouteBuilder endpoints)
    {
        _accessReviews.Map(endpoints);
        _tokenReviews.Map(endpoints);
    }

    public void Dispose()
    {
        _serviceAccounts.Dispose();
        _oidc?.Dispose();
        _rates.Dispose();
    }

    private static DiscoveredResource Review(string group, string kind, bool namespaced = false) =>
        new(group, "v1", kind.ToLowerInvariant() + "s", kind.ToLowerInvariant(), kind, namespaced, ["create"]);
}
