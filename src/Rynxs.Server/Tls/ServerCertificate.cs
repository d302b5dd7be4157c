using System.Security.Cryptography.X509Certificates;

namespace Rynxs.Server.Tls;

/// <summary>
/// The certificate that handshakes show. It lives 90 days in memory alone and is made anew after 60: a server that runs for years needs no restart, and one
/// that restarts needs no file.
/// </summary>
internal sealed partial class ServerCertificate(
    CertificateAuthority authority, IReadOnlyList<string> names, TimeProvider timeProvider, ILogger<ServerCertificate> logger) : IDisposable
{
    private static readonly TimeSpan RenewBefore = CertificateAuthority.ServerLifetime / 3;

    private readonly Lock _gate = new();
    private X509Certificate2? _current;

    /// <summary>The certificate for a handshake that begins now.</summary>
    public X509Certificate2 Current()
    {
        lock (_gate)
        {
            if (_current is null || _current.NotAfter.ToUniversalTime() - timeProvider.GetUtcNow().UtcDateTime < RenewBefore)
            {
                // Not disposed: a handshake may still use the old one; the collector takes it.
                _current = authority.IssueServer(names);
                LogIssued(_current.NotAfter.ToUniversalTime());
            }

            return _current;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _current?.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Made a server certificate that ends {NotAfter:u}")]
    private partial void LogIssued(DateTime notAfter);
}
