using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Rynxs.Resources.Identity;
using Rynxs.Server.State;

namespace Rynxs.Server.Tls;

/// <summary>
/// The certificate authority of one state directory: an ECDSA P-256 key in <c>STATE/tls/ca.key</c> (0600) that signs the server's certificate and those of
/// clients, and nothing else. Whoever can read the key is an administrator, as with <c>STATE/token</c>.
/// </summary>
public sealed class CertificateAuthority : IDisposable
{
    /// <summary>An organisation of a client certificate that names a role starts so: <c>rynxs:developer</c>.</summary>
    public const string RolePrefix = "rynxs:";

    internal static readonly TimeSpan ServerLifetime = TimeSpan.FromDays(90);

    /// <summary>Longest life of a client certificate.</summary>
    internal static readonly TimeSpan ClientLifetime = TimeSpan.FromDays(365);

    private const int MaxPemBytes = 64 * 1024;
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Clocks of clients are not exactly ours.</summary>
    private static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(3650);

    private readonly X509Certificate2 _certificate;
    private readonly TimeProvider _timeProvider;

    private CertificateAuthority(X509Certificate2 certificate, string certificatePath, TimeProvider timeProvider)
    {
        _certificate = certificate;
        CertificatePath = certificatePath;
        _timeProvider = timeProvider;
    }

    /// <summary>The public certificate as a file, for clients.</summary>
    public string CertificatePath { get; }

    /// <summary>The public certificate as PEM.</summary>
    public string CertificatePem => _certificate.ExportCertificatePem() + "\n";

    internal X509Certificate2 Certificate => _certificate;

    /// <summary>Opens the authority of a state directory; made when it is missing.</summary>
    /// <exception cref="InvalidDataException">Its files are damaged, do not belong together, or the certificate has ended.</exception>
    public static CertificateAuthority Open(string stateDirectory, TimeProvider timeProvider)
    {
        string directory = Path.Combine(stateDirectory, "tls");
        Directory.CreateDirectory(directory, StateDirectory.PrivateDirectory);
        File.SetUnixFileMode(directory, StateDirectory.PrivateDirectory);
        string certificatePath = Path.Combine(directory, "ca.crt"), keyPath = Path.Combine(directory, "ca.key");
        if (!File.Exists(keyPath))
        {
            // The key last: a crash between the two leaves a certificate that nobody trusts yet, and the next start makes both anew.
            using X509Certificate2 made = Make(timeProvider.GetUtcNow());
            using ECDsa madeKey = made.GetECDsaPrivateKey() ?? throw new InvalidOperationException("A certificate that was just made has its key.");
            StateDirectory.WriteAtomically(certificatePath, Encoding.ASCII.GetBytes(made.ExportCertificatePem() + "\n"));
            StateDirectory.WriteAtomically(keyPath, Encoding.ASCII.GetBytes(madeKey.ExportPkcs8PrivateKeyPem() + "\n"));
        }

        X509Certificate2 certificate = Load(certificatePath, keyPath);
        if (certificate.NotAfter.ToUniversalTime() <= timeProvider.GetUtcNow())
        {
            certificate.Dispose();
            throw new InvalidDataException($"The certificate authority {certificatePath} has ended; remove the directory 'tls' to make a new one (clients then need the new kubeconfig).");
        }

        return new CertificateAuthority(certificate, certificatePath, timeProvider);
    }

    /// <summary>A certificate for this server.</summary>
    /// <param name="names">DNS names and IP addresses, beside localhost and the loopback addresses, which are always in it.</param>
    internal X509Certificate2 IssueServer(IReadOnlyList<string> names)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(new X500DistinguishedName("CN=rynxs"), key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        alternatives.AddDnsName("localhost");
        alternatives.AddIpAddress(IPAddress.Loopback);
        alternatives.AddIpAddress(IPAddress.IPv6Loopback);
        foreach (string name in names)
        {
            if (IPAddress.TryParse(name, out IPAddress? address))
            {
                alternatives.AddIpAddress(address);
            }
            else
            {
                alternatives.AddDnsName(name);
            }
        }

        request.CertificateExtensions.Add(alternatives.Build());
        return Sign(request, key, ServerAuthentication, ServerLifetime);
    }

    /// <summary>A certificate for a client: the name as CN, each role as an O.</summary>
    /// <param name="name">Principal name.</param>
    /// <param name="roles">At least one.</param>
    /// <param name="lifetime">Cut to a year.</param>
    internal X509Certificate2 IssueClient(string name, IEnumerable<Role> roles, TimeSpan lifetime)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var subject = new X500DistinguishedNameBuilder();
        foreach (Role role in roles.Order())
        {
            subject.AddOrganizationName(RolePrefix + role.ToString().ToLowerInvariant());
        }

        subject.AddCommonName(name);
        var request = new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256);
        return Sign(request, key, ClientAuthentication, lifetime < ClientLifetime ? lifetime : ClientLifetime);
    }

    /// <summary>Whether we signed it, for a client, and it counts now.</summary>
    internal bool Signed(X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_certificate);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck; // revocation is the record in tokens.json, which counts at once
        chain.ChainPolicy.DisableCertificateDownloads = true;          // a certificate must not make us fetch what it names
        chain.ChainPolicy.VerificationTime = _timeProvider.GetUtcNow().UtcDateTime;
        chain.ChainPolicy.VerificationTimeIgnored = false;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        return chain.Build(certificate);
    }

    /// <inheritdoc/>
    public void Dispose() => _certificate.Dispose();

    private X509Certificate2 Sign(CertificateRequest request, ECDsa key, string purpose, TimeSpan lifetime)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose)], critical: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        DateTimeOffset now = _timeProvider.GetUtcNow();
        DateTimeOffset end = now + lifetime;
        DateTimeOffset authorityEnd = new(_certificate.NotAfter.ToUniversalTime(), TimeSpan.Zero);
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f; // RFC 5280 4.1.2.2: positive
        using X509Certificate2 signed = request.Create(_certificate, now - ClockSkew, end < authorityEnd ? end : authorityEnd, serial);
        return signed.CopyWithPrivateKey(key);
    }

    private static X509Certificate2 Make(DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        // The name is unique, so that two authorities are never taken for one by a client that keeps several.
        string id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4));
        var request = new CertificateRequest(new X500DistinguishedName($"CN=Rynxs CA {id}"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(now - ClockSkew, now + Lifetime);
    }

    private static X509Certificate2 Load(string certificatePath, string keyPath)
    {
        try
        {
            foreach (string path in (string[])[certificatePath, keyPath])
            {
                if (new FileInfo(path).Length > MaxPemBytes)
                {
                    throw new InvalidDataException($"{path} is larger than {MaxPemBytes} bytes.");
                }
            }

            File.SetUnixFileMode(keyPath, StateDirectory.PrivateFile);
            return X509Certificate2.CreateFromPemFile(certificatePath, keyPath);
        }
        catch (Exception exception) when (exception is CryptographicException or FileNotFoundException)
        {
            throw new InvalidDataException($"The certificate authority in {Path.GetDirectoryName(keyPath)} cannot be used: {exception.Message}", exception);
        }
    }
}
