using System.Security.Cryptography;
using System.Text;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Secrets;

/// <summary>
/// A key that seals Secrets at rest: AES-256-GCM with a random nonce, bound to the object and its version, so that sealed bytes cannot be moved to
/// another object.
/// </summary>
internal sealed class SecretKey : IDisposable
{
    public const int KeyBytes = 32;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;

    // OpenSSL keeps one context behind the object: two threads in it at once would mix their nonces.
    private readonly Lock _lock = new();
    private readonly AesGcm _cipher;

    public SecretKey(ReadOnlySpan<byte> key)
    {
        Id = Convert.ToHexStringLower(SHA256.HashData([.. "rynxs key id "u8, .. key]).AsSpan(0, 8));
        _cipher = new AesGcm(key, TagBytes);
    }

    /// <summary>Tells keys apart without telling anything about them; stored beside what they seal.</summary>
    public string Id { get; }

    /// <summary>nonce, tag, ciphertext.</summary>
    public byte[] Seal(DocumentKey key, long version, ReadOnlySpan<byte> plain)
    {
        byte[] result = new byte[NonceBytes + TagBytes + plain.Length];
        RandomNumberGenerator.Fill(result.AsSpan(0, NonceBytes));
        byte[] bound = Bound(key, version);
        lock (_lock)
            _cipher.Encrypt(result.AsSpan(0, NonceBytes), plain, result.AsSpan(NonceBytes + TagBytes), result.AsSpan(NonceBytes, TagBytes), bound);
        return result;
    }

    /// <exception cref="CryptographicException">The bytes are not what was sealed for this object and version.</exception>
    public byte[] Open(DocumentKey key, long version, ReadOnlySpan<byte> sealedBytes)
    {
        if (sealedBytes.Length < NonceBytes + TagBytes)
            throw new CryptographicException("sealed bytes are cut short");
        byte[] plain = new byte[sealedBytes.Length - NonceBytes - TagBytes];
        byte[] bound = Bound(key, version);
        lock (_lock)
            _cipher.Decrypt(sealedBytes[..NonceBytes], sealedBytes[(NonceBytes + TagBytes)..], sealedBytes.Slice(NonceBytes, TagBytes), plain, bound);
        return plain;
    }

    public void Dispose() => _cipher.Dispose();

    private static byte[] Bound(DocumentKey key, long version) =>
        Encoding.UTF8.GetBytes($"{key.Kind.Group}\0{key.Kind.Plural}\0{key.Namespace}\0{key.Name}\0{version}");
}
