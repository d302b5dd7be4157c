using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Verifier;

/// <summary>
/// A public key that the auditor trusts, from its C2SP <c>vkey</c> text <c>NAME+HEXID+BASE64</c>: a log's (type 1) or a witness's (type 4).
/// </summary>
public sealed class PinnedKey
{
    private const byte LogType = 1;
    private const byte WitnessType = 4;

    private readonly byte[] _key;

    private PinnedKey(string text, string name, uint id, byte type, byte[] key) => (Text, Name, Id, IsWitness, _key) = (text, name, id, type == WitnessType, key);

    /// <summary>The vkey.</summary>
    public string Text { get; }

    /// <summary>Key name; of a log, its origin.</summary>
    public string Name { get; }

    /// <summary>True for a key that cosigns.</summary>
    public bool IsWitness { get; }

    internal uint Id { get; }

    internal ReadOnlySpan<byte> Key => _key;

    /// <summary>Reads a vkey.</summary>
    /// <exception cref="FormatException">It is none, of another type, or its id is not that of its key.</exception>
    public static PinnedKey Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int first = text.IndexOf('+', StringComparison.Ordinal);
        int second = first < 0 ? -1 : text.IndexOf('+', first + 1);
        if (text.Length > 512 || first < 1 || second != first + 9)
        {
            throw new FormatException("A key is NAME+HEXID+BASE64, as 'rynxs ledger keys public' prints it.");
        }

        string name = text[..first];
        byte[] material;
        uint id;
        try
        {
            id = BinaryPrimitives.ReadUInt32BigEndian(Convert.FromHexString(text.AsSpan(first + 1, 8)));
            material = Convert.FromBase64String(text[(second + 1)..]);
        }
        catch (FormatException)
        {
            throw new FormatException("The key id is not hexadecimal, or the key is not base64.");
        }

        if (material.Length != 1 + Ed25519Verification.KeyBytes || material[0] is not (LogType or WitnessType))
        {
            throw new FormatException("The key is not an Ed25519 key of type 1 (log) or 4 (witness).");
        }

        byte[] hashed = [.. Encoding.UTF8.GetBytes(name), (byte)'\n', .. material];
        return BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData(hashed)) == id && !name.Any(c => char.IsWhiteSpace(c) || char.IsControl(c))
            ? new PinnedKey(text, name, id, material[0], material[1..])
            : throw new FormatException("The key id is not that of the name and the key: the text was altered or cut.");
    }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
