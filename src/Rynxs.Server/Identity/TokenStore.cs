using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Resources.Identity;
using Rynxs.Server.State;

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
        _path = Path.Combine(stateDirectory, "tokens.json");
        _timeProvider = timeProvider;
    }

    /// <summary>Makes a token. It is returned once and cannot be read back.</summary>
    /// <param name="name">Principal name, 1 to 128 visible characters, such as <c>user:ada</c> or <c>agent:NAMESPACE/NAME</c>; unique.</param>
    /// <param name="roles">At least one.</param>
    /// <param name="namespaces">Where it counts; null for everywhere.</param>
    /// <param name="expires">Moment after which it is refused; null for never.</param>
    /// <exception cref="ArgumentException">A value is out of range, or the name is taken.</exception>
    public string Create(string name, IReadOnlySet<Role> roles, IReadOnlySet<string>? namespaces, DateTimeOffset? expires)
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

        string token = Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
        lock (_gate)
        {
            List<TokenRecord> records = [.. Load_NeedsLock()];
            if (records.Any(record => record.Name == name))
            {
                throw new ArgumentException($"name: a token named '{name}' exists; revoke it first.", nameof(name));
            }

            records.Add(new TokenRecord
            {
                Name = name,
                Sha256 = Hash(token),
                Roles = [.. roles.Order()],
                Namespaces = namespaces is null ? null : [.. namespaces.Order(StringComparer.Ordinal)],
                Created = _timeProvider.GetUtcNow(),
                Expires = expires,
            });
            Save_NeedsLock(records);
        }

        return token;
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
            List<TokenRecord> records = [.. Load_NeedsLock()];
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

        if (match is null || match.Expires <= _timeProvider.GetUtcNow())
        {
            return null;
        }

        return new Principal(match.Name, match.Roles.ToHashSet(), match.Namespaces?.ToHashSet(StringComparer.Ordinal));
    }

    /// <summary>The administrator's token from <c>STATE/token</c>; made, with its record, when it is missing or unknown.</summary>
    internal string EnsureAdminToken(string tokenPath)
    {
        if (File.Exists(tokenPath) && new FileInfo(tokenPath).Length <= 256)
        {
            string existing = File.ReadAllText(tokenPath).Trim();
            if (existing.Length > 0 && Authenticate(existing)?.Roles.Contains(Role.Admin) == true)
            {
                File.SetUnixFileMode(tokenPath, StateDirectory.PrivateFile);
                return existing;
            }
        }

        Revoke(AdminName);
        string token = Create(AdminName, new HashSet<Role> { Role.Admin }, namespaces: null, expires: null);
        StateDirectory.WriteAtomically(tokenPath, Encoding.ASCII.GetBytes(token + "\n"));
        return token;
    }

    private static string Hash(string token) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)));

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
        StateDirectory.WriteAtomically(_path, JsonSerializer.SerializeToUtf8Bytes(new TokenFile { Tokens = records }, TokenJson.Default.TokenFile));
        _loaded = (-1, default, []);
    }
}

/// <summary>A token as kept: who, what, where, until when, and the SHA-256 of the token.</summary>
public sealed record TokenRecord
{
    /// <summary>Principal name.</summary>
    public required string Name { get; init; }

    /// <summary>Lowercase hexadecimal SHA-256 of the token's text.</summary>
    public required string Sha256 { get; init; }

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
