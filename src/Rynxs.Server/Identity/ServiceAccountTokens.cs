using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Rynxs.Resources.Identity;
using Rynxs.Server.State;

namespace Rynxs.Server.Identity;

/// <summary>A service account as authentication needs it.</summary>
/// <param name="Namespace">Where it lives, and the only namespace where its roles count.</param>
/// <param name="Name">Its name.</param>
/// <param name="Uid">Ties a token to this object: a new one of the same name is another account.</param>
/// <param name="Roles">What its annotation <c>universe.ai/roles</c> names.</param>
internal sealed record ServiceAccount(string Namespace, string Name, string Uid, IReadOnlySet<Role> Roles)
{
    /// <summary>Roles of the account, comma-separated. Only an administrator may write service accounts, so only one gives roles.</summary>
    public const string RolesAnnotation = "universe.ai/roles";

    public const string UserPrefix = "system:serviceaccount:";

    public string UserName => $"{UserPrefix}{Namespace}:{Name}";

    public Principal ToPrincipal() => new(UserName, Roles, new HashSet<string>(StringComparer.Ordinal) { Namespace })
    {
        Uid = Uid,
        Groups = ["system:serviceaccounts", $"system:serviceaccounts:{Namespace}", "system:authenticated"],
    };

    /// <summary>Reads a stored object; null when it is being deleted.</summary>
    public static ServiceAccount? Read(JsonObject document)
    {
        if (document["metadata"] is not JsonObject metadata || metadata["deletionTimestamp"] is not null)
        {
            return null;
        }

        string? roles = metadata["annotations"] is JsonObject annotations ? Text(annotations, RolesAnnotation) : null;
        return Text(metadata, "namespace") is { } resourceNamespace && Text(metadata, "name") is { } name && Text(metadata, "uid") is { } uid
            ? new ServiceAccount(resourceNamespace, name, uid, ParseRoles(roles))
            : null;

        static string? Text(JsonObject from, string field) => from[field] is JsonValue value && value.TryGetValue(out string? text) ? text : null;
    }

    /// <summary>Names that are no roles give none: a slip in an annotation never gives more than was meant.</summary>
    public static IReadOnlySet<Role> ParseRoles(string? annotation) =>
        (annotation ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(RoleNames.TryParse).OfType<Role>().ToHashSet();
}

/// <summary>Reads a service account as it is now; null when it does not exist.</summary>
internal delegate ValueTask<ServiceAccount?> FindServiceAccount(string resourceNamespace, string name, CancellationToken cancellationToken);

/// <summary>
/// Tokens of service accounts: JWTs signed with ES256 by a key of the state directory. A token counts while it has not ended and the account with the same uid
/// exists; deleting the account revokes all of its tokens at once.
/// </summary>
internal sealed class ServiceAccountTokens : IDisposable
{
    public const string Issuer = "https://rynxs.local";

    /// <summary>As the real API server: not below ten minutes; and not above a day, because nothing lists these tokens.</summary>
    public static readonly TimeSpan MinimalLifetime = TimeSpan.FromMinutes(10);

    public static readonly TimeSpan MaximalLifetime = TimeSpan.FromDays(1);

    public static readonly TimeSpan DefaultLifetime = TimeSpan.FromHours(1);

    internal const int MaxAudiences = 16;

    private const string KubernetesClaim = "kubernetes.io";
    private readonly ECDsa _key;
    private readonly ECDsaSecurityKey _securityKey;
    private readonly FindServiceAccount _find;
    private readonly TimeProvider _timeProvider;
    private readonly JsonWebTokenHandler _handler = new() { SetDefaultTimesOnTokenCreation = false, MapInboundClaims = false };

    private ServiceAccountTokens(ECDsa key, FindServiceAccount find, TimeProvider timeProvider)
    {
        _key = key;
        _securityKey = new ECDsaSecurityKey(key) { KeyId = Base64UrlEncoder.Encode(SHA256.HashData(key.ExportSubjectPublicKeyInfo())) };
        _find = find;
        _timeProvider = timeProvider;
    }

    /// <summary>Opens the signing key of a state directory; made when it is missing.</summary>
    public static ServiceAccountTokens Open(string stateDirectory, FindServiceAccount find, TimeProvider timeProvider)
    {
        string path = Path.Combine(stateDirectory, "tls", "serviceaccounts.key");
        Directory.CreateDirectory(Path.Combine(stateDirectory, "tls"), StateDirectory.PrivateDirectory);
        ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        if (!File.Exists(path))
        {
            StateDirectory.WriteAtomically(path, Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem() + "\n"));
            return new ServiceAccountTokens(key, find, timeProvider);
        }

