using System.Buffers.Text;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tls;

namespace Rynxs.Server.Identity;

/// <summary>
/// The bearer tokens of one state directory. A token is 256 random bits, so its plain SHA-256 is enough at rest: there is nothing to
/// guess. The file is read again when it changed, so that tokens made or revoked by the command line count at once.
/// </summary>
public sealed class TokenStore
{
    /// <summary>Text form of a token: this prefix and 43 base64url characters.</summary>
    public const string Prefix = "rynxs_";

    private const int MaxFileBytes = 4 * 1024 * 1024;
    private const string AdminName = "user:admin";
    private readonly string _path;
    private readonly TimeProvider _timeProvider;
    private readonly Lock _gate = new();
    private (long Length, DateTime Written, IReadOnlyList<TokenRecord> Records) _loaded = (-1, default, []);

    /// <summary>Opens the tokens of a state directory; the file may not exist yet.</summary>
    /// <param name="stateDirectory">The state directory.</param>
    /// <param name="timeProvider">Clock for expiry.</param>
    public TokenStore(string stateDirectory, TimeProvider timeProvider)
    {
        StateDirectory = stateDirectory;
        _path = Path.Combine(stateDirectory, "tokens.json");
        _timeProvider = timeProvider;
    }

    /// <summary>The state directory whose tokens these are.</summary>
    public string StateDirectory { get; }

    /// <summary>Makes a token. It is returned once and cannot be read back.</summary>
    /// <param name="name">Principal name, 1 to 128 visible characters, such as <c>user:ada</c> or <c>agent:NAMESPACE/NAME</c>; unique.</param>
    /// <param name="roles">At least one.</param>
    /// <param name="namespaces">Where it counts; null for everywhere.</param>
    /// <param name="expires">Moment after which it is refused; null for never.</param>
    /// <exception cref="ArgumentException">A value is out of range, or the name is taken.</exception>
    public string Create(string name, IReadOnlySet<Role> roles, IReadOnlySet<string>? namespaces, DateTimeOffset? expires)
    {
        string token = Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
        Add(name, Hash(token), certificate: false, roles, namespaces, expires);
        return token;
    }

