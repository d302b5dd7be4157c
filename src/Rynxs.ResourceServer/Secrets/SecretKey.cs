using System.Security.Cryptography;
using System.Text;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Secrets;

/// <summary>
/// The key that seals Secrets at rest: AES-256-GCM with a random nonce, bound to the object and its version, so that sealed bytes cannot be moved to
/// another object. Its file is text, <c>rynxs-key-v1 BASE64</c>, mode 0600.
/// </summary>
internal sealed class SecretKey : IDisposable
{
    private const string Magic = "rynxs-key-v1 ";
    private const int KeyBytes = 32;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private const int MaxFileBytes = 256;

    private readonly AesGcm _cipher;

    private SecretKey(byte[] key)
    {
        Id = Convert.ToHexStringLower(SHA256.HashData([.. "rynxs key id "u8, .. key]).AsSpan(0, 8));
        _cipher = new AesGcm(key, TagBytes);
    }

    /// <summary>Tells keys apart without telling anything about them; stored beside what they seal.</summary>
    public string Id { get; }

    /// <summary>Reads the key; makes the file when it is not there and <paramref name="expectedId"/> is null.</summary>
    /// <param name="path">The key file.</param>
    /// <param name="expectedId">The key that the store was sealed with; null when nothing was sealed yet.</param>
    /// <exception cref="ResourceStoreOpenException"><c>Key</c>: missing, wrong, readable by others, or no key file.</exception>
    public static SecretKey Load(string path, string? expectedId)
    {
        byte[] key;
        try
        {
            key = File.Exists(path) ? Read(path) : expectedId is null ? Create(path) : throw Fail($"{path} is missing: the store's Secrets are sealed with key {expectedId}. Restore the key file from a backup.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Fail($"{path} cannot be read or made.", e);
        }

        SecretKey loaded = new(key);
        CryptographicOperations.ZeroMemory(key);
        if (expectedId is null || expectedId == loaded.Id)
            return loaded;
        loaded.Dispose();
        throw Fail($"{path} holds key {loaded.Id}; the store's Secrets are sealed with key {expectedId}. Restore the right key file from a backup.");
    }

    /// <summary>nonce, tag, ciphertext.</summary>
    public byte[] Seal(DocumentKey key, long version, ReadOnlySpan<byte> plain)
    {
        byte[] result = new byte[NonceBytes + TagBytes + plain.Length];
        RandomNumberGenerator.Fill(result.AsSpan(0, NonceBytes));
        _cipher.Encrypt(result.AsSpan(0, NonceBytes), plain, result.AsSpan(NonceBytes + TagBytes), result.AsSpan(NonceBytes, TagBytes), Bound(key, version));
        return result;
    }

    /// <exception cref="CryptographicException">The bytes are not what was sealed for this object and version.</exception>
    public byte[] Open(DocumentKey key, long version, ReadOnlySpan<byte> sealedBytes)
    {
        if (sealedBytes.Length < NonceBytes + TagBytes)
            throw new CryptographicException("sealed bytes are cut short");
        byte[] plain = new byte[sealedBytes.Length - NonceBytes - TagBytes];
        _cipher.Decrypt(sealedBytes[..NonceBytes], sealedBytes[(NonceBytes + TagBytes)..], sealedBytes.Slice(NonceBytes, TagBytes), plain, Bound(key, version));
        return plain;
    }

    public void Dispose() => _cipher.Dispose();

    private static byte[] Bound(DocumentKey key, long version) =>
        Encoding.UTF8.GetBytes($"{key.Kind.Group}\0{key.Kind.Plural}\0{key.Namespace}\0{key.Name}\0{version}");

    private static byte[] Read(string path)
    {
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite)) != 0)
            throw Fail($"{path} may be read by others than its owner: chmod 600 it.");
        if (new FileInfo(path).Length > MaxFileBytes)
            throw Fail($"{path} is no key file.");

        string text = File.ReadAllText(path).Trim();
        byte[] key = new byte[KeyBytes];
        return text.StartsWith(Magic, StringComparison.Ordinal) && Convert.TryFromBase64String(text[Magic.Length..], key, out int length) && length == KeyBytes
            ? key
            : throw Fail($"{path} is no key file.");
    }

    /// <summary>Durable before it seals anything: a key that is lost in a crash would take the Secrets with it.</summary>
    private static byte[] Create(string path)
    {
        byte[] key = RandomNumberGenerator.GetBytes(KeyBytes);
        FileStreamOptions options = new() { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        string temporary = $"{path}.{Guid.NewGuid():N}.new";
        using (FileStream file = new(temporary, options))
        {
            file.Write(Encoding.ASCII.GetBytes(Magic + Convert.ToBase64String(key) + "\n"));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: false);
        return key;
    }

    private static ResourceStoreOpenException Fail(string message, Exception? cause = null) => new(ResourceStoreOpenError.Key, message, cause);
}
