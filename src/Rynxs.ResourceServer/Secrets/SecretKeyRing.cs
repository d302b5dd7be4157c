using System.Collections.Immutable;
using System.Security.Cryptography;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Secrets;

/// <summary>A key as the store knows it: the number that stands beside what it sealed, and its id.</summary>
/// <param name="Generation">From 1; 0 stands beside what is not sealed.</param>
/// <param name="Id">See <see cref="SecretKey.Id"/>.</param>
internal sealed record KeyName(long Generation, string Id);

/// <summary>
/// The keys of a store: the newest seals, every one opens what it sealed. A key is in its file, durable, before the store names it, and stays there until
/// the store has stopped naming it; so whatever the process dies at, the file has every key that something is sealed with.
/// </summary>
internal sealed class SecretKeyRing : IDisposable
{
    private readonly string _path;
    private readonly List<byte[]> _material;
    // Replaced whole and never shortened: a reader in an older snapshot may still open what an older key sealed.
    private ImmutableDictionary<long, SecretKey> _keys;
    private long _newest;

    private SecretKeyRing(string path, List<byte[]> material, ImmutableDictionary<long, SecretKey> keys)
    {
        _path = path;
        _material = material;
        _keys = keys;
        _newest = keys.Keys.Max();
    }

    /// <summary>The generation that seals.</summary>
    public long Newest => Interlocked.Read(ref _newest);

    public string NewestId => _keys[Newest].Id;

    /// <summary>Reads the keys; makes the file when it is not there and <paramref name="named"/> is empty.</summary>
    /// <param name="path">The key file.</param>
    /// <param name="named">The keys that the store names; empty when nothing was sealed yet.</param>
    /// <exception cref="ResourceStoreOpenException"><c>Key</c>: missing, wrong, readable by others, or no key file.</exception>
    public static SecretKeyRing Load(string path, IReadOnlyList<KeyName> named)
    {
        IReadOnlyList<byte[]> material;
        try
        {
            material = File.Exists(path) ? SecretKeyFile.Read(path)
                : named.Count == 0 ? [SecretKeyFile.Create(path)]
                : throw Fail($"{path} is missing: the store's Secrets are sealed with key {named[^1].Id}. Restore the key file from a backup.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Fail($"{path} cannot be read or made.", e);
        }

        Dictionary<string, byte[]> byId = material.DistinctBy(IdOf).ToDictionary(IdOf);
        KeyName[] wanted = named.Count > 0 ? [.. named] : [new KeyName(1, IdOf(material[0]))];
        if (wanted.FirstOrDefault(key => !byId.ContainsKey(key.Id)) is { } absent)
            throw Fail($"{path} holds key {string.Join(", ", byId.Keys)}; the store's Secrets are sealed with key {absent.Id}. Restore the right key file from a backup.");

        // What the file holds and the store does not name is of an exchange that was cut off before it began or after it ended.
        List<byte[]> used = [.. wanted.OrderByDescending(key => key.Generation).Select(key => byId[key.Id])];
        return new SecretKeyRing(path, used, wanted.ToImmutableDictionary(key => key.Generation, key => new SecretKey(byId[key.Id])));
    }

    /// <summary>Seals with the newest key.</summary>
    public (long Generation, byte[] Bytes) Seal(DocumentKey key, long version, ReadOnlySpan<byte> plain)
    {
        long newest = Newest;
        return (newest, Volatile.Read(ref _keys)[newest].Seal(key, version, plain));
    }

    /// <exception cref="CryptographicException">The bytes are not what was sealed for this object and version, or no key of the generation is known.</exception>
    public byte[] Open(DocumentKey key, long version, long generation, ReadOnlySpan<byte> sealedBytes) =>
        Volatile.Read(ref _keys).TryGetValue(generation, out SecretKey? one)
            ? one.Open(key, version, sealedBytes)
            : throw new CryptographicException("sealed with a key that the store does not name");

    /// <summary>A new key, in the file and not in use yet.</summary>
    /// <exception cref="IOException">The file cannot be written; nothing has changed.</exception>
    public PreparedKey Prepare()
    {
        byte[] key = RandomNumberGenerator.GetBytes(SecretKey.KeyBytes);
        SecretKeyFile.Replace(_path, [key, .. _material]);
        return new PreparedKey(Newest + 1, IdOf(key), key);
    }

    /// <summary>Seals with it from now on: called when the store's naming it is committed, between two commits.</summary>
    public void Use(PreparedKey key)
    {
        _material.Insert(0, key.Material);
        Volatile.Write(ref _keys, _keys.Add(key.Generation, new SecretKey(key.Material)));
        Interlocked.Exchange(ref _newest, key.Generation);
    }

    /// <summary>Takes every key but the newest from the file: the store names no other any more.</summary>
    /// <exception cref="IOException">The file cannot be written; a later start tries again.</exception>
    public void KeepNewest()
    {
        if (_material.Count == 1 && SecretKeyFile.Read(_path).Count == 1)
            return;
        SecretKeyFile.Replace(_path, [_material[0]]);
        _material.RemoveRange(1, _material.Count - 1);
    }

    public void Dispose()
    {
        foreach (SecretKey key in _keys.Values)
            key.Dispose();
        foreach (byte[] material in _material)
            CryptographicOperations.ZeroMemory(material);
    }

    private static string IdOf(byte[] material)
    {
        using SecretKey key = new(material);
        return key.Id;
    }

    private static ResourceStoreOpenException Fail(string message, Exception? cause = null) => new(ResourceStoreOpenError.Key, message, cause);
}

/// <summary>A key that is in the file and that the store does not name yet.</summary>
internal sealed record PreparedKey(long Generation, string Id, byte[] Material);
