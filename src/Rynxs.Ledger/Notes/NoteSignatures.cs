using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Rynxs.Ledger.Keys;

namespace Rynxs.Ledger.Notes;

/// <summary>Signs and verifies the two signature types that we use.</summary>
public static class NoteSignatures
{
    private const int TimestampBytes = 8;

    /// <summary>Signs the text of a note as a log does (type 0x01).</summary>
    /// <exception cref="ArgumentException">The key is a witness's.</exception>
    public static NoteSignature Sign(this SigningKey key, string text)
    {
        ArgumentNullException.ThrowIfNull(key);
        ThrowIfNot(key, NoteSignatureType.Ed25519);
        return new NoteSignature(key.PublicKey.Name, key.PublicKey.Id, key.Sign(Encoding.UTF8.GetBytes(text)));
    }

    /// <summary>Cosigns the text of a checkpoint at a time (C2SP tlog-cosignature v1, type 0x04): eight bytes of seconds, then the signature.</summary>
    /// <exception cref="ArgumentException">The key is a log's.</exception>
    public static NoteSignature Cosign(this SigningKey key, string text, DateTimeOffset time)
    {
        ArgumentNullException.ThrowIfNull(key);
        ThrowIfNot(key, NoteSignatureType.CosignatureV1);
        byte[] bytes = new byte[TimestampBytes + Ed25519.SignatureBytes];
        long seconds = time.ToUnixTimeSeconds();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(seconds, nameof(time));
        BinaryPrimitives.WriteInt64BigEndian(bytes, seconds);
        key.Sign(CosignedMessage(seconds, text)).CopyTo(bytes, TimestampBytes);
        return new NoteSignature(key.PublicKey.Name, key.PublicKey.Id, bytes);
    }

    /// <summary>True when the bytes are the key's signature of the text, in the form of the key's type.</summary>
    public static bool Verify(VerifierKey key, string text, ReadOnlySpan<byte> signature)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (key.Type == NoteSignatureType.Ed25519)
        {
            return Ed25519.Verify(key.Key.Span, Encoding.UTF8.GetBytes(text), signature);
        }

        return TimeOf(signature) is { } seconds
            && Ed25519.Verify(key.Key.Span, CosignedMessage(seconds, text), signature[TimestampBytes..]);
    }

    /// <summary>Seconds since 1970 that a cosignature states; null when it is none.</summary>
    public static long? TimeOf(ReadOnlySpan<byte> cosignature) =>
        cosignature.Length == TimestampBytes + Ed25519.SignatureBytes && BinaryPrimitives.ReadInt64BigEndian(cosignature) is > 0 and long seconds
            ? seconds
            : null;

    private static byte[] CosignedMessage(long seconds, string text) =>
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"cosignature/v1\ntime {seconds}\n{text}"));

    private static void ThrowIfNot(SigningKey key, NoteSignatureType type)
    {
        if (key.PublicKey.Type != type)
        {
            throw new ArgumentException($"The key {key.PublicKey.Name} is of type {(int)key.PublicKey.Type}, not {(int)type}.", nameof(key));
        }
    }
}
