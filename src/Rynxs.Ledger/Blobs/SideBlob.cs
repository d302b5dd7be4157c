using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Blobs;

/// <summary>
/// A salted commitment to free text: <c>sha256:</c> and the lowercase hexadecimal SHA-256 of the 32-byte salt followed by the content.
/// </summary>
/// <remarks>
/// The salt hides short or guessable content from readers of the chain; erasing the blob (salt and text) leaves the chain verifiable.
/// </remarks>
/// <param name="Value">Text form, as stored in records.</param>
public readonly record struct Commitment(string Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>Text or bytes kept beside a chain, with the salt that opens its commitment.</summary>
public sealed record SideBlob
{
    private SideBlob(Commitment commitment, ReadOnlyMemory<byte> salt, ReadOnlyMemory<byte> content)
    {
        Commitment = commitment;
        Salt = salt;
        Content = content;
    }

    /// <summary>Number of salt bytes: 32.</summary>
    public const int SaltBytes = 32;

    /// <summary>What the record holds.</summary>
    public Commitment Commitment { get; }

    /// <summary>The salt, 32 random bytes.</summary>
    public ReadOnlyMemory<byte> Salt { get; }

    /// <summary>The content, at most <see cref="LedgerLimits.MaxBlobBytes"/>.</summary>
    public ReadOnlyMemory<byte> Content { get; }

    /// <summary>The blob's line as it is stored, without its newline.</summary>
    public byte[] ToLine() => BlobLine.Of(this).Line[..^1];

    /// <summary>Commits to content under a fresh salt.</summary>
    /// <exception cref="ArgumentException">The content is larger than <see cref="LedgerLimits.MaxBlobBytes"/>.</exception>
    public static SideBlob Create(ReadOnlyMemory<byte> content) => Open(RandomNumberGenerator.GetBytes(SaltBytes), content);

    /// <summary>Commits to the UTF-8 form of a text under a fresh salt.</summary>
    public static SideBlob Create(string text) => Create(Encoding.UTF8.GetBytes(text));

    /// <summary>Rebuilds a blob from its stored salt and content; the commitment is computed, never believed.</summary>
    public static SideBlob Open(ReadOnlyMemory<byte> salt, ReadOnlyMemory<byte> content)
    {
        if (salt.Length != SaltBytes)
        {
            throw new ArgumentException($"A salt has {SaltBytes} bytes, not {salt.Length}.", nameof(salt));
        }

        if (content.Length > LedgerLimits.MaxBlobBytes)
        {
            throw new ArgumentException($"A side blob has at most {LedgerLimits.MaxBlobBytes} bytes, not {content.Length}.", nameof(content));
        }

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(salt.Span);
        hash.AppendData(content.Span);
        return new SideBlob(new Commitment("sha256:" + Convert.ToHexStringLower(hash.GetHashAndReset())), salt, content);
    }
}
