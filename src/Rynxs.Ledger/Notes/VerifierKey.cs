using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger.Keys;

namespace Rynxs.Ledger.Notes;

/// <summary>What a key signs, by the type bytes of C2SP signed-note.</summary>
public enum NoteSignatureType
{
    /// <summary>0x01: Ed25519 over the text of a note. Keys of logs.</summary>
    Ed25519 = 1,

    /// <summary>0x04: timestamped Ed25519 cosignature of a checkpoint (C2SP tlog-cosignature). Keys of witnesses.</summary>
    CosignatureV1 = 4,
}

/// <summary>
/// A public key in the form in which it is pinned, a C2SP <c>vkey</c>: <c>NAME+HEXID+BASE64</c>, where the id is the beginning of
/// SHA-256(name || 0x0A || type || key).
/// </summary>
public sealed record VerifierKey
{
    /// <summary>Longest name: 255 characters, so that a line of a note stays short.</summary>
    public const int MaxNameLength = 255;

    /// <summary>Makes a key from its parts and computes the id.</summary>
    /// <exception cref="ArgumentException">The name is not a key name, or the key has not 32 bytes.</exception>
    public VerifierKey(string name, NoteSignatureType type, ReadOnlyMemory<byte> key)
    {
        if (!IsName(name))
        {
            throw new ArgumentException($"A key name has 1 to {MaxNameLength} characters, none of them white space, a control character or '+'.", nameof(name));
        }

        if (key.Length != Ed25519.PublicKeyBytes)
        {
            throw new ArgumentException($"A public key has {Ed25519.PublicKeyBytes} bytes, not {key.Length}.", nameof(key));
        }

        (Name, Type, Key) = (name, type, key.ToArray());
        byte[] hash = SHA256.HashData([.. Encoding.UTF8.GetBytes(name), (byte)'\n', (byte)type, .. key.Span]);
        Id = BinaryPrimitives.ReadUInt32BigEndian(hash);
    }

    /// <summary>Key name.</summary>
    public string Name { get; }

    /// <summary>What it signs.</summary>
    public NoteSignatureType Type { get; }

    /// <summary>The 32 bytes of the public key.</summary>
    public ReadOnlyMemory<byte> Key { get; }

    /// <summary>Key id: tells keys of one name apart. No secret, and no proof of anything.</summary>
    public uint Id { get; }

    /// <summary>Reads a vkey.</summary>
    /// <exception cref="FormatException">It is none, its type is not known here, or its id is not that of its key.</exception>
    public static VerifierKey Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Length <= MaxNameLength + 64 ? text.Split('+', 3) : [];
        if (parts.Length != 3 || !IsName(parts[0]) || parts[1].Length != 8
            || !uint.TryParse(parts[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint id))
        {
            throw new FormatException("The key is not of the form NAME+HEXID+BASE64.");
        }

        byte[] material = new byte[1 + Ed25519.PublicKeyBytes + 2];
        if (!Convert.TryFromBase64String(parts[2], material, out int length) || length != 1 + Ed25519.PublicKeyBytes
            || material[0] is not ((byte)NoteSignatureType.Ed25519 or (byte)NoteSignatureType.CosignatureV1))
        {
            throw new FormatException("The key is not an Ed25519 key of type 1 (log) or 4 (cosignature).");
        }

        var key = new VerifierKey(parts[0], (NoteSignatureType)material[0], material.AsMemory(1, Ed25519.PublicKeyBytes));
        return key.Id == id && key.ToString() == text
            ? key
            : throw new FormatException("The key id in the text is not that of the key, or the text is not in its canonical spelling.");
    }

    /// <summary>True for 1 to 255 characters without white space, control characters and <c>+</c>.</summary>
    public static bool IsName(string? name) => name is { Length: > 0 and <= MaxNameLength }
        && !name.Any(character => char.IsWhiteSpace(character) || char.IsControl(character) || character == '+' || char.IsSurrogate(character));

    /// <summary>The vkey.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Name}+{Id:x8}+{Convert.ToBase64String([(byte)Type, .. Key.Span])}");

    /// <inheritdoc/>
    public bool Equals(VerifierKey? other) => other is not null && other.ToString() == ToString();

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Id;
}
