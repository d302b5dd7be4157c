using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Rynxs.Kubernetes.Credentials;

/// <summary>
/// A token in a file that somebody else renews, such as the kubelet (projected service account tokens are replaced at 80 % of their life). The file is read
/// again a minute after it was read, and at once when the server refused what it held.
/// </summary>
public sealed class TokenFileCredential(string path, TimeProvider timeProvider, X509Certificate2? certificate = null) : IClientCredential
{
    private const int MaxBytes = 64 * 1024;
    private static readonly TimeSpan Fresh = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private (string Token, long ReadAt)? _read;

    /// <inheritdoc/>
    public X509Certificate2? Certificate => certificate;

    /// <inheritdoc/>
    public ValueTask<string?> TokenAsync(string? rejected, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_read is { } known && known.Token != rejected && timeProvider.GetElapsedTime(known.ReadAt) < Fresh)
            {
                return ValueTask.FromResult<string?>(known.Token);
            }

            string token = Read();
            _read = (token, timeProvider.GetTimestamp());
            return ValueTask.FromResult<string?>(token);
        }
    }

    private string Read()
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                throw new CredentialException($"the token file {path} is larger than {MaxBytes} bytes");
            }

            string token = File.ReadAllText(path, Encoding.ASCII).Trim();
            return token.Length > 0 && !token.Any(char.IsControl) ? token : throw new CredentialException($"the token file {path} holds no token");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CredentialException($"the token file {path} cannot be read: {exception.Message}", exception);
        }
    }
}
