using System.Security.Cryptography;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Keys;

/// <summary>An Ed25519 key that signs: its name, its seed and what it may sign. Never printed: <see cref="ToString"/> gives the public part.</summary>
/// <remarks>Dispose overwrites the seed.</remarks>
public sealed class SigningKey : IDisposable
{
    /// <summary>DER of a PKCS #8 Ed25519 key (RFC 8410, section 7) before its 32-byte seed.</summary>
    private static readonly byte[] Pkcs8Prefix = Convert.FromHexString("302e020100300506032b657004220420");

    /// <summary>DER of a SubjectPublicKeyInfo (RFC 8410, section 4) before its 32-byte key.</summary>
    private static readonly byte[] SubjectPublicKeyInfoPrefix = Convert.FromHexString("302a300506032b6570032100");

    private readonly byte[] _seed;

    private SigningKey(string name, NoteSignatureType type, byte[] seed)
    {
        _seed = seed;
        PublicKey = new VerifierKey(name, type, Ed25519.PublicKeyOf(seed));
    }

    /// <summary>Name, key id, purpose and public key.</summary>
    public VerifierKey PublicKey { get; }

    /// <summary>Makes a new key.</summary>
    /// <param name="name">Key name of C2SP signed-note: no white space, no <c>+</c>; for a log its origin.</param>
    /// <param name="type">What it signs: notes of a log, or cosignatures of a witness. One key never does both.</param>
    /// <exception cref="ArgumentException">The name is not a key name.</exception>
    /// <exception cref="PlatformNotSupportedException">libcrypto.so.3 is not installed.</exception>
    public static SigningKey Generate(string name, NoteSignatureType type = NoteSignatureType.Ed25519) =>
        new(name, type, RandomNumberGenerator.GetBytes(Ed25519.SeedBytes));

    /// <summary>Reads an unencrypted PKCS #8 PEM.</summary>
    /// <exception cref="FormatException">It is not the PEM of an Ed25519 key. The message never holds key material.</exception>
    public static SigningKey FromPem(string name, ReadOnlySpan<char> pem, NoteSignatureType type = NoteSignatureType.Ed25519)
    {
        Span<byte> der = stackalloc byte[48];
        if (!PemEncoding.TryFind(pem, out PemFields fields) || !pem[fields.Label].SequenceEqual("PRIVATE KEY")
            || fields.DecodedDataLength != der.Length || !Convert.TryFromBase64Chars(pem[fields.Base64Data], der, out int length)
            || length != der.Length || !der.StartsWith(Pkcs8Prefix))
        {
            throw new FormatException("The key is not an unencrypted PKCS #8 PEM of an Ed25519 key.");
        }

        byte[] seed = der[Pkcs8Prefix.Length..].ToArray();
        CryptographicOperations.ZeroMemory(der);
        return new SigningKey(name, type, seed);
    }

    /// <summary>Signs a message: 64 bytes.</summary>
    public byte[] Sign(ReadOnlySpan<byte> message) => Ed25519.Sign(_seed, message);

    /// <summary>The private key as PKCS #8 PEM, for a file of mode 0600 and nothing else.</summary>
    public string ToPrivatePem()
    {
        byte[] der = [.. Pkcs8Prefix, .. _seed];
        string pem = PemEncoding.WriteString("PRIVATE KEY", der) + "\n";
        CryptographicOperations.ZeroMemory(der);
        return pem;
    }

    /// <summary>The public key as SubjectPublicKeyInfo PEM, lines ended by a newline, the last one too (as the original's tools write it).</summary>
    public string ToPublicPem() => PublicPemOf(PublicKey.Key.Span);

    /// <summary>A 32-byte public key as SubjectPublicKeyInfo PEM.</summary>
    public static string PublicPemOf(ReadOnlySpan<byte> publicKey) =>
        PemEncoding.WriteString("PUBLIC KEY", (byte[])[.. SubjectPublicKeyInfoPrefix, .. publicKey]) + "\n";

    /// <summary>Reads a SubjectPublicKeyInfo PEM: the 32 bytes of the key.</summary>
    /// <exception cref="FormatException">It is not the PEM of an Ed25519 public key.</exception>
    public static byte[] PublicKeyFromPem(ReadOnlySpan<char> pem)
    {
        byte[] der = new byte[44];
        return PemEncoding.TryFind(pem, out PemFields fields) && pem[fields.Label].SequenceEqual("PUBLIC KEY")
            && fields.DecodedDataLength == der.Length && Convert.TryFromBase64Chars(pem[fields.Base64Data], der, out int length)
            && length == der.Length && der.AsSpan().StartsWith(SubjectPublicKeyInfoPrefix)
            ? der[SubjectPublicKeyInfoPrefix.Length..]
            : throw new FormatException("The key is not a SubjectPublicKeyInfo PEM of an Ed25519 key.");
    }

    /// <inheritdoc/>
    public override string ToString() => PublicKey.ToString();

    /// <inheritdoc/>
    public void Dispose() => CryptographicOperations.ZeroMemory(_seed);
}
