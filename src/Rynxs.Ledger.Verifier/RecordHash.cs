using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Rynxs.Ledger.Verifier;

/// <summary>
/// SHA-256 of many small inputs. <see cref="SHA256.HashData(ReadOnlySpan{byte}, Span{byte})"/> allocates and frees a context and clears OpenSSL's error
/// queue on every call, which for a record of 400 bytes costs as much as the hash (measured with perf). The same library's plain functions, called on
/// a context of ours, do without; where they are not to be had, the runtime's are used.
/// </summary>
internal static unsafe partial class RecordHash
{
    private const string Library = "libcrypto.so.3";

    /// <summary>A call that keeps the collector waiting must be short: about 10 µs.</summary>
    private const int ShortBytes = 16 * 1024;

    private static readonly bool Direct = IsUsable();

    /// <summary>Hash of two spans, one behind the other.</summary>
    /// <param name="first">First part.</param>
    /// <param name="second">Second part.</param>
    /// <param name="digest">Receives 32 bytes.</param>
    public static void Of(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> digest)
    {
        if (!Direct)
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            hash.AppendData(first);
            hash.AppendData(second);
            hash.GetHashAndReset(digest);
            return;
        }

        Compute(first, second, digest);
    }

    [SkipLocalsInit]
    private static void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> digest)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(digest.Length, SHA256.HashSizeInBytes, nameof(digest));
        ulong* context = stackalloc ulong[32]; // SHA256_CTX has 112 bytes.
        fixed (byte* one = first, two = second, into = digest)
        {
            int done = Init(context) & UpdateShort(context, one, (nuint)first.Length);
            done &= second.Length <= ShortBytes ? UpdateShort(context, two, (nuint)second.Length) : Update(context, two, (nuint)second.Length);
            if ((done & Final(into, context)) != 1)
            {
                throw new CryptographicException("libcrypto made no hash.");
            }
        }
    }

    private static bool IsUsable()
    {
        if (!NativeLibrary.TryLoad(Library, out nint library)
            || !NativeLibrary.TryGetExport(library, "SHA256_Init", out _) || !NativeLibrary.TryGetExport(library, "SHA256_Update", out _)
            || !NativeLibrary.TryGetExport(library, "SHA256_Final", out _))
        {
            return false;
        }

        // What it computes is compared with the runtime's once, over more than one block.
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        byte[] sample = [.. Enumerable.Range(0, 200).Select(value => (byte)value)];
        Compute(sample.AsSpan(0, 64), sample.AsSpan(64), digest);
        return digest.SequenceEqual(SHA256.HashData(sample));
    }

    [LibraryImport(Library, EntryPoint = "SHA256_Init")]
    [SuppressGCTransition]
    private static partial int Init(void* context);

    [LibraryImport(Library, EntryPoint = "SHA256_Update")]
    [SuppressGCTransition]
    private static partial int UpdateShort(void* context, void* data, nuint length);

    [LibraryImport(Library, EntryPoint = "SHA256_Update")]
    private static partial int Update(void* context, void* data, nuint length);

    [LibraryImport(Library, EntryPoint = "SHA256_Final")]
    [SuppressGCTransition]
    private static partial int Final(void* digest, void* context);
}
