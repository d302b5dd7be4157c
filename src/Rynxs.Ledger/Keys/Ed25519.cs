using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Rynxs.Ledger.Keys;

/// <summary>
/// Ed25519 (RFC 8032) by OpenSSL's libcrypto, version 3: .NET 10 has no Ed25519 of its own. See docs/decisions/0019.
/// </summary>
public static partial class Ed25519
{
    /// <summary>Length of a private key's seed: 32.</summary>
    public const int SeedBytes = 32;

    /// <summary>Length of a public key: 32.</summary>
    public const int PublicKeyBytes = 32;

    /// <summary>Length of a signature: 64.</summary>
    public const int SignatureBytes = 64;

    private const string Library = "libcrypto.so.3";

    /// <summary>EVP_PKEY_ED25519 of OpenSSL's headers: NID_ED25519.</summary>
    private const int KeyType = 1087;

    private static readonly Lazy<bool> Present = new(() => NativeLibrary.TryLoad(Library, out _));

    /// <summary>True when libcrypto can be loaded.</summary>
    public static bool IsSupported => Present.Value;

    /// <summary>The public key of a seed.</summary>
    /// <exception cref="PlatformNotSupportedException">libcrypto.so.3 is not installed.</exception>
    public static byte[] PublicKeyOf(ReadOnlySpan<byte> seed)
    {
        using KeyHandle key = OpenPrivate(seed);
        byte[] publicKey = new byte[PublicKeyBytes];
        nuint length = PublicKeyBytes;
        return GetRawPublicKey(key, publicKey, ref length) == 1 && length == PublicKeyBytes
            ? publicKey
            : throw new CryptographicException("libcrypto gave no public key.");
    }

    /// <summary>Signs a message.</summary>
    /// <exception cref="PlatformNotSupportedException">libcrypto.so.3 is not installed.</exception>
    public static byte[] Sign(ReadOnlySpan<byte> seed, ReadOnlySpan<byte> message)
    {
        using KeyHandle key = OpenPrivate(seed);
        using ContextHandle context = NewContext();
        byte[] signature = new byte[SignatureBytes];
        nuint length = SignatureBytes;
        return DigestSignInit(context, 0, 0, 0, key) == 1
            && DigestSign(context, signature, ref length, message, (nuint)message.Length) == 1
            && length == SignatureBytes
            ? signature
            : throw new CryptographicException("libcrypto made no signature.");
    }

    /// <summary>True when the signature is the key's over the message. Bytes of wrong length are no signature.</summary>
    /// <exception cref="PlatformNotSupportedException">libcrypto.so.3 is not installed.</exception>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        ThrowIfMissing();
        if (publicKey.Length != PublicKeyBytes || signature.Length != SignatureBytes)
        {
            return false;
        }

        using KeyHandle key = NewRawPublicKey(KeyType, 0, publicKey, (nuint)publicKey.Length);
        if (key.IsInvalid)
        {
            return false;
        }

        using ContextHandle context = NewContext();
        return DigestVerifyInit(context, 0, 0, 0, key) == 1
            && DigestVerify(context, signature, (nuint)signature.Length, message, (nuint)message.Length) == 1;
    }

    private static KeyHandle OpenPrivate(ReadOnlySpan<byte> seed)
    {
        ThrowIfMissing();
        if (seed.Length != SeedBytes)
        {
            throw new ArgumentException($"A seed has {SeedBytes} bytes, not {seed.Length}.", nameof(seed));
        }

        KeyHandle key = NewRawPrivateKey(KeyType, 0, seed, (nuint)seed.Length);
        return key.IsInvalid ? throw new CryptographicException("libcrypto took no Ed25519 key; is it restricted to FIPS algorithms?") : key;
    }

    private static ContextHandle NewContext()
    {
        ContextHandle context = NewDigestContext();
        return context.IsInvalid ? throw new CryptographicException("libcrypto gave no context.") : context;
    }

    private static void ThrowIfMissing()
    {
        if (!IsSupported)
        {
            throw new PlatformNotSupportedException($"Ed25519 needs OpenSSL 3 ({Library}), which is not installed. Install the package libssl3.");
        }
    }

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_private_key")]
    private static partial KeyHandle NewRawPrivateKey(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_public_key")]
    private static partial KeyHandle NewRawPublicKey(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_get_raw_public_key")]
    private static partial int GetRawPublicKey(KeyHandle key, Span<byte> publicKey, ref nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_free")]
    private static partial void FreeKey(nint key);

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_new")]
    private static partial ContextHandle NewDigestContext();

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_free")]
    private static partial void FreeDigestContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_DigestSignInit")]
    private static partial int DigestSignInit(ContextHandle context, nint keyContext, nint digest, nint engine, KeyHandle key);

    [LibraryImport(Library, EntryPoint = "EVP_DigestSign")]
    private static partial int DigestSign(
        ContextHandle context, Span<byte> signature, ref nuint signatureLength, ReadOnlySpan<byte> message, nuint messageLength);

    [LibraryImport(Library, EntryPoint = "EVP_DigestVerifyInit")]
    private static partial int DigestVerifyInit(ContextHandle context, nint keyContext, nint digest, nint engine, KeyHandle key);

    [LibraryImport(Library, EntryPoint = "EVP_DigestVerify")]
    private static partial int DigestVerify(
        ContextHandle context, ReadOnlySpan<byte> signature, nuint signatureLength, ReadOnlySpan<byte> message, nuint messageLength);

    private sealed class KeyHandle() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle()
        {
            FreeKey(handle);
            return true;
        }
    }

    private sealed class ContextHandle() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle()
        {
            FreeDigestContext(handle);
            return true;
        }
    }
}
