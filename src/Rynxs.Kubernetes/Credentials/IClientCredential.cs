using System.Security.Cryptography.X509Certificates;

namespace Rynxs.Kubernetes.Credentials;

/// <summary>Who we are to an API server. Asked before each request, so that what was rotated counts at once.</summary>
public interface IClientCredential
{
    /// <summary>The bearer token; null for none.</summary>
    /// <param name="rejected">The token that the server has just answered with 401, so that a cached one is made anew; null otherwise.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="CredentialException">There is no credential to be had.</exception>
    ValueTask<string?> TokenAsync(string? rejected, CancellationToken cancellationToken);

    /// <summary>The certificate for new connections; null for none.</summary>
    X509Certificate2? Certificate { get; }
}

/// <summary>A credential or a configuration that cannot be used. The message names the file and the field, never the credential.</summary>
public sealed class CredentialException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>A token and a certificate that stay as they are; either may be missing.</summary>
public sealed class FixedCredential(string? token, X509Certificate2? certificate = null) : IClientCredential
{
    /// <summary>Neither: anonymous.</summary>
    public static FixedCredential Anonymous { get; } = new(token: null);

    /// <inheritdoc/>
    public X509Certificate2? Certificate => certificate;

    /// <inheritdoc/>
    public ValueTask<string?> TokenAsync(string? rejected, CancellationToken cancellationToken) => ValueTask.FromResult(token);
}