        try
        {
            File.SetUnixFileMode(path, StateDirectory.PrivateFile);
            if (new FileInfo(path).Length > 16 * 1024)
            {
                throw new InvalidDataException($"{path} is larger than a key.");
            }

            key.ImportFromPem(File.ReadAllText(path));
            return new ServiceAccountTokens(key, find, timeProvider);
        }
        catch (Exception exception) when (exception is ArgumentException or CryptographicException)
        {
            key.Dispose();
            throw new InvalidDataException($"{path} is not a private key: {exception.Message}", exception);
        }
    }

    /// <summary>Makes a token.</summary>
    /// <param name="account">For whom.</param>
    /// <param name="audiences">Who shall accept it; empty for this server.</param>
    /// <param name="lifetime">Cut to <see cref="MaximalLifetime"/>.</param>
    public (string Token, DateTimeOffset Expires) Create(ServiceAccount account, IReadOnlyList<string> audiences, TimeSpan lifetime)
    {
        DateTimeOffset now = _timeProvider.GetUtcNow();
        DateTimeOffset expires = now + (lifetime < MaximalLifetime ? lifetime : MaximalLifetime);
        var claims = new Dictionary<string, object>
        {
            ["sub"] = account.UserName,
            ["aud"] = audiences.Count == 0 ? (string[])[Issuer] : [.. audiences],
            ["jti"] = Guid.NewGuid().ToString(),
            [KubernetesClaim] = new Dictionary<string, object>
            {
                ["namespace"] = account.Namespace,
                ["serviceaccount"] = new Dictionary<string, object> { ["name"] = account.Name, ["uid"] = account.Uid },
            },
        };
        string token = _handler.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = Issuer,
            IssuedAt = now.UtcDateTime,
            NotBefore = now.UtcDateTime,
            Expires = expires.UtcDateTime,
            Claims = claims,
            SigningCredentials = new SigningCredentials(_securityKey, SecurityAlgorithms.EcdsaSha256),
        });
        return (token, expires);
    }

    /// <summary>Whom a token stands for.</summary>
    public async ValueTask<Authentication> AuthenticateAsync(string token, IReadOnlyList<string>? audiences, CancellationToken cancellationToken)
    {
        TokenValidationResult result = await _handler.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = Issuer,
            ValidAudiences = audiences is { Count: > 0 } ? audiences : [Issuer],
            IssuerSigningKey = _securityKey,
            ValidAlgorithms = [SecurityAlgorithms.EcdsaSha256],
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            ValidateLifetime = true,
            // Both clocks are ours.
            LifetimeValidator = (notBefore, expires, _, _) => Counts(notBefore, expires),
        });
        if (!result.IsValid || result.SecurityToken is not JsonWebToken jwt || Names(jwt) is not { } names)
        {
            return new Authentication.Refused(result.Exception is SecurityTokenInvalidLifetimeException or SecurityTokenExpiredException ? "expired" : "token");
        }

        ServiceAccount? account = await _find(names.Namespace, names.Name, cancellationToken);
        if (account is null || account.Uid != names.Uid)
        {
            return new Authentication.Refused("revoked");
        }

        DateTime end = jwt.ValidTo;
        return new Authentication.Known(account.ToPrincipal(), async cancellation =>
            _timeProvider.GetUtcNow().UtcDateTime < end && await _find(names.Namespace, names.Name, cancellation) is { } now && now.Uid == names.Uid);
    }

    public void Dispose() => _key.Dispose();

    private bool Counts(DateTime? notBefore, DateTime? expires)
    {
        DateTime now = _timeProvider.GetUtcNow().UtcDateTime;
        return expires is { } end && now < end && (notBefore is null || now >= notBefore.Value.AddSeconds(-1)); // the claim has whole seconds
    }

    private static (string Namespace, string Name, string Uid)? Names(JsonWebToken token)
    {
        if (!token.TryGetPayloadValue(KubernetesClaim, out JsonElement claim) || claim.ValueKind != JsonValueKind.Object
            || Text(claim, "namespace") is not { } resourceNamespace
            || !claim.TryGetProperty("serviceaccount", out JsonElement account) || account.ValueKind != JsonValueKind.Object
            || Text(account, "name") is not { } name || Text(account, "uid") is not { } uid)
        {
            return null;
        }

        return (resourceNamespace, name, uid);
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
