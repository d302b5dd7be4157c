using System.Text;

namespace Rynxs.Gateway.Credentials;

/// <summary>The one seam through which credentials come.</summary>
public interface ICredentialSource
{
    /// <summary>The credential as it is now.</summary>
    /// <exception cref="CredentialException">It cannot be had.</exception>
    ValueTask<Credential> GetAsync(CredentialRef reference, CancellationToken cancellationToken);
}

/// <summary>Reads a key of one of our Secret objects; null when there is none. Given by the composition root.</summary>
public delegate ValueTask<string?> ReadSecret(CredentialRef.Secret secret, CancellationToken cancellationToken);

/// <summary>
/// Finds each kind of credential where it is kept. Whoever writes a policy chooses among what the gateway's operator put within reach: one directory of
/// files, variables with one prefix, one Vault role. Nothing else of the host can be named.
/// </summary>
public sealed class CredentialSources : ICredentialSource
{
    /// <summary>Variables of the environment that may be named.</summary>
    public const string EnvironmentPrefix = "RYNXS_CREDENTIAL_";

    private const int MaxBytes = 64 * 1024;

    private readonly ReadSecret? _secrets;
    private readonly string? _directory;
    private readonly ICredentialSource? _vault;
    private readonly OAuthTokens _oauth;

    /// <param name="secrets">Reads Secret objects; null when there are none.</param>
    /// <param name="directory">Directory of credential files, each of mode 0600 or 0400; null when there is none.</param>
    /// <param name="vault">Reads Vault; null when none is configured.</param>
    /// <param name="http">Client for token endpoints; it must not follow redirects.</param>
    /// <param name="timeProvider">Clock of expiries.</param>
    public CredentialSources(ReadSecret? secrets, string? directory, ICredentialSource? vault, HttpMessageInvoker http, TimeProvider timeProvider)
    {
        (_secrets, _directory, _vault) = (secrets, directory, vault);
        _oauth = new OAuthTokens(this, http, timeProvider);
    }

    /// <inheritdoc/>
    public async ValueTask<Credential> GetAsync(CredentialRef reference, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(reference);
        Credential credential = reference switch
        {
            CredentialRef.Secret secret => Of(reference, _secrets is null ? null : await _secrets(secret, cancellationToken).ConfigureAwait(false)),
            CredentialRef.File file => Of(reference, await ReadFileAsync(file, cancellationToken).ConfigureAwait(false)),
            CredentialRef.EnvironmentVariable variable => Of(reference, variable.Variable.StartsWith(EnvironmentPrefix, StringComparison.Ordinal)
                ? Environment.GetEnvironmentVariable(variable.Variable)
                : throw new CredentialException($"The credential '{reference.Name}' is refused: only variables that begin with {EnvironmentPrefix} can be named.")),
            CredentialRef.Vault => _vault is null
                ? throw new CredentialException($"The credential '{reference.Name}' cannot be had: no Vault is configured.")
                : await _vault.GetAsync(reference, cancellationToken).ConfigureAwait(false),
            CredentialRef.OAuth oauth => await _oauth.GetAsync(oauth, cancellationToken).ConfigureAwait(false),
            _ => throw new CredentialException("A credential of an unknown kind."),
        };
        return Checked(reference, credential);
    }

    /// <summary>Throws away what was fetched for a credential, because its recipient no longer takes it.</summary>
    public void Forget(CredentialRef reference)
    {
        if (reference is CredentialRef.OAuth oauth)
        {
            _oauth.Forget(oauth);
        }
    }

    private static Credential Of(CredentialRef reference, string? value) => value is null
        ? throw new CredentialException($"The credential '{reference.Name}' does not exist.")
        : new Credential(value.TrimEnd('\r', '\n'), null);

    private static Credential Checked(CredentialRef reference, Credential credential) =>
        credential.Value.Length >= ResponseScrubber.MinLength && credential.Value.All(c => c is > ' ' and <= '~')
            ? credential
            : throw new CredentialException(
                $"The credential '{reference.Name}' is refused: a value has at least {ResponseScrubber.MinLength} visible ASCII characters without spaces.");

    private async Task<string?> ReadFileAsync(CredentialRef.File reference, CancellationToken cancellationToken)
    {
        if (_directory is null || reference.FileName.Length is 0 or > 255 || reference.FileName[0] == '.' || reference.FileName.AsSpan().ContainsAny("/\\\0"))
        {
            return null;
        }

        FileInfo file = new(Path.Combine(_directory, reference.FileName));
        try
        {
            if (!file.Exists)
            {
                return null;
            }

            if (file.LinkTarget is not null || (!OperatingSystem.IsWindows() && (file.UnixFileMode & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite)) != 0) || file.Length > MaxBytes)
            {
                throw new CredentialException($"The credential '{reference.Name}' is refused: its file must be a regular file of mode 0600, at most {MaxBytes} bytes.");
            }

            return Encoding.UTF8.GetString(await File.ReadAllBytesAsync(file.FullName, cancellationToken).ConfigureAwait(false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CredentialException($"The credential '{reference.Name}' cannot be read.", e);
        }
    }
}
