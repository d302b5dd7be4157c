using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Rynxs.Ledger.Export;

/// <summary>TLS towards a receiver: 1.2 or later, its name checked, and the given roots instead of the system's when there are some.</summary>
internal static class TrustedRoots
{
    public static SslClientAuthenticationOptions For(string host, string? caFile)
    {
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = host,
            EnabledSslProtocols = System.Security.Authentication.SslProtocols.Tls12 | System.Security.Authentication.SslProtocols.Tls13,
        };
        if (caFile is null)
        {
            return options;
        }

        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        try
        {
            policy.CustomTrustStore.ImportFromPemFile(caFile);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new ExportException($"The CA file '{caFile}' cannot be read: {exception.Message}", exception);
        }

        options.CertificateChainPolicy = policy;
        return options;
    }
}
