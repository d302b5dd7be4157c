namespace Rynxs.Gateway.Credentials;

/// <summary>Where a credential is kept. A closed family; the value itself is never part of it.</summary>
public abstract record CredentialRef
{
    private CredentialRef()
    {
    }

    /// <summary>Name in records: never the value, never a path of the host.</summary>
    public abstract string Name { get; }

    /// <summary>A key of a Secret object, or of a file <c>STATE/secrets/NAMESPACE/NAME/KEY</c>.</summary>
    public sealed record Secret(string Namespace, string SecretName, string Key) : CredentialRef
    {
        /// <inheritdoc/>
        public override string Name => $"{Namespace}/{SecretName}/{Key}";
    }

    /// <summary>A file in the gateway's directory of credentials.</summary>
    /// <param name="FileName">A name without any slash.</param>
    public sealed record File(string FileName) : CredentialRef
    {
        /// <inheritdoc/>
        public override string Name => $"file:{FileName}";
    }

    /// <summary>A variable of the gateway's environment whose name begins with <see cref="CredentialSources.EnvironmentPrefix"/>.</summary>
    public sealed record EnvironmentVariable(string Variable) : CredentialRef
    {
        /// <inheritdoc/>
        public override string Name => $"env:{Variable}";
    }

    /// <summary>A key of a secret in Vault's KV store, version 2.</summary>
    /// <param name="Mount">Such as <c>secret</c>.</param>
    /// <param name="Path">Such as <c>teams/research/openai</c>.</param>
    /// <param name="Key">Key in the secret's data.</param>
    public sealed record Vault(string Mount, string Path, string Key) : CredentialRef
    {
        /// <inheritdoc/>
        public override string Name => $"vault:{Mount}/{Path}#{Key}";
    }

    /// <summary>An access token by OAuth 2.0 client credentials (RFC 6749 4.4), fetched and renewed by the gateway.</summary>
    /// <param name="TokenEndpoint">An https address, or http on loopback.</param>
    /// <param name="ClientId">Client id.</param>
    /// <param name="ClientSecret">Where the client's secret is; not another OAuth token.</param>
    /// <param name="Scope">Scopes, separated by spaces; null for none.</param>
    /// <param name="Resource">Resource indicator (RFC 8707); null for none.</param>
    public sealed record OAuth(Uri TokenEndpoint, string ClientId, CredentialRef ClientSecret, string? Scope, string? Resource) : CredentialRef
    {
        /// <inheritdoc/>
        public override string Name => $"oauth:{TokenEndpoint.Host}/{ClientId}";
    }
}

/// <summary>A credential in our hands. <see cref="ToString"/> does not show it.</summary>
/// <param name="value">The value: 1 to 65536 visible ASCII characters.</param>
/// <param name="expires">When it stops working; null when nobody said.</param>
public sealed class Credential(string value, DateTimeOffset? expires)
{
    /// <summary>The value.</summary>
    public string Value { get; } = value;

    /// <summary>When it stops working.</summary>
    public DateTimeOffset? Expires { get; } = expires;

    /// <inheritdoc/>
    public override string ToString() => "Credential(hidden)";
}

/// <summary>A credential cannot be had. The message names the credential and the cause, and holds no part of a value.</summary>
public sealed class CredentialException(string message, Exception? innerException = null) : Exception(message, innerException);
