using System.Runtime.InteropServices;

namespace Rynxs.Ledger.Verifier;

/// <summary>Verifies Ed25519 signatures by OpenSSL's libcrypto 3; the verifier's own binding, apart from the writer's.</summary>
internal static partial class Ed25519Verification
{
    public const int KeyBytes = 32;
    public const int SignatureBytes = 64;

    private const string Library = "libcrypto.so.3";
    private const int Ed25519 = 1087; // NID_ED25519 of OpenSSL's headers.

    /// <exception cref="PlatformNotSupportedException">libcrypto.so.3 is not installed.</exception>
    public static bool Verify(ReadOnlySpan<byte> key, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        if (key.Length != KeyBytes || signature.Length != SignatureBytes)
        {
            return false;
        }

        nint publicKey;
        try
        {
            publicKey = NewKey(Ed25519, 0, key, KeyBytes);
        }
        catch (DllNotFoundException exception)
        {
            throw new PlatformNotSupportedException($"Verifying signatures needs OpenSSL 3 ({Library}), which is not installed.", exception);
        }

        nint context = NewContext();
        try
        {
            return publicKey != 0 && context != 0
                && BeginVerify(context, 0, 0, 0, publicKey) == 1
                && EndVerify(context, signature, SignatureBytes, message, (nuint)message.Length) == 1;
        }
        finally
        {
            FreeContext(context); // Both take null.
            FreeKey(publicKey);
        }
    }

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_public_key")]
    private static partial nint NewKey(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_free")]
    private static partial void FreeKey(nint key);

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_new")]
    private static partial nint NewContext();

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_free")]
    private static partial void FreeContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_DigestVerifyInit")]
    private static partial int BeginVerify(nint context, nint keyContext, nint digest, nint engine, nint key);

    [LibraryImport(Library, EntryPoint = "EVP_DigestVerify")]
    private static partial int EndVerify(
        nint context, ReadOnlySpan<byte> signature, nuint signatureLength, ReadOnlySpan<byte> message, nuint messageLength);
}
