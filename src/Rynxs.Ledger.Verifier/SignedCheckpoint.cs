using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Rynxs.Ledger.Verifier;

/// <summary>
/// A signed checkpoint (C2SP signed-note with the text of tlog-checkpoint), read by the verifier's own code. Reading verifies nothing.
/// </summary>
public sealed class SignedCheckpoint
{
    /// <summary>Longest checkpoint that is read: 64 KiB.</summary>
    public const int MaxBytes = 64 * 1024;

    private const int MaxSignatures = 64;
    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    private readonly byte[] _text;
    private readonly List<(string Name, uint Id, byte[] Bytes)> _signatures = [];

    private SignedCheckpoint(byte[] text) => _text = text;

    /// <summary>Name of the log.</summary>
    public string Origin { get; private init; } = "";

    /// <summary>Number of entries.</summary>
    public long Size { get; private init; }

    /// <summary>Root of the tree, padded base64.</summary>
    public string Root => RootHash.ToBase64();

    internal NodeHash RootHash { get; private init; }

    /// <summary>Reads a checkpoint.</summary>
    /// <exception cref="FormatException">It is none; the message says what is wrong.</exception>
    public static SignedCheckpoint Parse(ReadOnlySpan<byte> note)
    {
        if (note.Length is 0 or > MaxBytes)
        {
            throw new FormatException($"A checkpoint has 1 to {MaxBytes} bytes.");
        }

        foreach (byte value in note)
        {
            if (value < 0x20 && value != (byte)'\n')
            {
                throw new FormatException("The checkpoint holds a control character.");
            }
        }

        // The text ends at the last empty line; it may hold empty lines in general, but a checkpoint's may not.
        int blank = note.LastIndexOf("\n\n"u8);
        if (blank < 0 || note[^1] != (byte)'\n')
        {
            throw new FormatException("The checkpoint is not a text, an empty line and signatures.");
        }

        SignedCheckpoint checkpoint = ReadText(note[..(blank + 1)]);
        ReadOnlySpan<byte> rest = note[(blank + 2)..];
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOf((byte)'\n');
            checkpoint.AddSignature(Decode(rest[..end]));
            rest = rest[(end + 1)..];
        }

        return checkpoint._signatures.Count > 0 ? checkpoint : throw new FormatException("The checkpoint has no signature.");
    }

    /// <summary>Names of the keys among these that signed or cosigned, in their order.</summary>
    /// <exception cref="ForgedSignatureException">A signature that states one of the keys is not its signature: the whole note counts for nothing.</exception>
    internal IReadOnlyList<PinnedKey> SignedBy(IEnumerable<PinnedKey> keys)
    {
        var found = new List<PinnedKey>();
        foreach (PinnedKey key in keys)
        {
            foreach ((string name, uint id, byte[] bytes) in _signatures)
            {
                if (name != key.Name || id != key.Id)
                {
                    continue;
                }

                if (!IsSignature(key, bytes))
                {
                    throw new ForgedSignatureException(key.Name);
                }

                if (!found.Contains(key))
                {
                    found.Add(key);
                }
            }
        }

        return found;
    }

    private static SignedCheckpoint ReadText(ReadOnlySpan<byte> text)
    {
        string[] lines = Decode(text[..^1]).Split('\n');
        if (lines.Length < 3 || lines.Contains(""))
        {
            throw new FormatException("A checkpoint has at least three lines, none of them empty.");
        }

        if (lines[1].Length is 0 or > 19 || lines[1].AsSpan().ContainsAnyExceptInRange('0', '9') || (lines[1][0] == '0' && lines[1].Length > 1)
            || !long.TryParse(lines[1], NumberStyles.None, CultureInfo.InvariantCulture, out long size))
        {
            throw new FormatException("The size of the checkpoint is not a whole number without leading zeros.");
        }

        return new SignedCheckpoint(text.ToArray()) { Origin = lines[0], Size = size, RootHash = HashLine(lines[2], "root") };
    }

    /// <summary>A hash in base64, in its one spelling.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    internal static NodeHash HashLine(string line, string what)
    {
        Span<byte> bytes = stackalloc byte[NodeHash.Length + 3];
        return line.Length == 44 && Convert.TryFromBase64String(line, bytes, out int length) && length == NodeHash.Length
            && Convert.ToBase64String(bytes[..length]) == line
            ? NodeHash.From(bytes)
            : throw new FormatException($"The {what} is not base64 of 32 bytes.");
    }

    private static string Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new FormatException("The checkpoint is not UTF-8.");
        }
    }

    private void AddSignature(string line)
    {
        string[] parts = line.Split(' ');
        byte[] bytes = parts.Length == 3 ? new byte[((parts[2].Length / 4) + 1) * 3] : [];
        if (parts.Length != 3 || parts[0] != "\u2014" || parts[1].Length == 0
            || !Convert.TryFromBase64String(parts[2], bytes, out int length) || length <= 4
            || Convert.ToBase64String(bytes, 0, length) != parts[2])
        {
            throw new FormatException("A signature line is not '— NAME BASE64'.");
        }

        if (_signatures.Count == MaxSignatures)
        {
            throw new FormatException($"The checkpoint has more than {MaxSignatures} signatures.");
        }

        _signatures.Add((parts[1], BinaryPrimitives.ReadUInt32BigEndian(bytes), bytes[4..length]));
    }

    private bool IsSignature(PinnedKey key, byte[] bytes)
    {
        if (!key.IsWitness)
        {
            return Ed25519Verification.Verify(key.Key, _text, bytes);
        }

        if (bytes.Length != 8 + Ed25519Verification.SignatureBytes || BinaryPrimitives.ReadInt64BigEndian(bytes) is not (> 0 and long seconds))
        {
            return false;
        }

        byte[] message = [.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"cosignature/v1\ntime {seconds}\n")), .. _text];
        return Ed25519Verification.Verify(key.Key, message, bytes.AsSpan(8));
    }
}

/// <summary>A note states a signature by a known key that is not its signature.</summary>
internal sealed class ForgedSignatureException(string key) : Exception($"The note states a signature by {key} that is not its signature.");