    /// <summary>Makes a client certificate and records it. Its key is returned once and kept nowhere.</summary>
    /// <param name="authority">Signs it.</param>
    /// <param name="name">As for <see cref="Create"/>; the certificate's CN, so 64 characters at most (RFC 5280).</param>
    /// <param name="roles">At least one; each is an O of the certificate.</param>
    /// <param name="namespaces">Where it counts; null for everywhere.</param>
    /// <param name="expires">Moment after which it is refused; null for a year, which is also the longest.</param>
    public (string CertificatePem, string KeyPem) CreateCertificate(
        CertificateAuthority authority, string name, IReadOnlySet<Role> roles, IReadOnlySet<string>? namespaces, DateTimeOffset? expires)
    {
        if (name.Length > 64)
        {
            throw new ArgumentException("name: at most 64 characters fit into a certificate.", nameof(name));
        }

        TimeSpan lifetime = expires is { } end ? end - _timeProvider.GetUtcNow() : CertificateAuthority.ClientLifetime;
        if (lifetime <= TimeSpan.Zero)
        {
            throw new ArgumentException("expires: a certificate that has ended already is of no use.", nameof(expires));
        }

        using X509Certificate2 certificate = authority.IssueClient(name, roles, lifetime);
        using ECDsa key = certificate.GetECDsaPrivateKey() ?? throw new InvalidOperationException("A certificate that was just made has its key.");
        Add(name, Thumbprint(certificate), certificate: true, roles, namespaces, certificate.NotAfter.ToUniversalTime());
        return (certificate.ExportCertificatePem() + "\n", key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    private void Add(string name, string sha256, bool certificate, IReadOnlySet<Role> roles, IReadOnlySet<string>? namespaces, DateTimeOffset? expires)
    {
        if (name.Length is 0 or > 128 || !name.All(c => c is > ' ' and < (char)127))
        {
            throw new ArgumentException("name: 1 to 128 visible ASCII characters without spaces.", nameof(name));
        }

        if (name.StartsWith("system:", StringComparison.Ordinal))
        {
            throw new ArgumentException("name: 'system:' is reserved for the server itself.", nameof(name));
        }

        if (roles.Count == 0)
        {
            throw new ArgumentException("roles: at least one is required.", nameof(roles));
        }

        lock (_gate)
        {
            using TokenFileLock change = TokenFileLock.Take(_path, _timeProvider);
            List<TokenRecord> records = [.. Reload_NeedsLock()];
            if (records.Any(record => record.Name == name))
            {
                throw new ArgumentException($"name: a token named '{name}' exists; revoke it first.", nameof(name));
            }

            records.Add(new TokenRecord
            {
                Name = name,
                Sha256 = sha256,
                Certificate = certificate,
                Roles = [.. roles.Order()],
                Namespaces = namespaces is null ? null : [.. namespaces.Order(StringComparer.Ordinal)],
                Created = _timeProvider.GetUtcNow(),
                Expires = expires,
            });
            Save_NeedsLock(records);
        }
    }

    /// <summary>The tokens, without anything that could be used as one.</summary>
    public IReadOnlyList<TokenRecord> List()
    {
        lock (_gate)
        {
            return Load_NeedsLock();
        }
    }

    /// <summary>Removes a token; false when there is none of that name.</summary>
    public bool Revoke(string name)
    {
        lock (_gate)
        {
            using TokenFileLock change = TokenFileLock.Take(_path, _timeProvider);
            List<TokenRecord> records = [.. Reload_NeedsLock()];
            if (records.RemoveAll(record => record.Name == name) == 0)
            {
                return false;
            }

            Save_NeedsLock(records);
            return true;
        }
    }

    /// <summary>Whom a token stands for; null when it is unknown or expired. Takes the same time for every unknown token.</summary>
    internal Principal? Authenticate(string token)
    {
        byte[] presented = SHA256.HashData(Encoding.UTF8.GetBytes(token));
        IReadOnlyList<TokenRecord> records;
        lock (_gate)
        {
            records = Load_NeedsLock();
        }

        TokenRecord? match = null;
        foreach (TokenRecord record in records)
        {
            // Every record is compared, in constant time each: how long it takes tells only how many tokens there are.
            if (CryptographicOperations.FixedTimeEquals(presented, Convert.FromHexString(record.Sha256)))
            {
                match = record;
            }
        }

        return match is null || match.Certificate ? null : Counting(match);
    }

    /// <summary>Whom a client certificate is recorded for; null when it is not recorded (any more) or has ended.</summary>
    internal Principal? FindCertificate(X509Certificate2 certificate)
    {
        string thumbprint = Thumbprint(certificate);
        return List().FirstOrDefault(record => record.Certificate && record.Sha256 == thumbprint) is { } match ? Counting(match) : null;
    }

    /// <summary>The principal of a name, for an administrator's questions about it; null when there is none.</summary>
    internal Principal? Find(string name) => List().FirstOrDefault(record => record.Name == name) is { } match ? Counting(match) : null;

    private Principal? Counting(TokenRecord record) => record.Expires <= _timeProvider.GetUtcNow()
        ? null
        : new Principal(record.Name, record.Roles.ToHashSet(), record.Namespaces?.ToHashSet(StringComparer.Ordinal))
        {
            Groups = [.. record.Roles.Select(role => CertificateAuthority.RolePrefix + role.ToString().ToLowerInvariant()), "system:authenticated"],
        };

    /// <summary>The administrator's token from <c>STATE/token</c>; made, with its record, when it is missing or unknown.</summary>
    internal string EnsureAdminToken(string tokenPath)
    {
        if (File.Exists(tokenPath) && new FileInfo(tokenPath).Length <= 256)
        {
            string existing = File.ReadAllText(tokenPath).Trim();
            if (existing.Length > 0 && Authenticate(existing)?.Roles.Contains(Role.Admin) == true)
            {
                File.SetUnixFileMode(tokenPath, State.StateDirectory.PrivateFile);
                return existing;
            }
        }

        Revoke(AdminName);
        string token = Create(AdminName, new HashSet<Role> { Role.Admin }, namespaces: null, expires: null);
        State.StateDirectory.WriteAtomically(tokenPath, Encoding.ASCII.GetBytes(token + "\n"));
        return token;
    }

    private static string Thumbprint(X509Certificate2 certificate) => Convert.ToHexStringLower(SHA256.HashData(certificate.RawDataMemory.Span));

    private static string Hash(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));

    /// <summary>What the file holds now, whatever length and time say: a change is made to this and to nothing older.</summary>
    private IReadOnlyList<TokenRecord> Reload_NeedsLock()
    {
        _loaded = (-1, default, []);
        return Load_NeedsLock();
    }

    private IReadOnlyList<TokenRecord> Load_NeedsLock()
    {
        var file = new FileInfo(_path);
        if (!file.Exists)
        {
            return [];
        }

        if (_loaded.Length == file.Length && _loaded.Written == file.LastWriteTimeUtc)
        {
            return _loaded.Records;
        }

        if (file.Length > MaxFileBytes)
        {
            throw new InvalidDataException($"tokens.json is larger than {MaxFileBytes} bytes.");
        }

        try
        {
            TokenFile content = JsonSerializer.Deserialize(File.ReadAllBytes(_path), TokenJson.Default.TokenFile)
                ?? throw new InvalidDataException("tokens.json is empty.");
            if (content.Tokens.Any(record => record.Sha256.Length != 64 || !record.Sha256.All(char.IsAsciiHexDigitLower)))
            {
                throw new InvalidDataException("tokens.json: a sha256 is not 64 lowercase hexadecimal digits.");
            }

            _loaded = (file.Length, file.LastWriteTimeUtc, content.Tokens);
            return content.Tokens;
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"tokens.json cannot be read: {exception.Message}", exception);
        }
    }

    private void Save_NeedsLock(IReadOnlyList<TokenRecord> records)
    {
        State.StateDirectory.WriteAtomically(_path, JsonSerializer.SerializeToUtf8Bytes(new TokenFile { Tokens = records }, TokenJson.Default.TokenFile));
        _loaded = (-1, default, []);
    }
}

/// <summary>A token or client certificate as kept: who, what, where, until when, and its SHA-256.</summary>
public sealed record TokenRecord
{
    /// <summary>Principal name.</summary>
    public required string Name { get; init; }

    /// <summary>Lowercase hexadecimal SHA-256 of the token's text, or of a certificate's DER form.</summary>
    public required string Sha256 { get; init; }

    /// <summary>Whether it is a client certificate.</summary>
    public bool Certificate { get; init; }

    /// <summary>What it may do.</summary>
    public required IReadOnlyList<Role> Roles { get; init; }

    /// <summary>Where; null for everywhere.</summary>
    public IReadOnlyList<string>? Namespaces { get; init; }

    /// <summary>When it was made.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>When it ends; null for never.</summary>
    public DateTimeOffset? Expires { get; init; }
}

internal sealed record TokenFile
{
    public required IReadOnlyList<TokenRecord> Tokens { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    WriteIndented = true)]
[JsonSerializable(typeof(TokenFile))]
internal sealed partial class TokenJson : JsonSerializerContext;
