using System.Buffers.Binary;
using System.Text;

namespace Rynxs.Ledger.Notes;

/// <summary>One signature line of a note.</summary>
/// <param name="Name">Key name.</param>
/// <param name="Id">Key id.</param>
/// <param name="Bytes">The signature, in the form of its key's type.</param>
public sealed record NoteSignature(string Name, uint Id, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>The line, its newline included: em dash, space, name, space, base64 of id and signature.</summary>
    public string ToLine()
    {
        byte[] bytes = new byte[4 + Bytes.Length];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Id);
        Bytes.CopyTo(bytes.AsMemory(4));
        return $"— {Name} {Convert.ToBase64String(bytes)}\n";
    }

    /// <summary>Reads a line without its newline.</summary>
    /// <exception cref="FormatException">It is not a signature line.</exception>
    public static NoteSignature ParseLine(string line)
    {
        string[] parts = line.Split(' ');
        if (parts is not ["—", { } name, { } base64] || !VerifierKey.IsName(name))
        {
            throw new FormatException("A signature line is not '— NAME BASE64'.");
        }

        byte[] bytes = new byte[(base64.Length / 4 * 3) + 3];
        return Convert.TryFromBase64String(base64, bytes, out int length) && length > 4 && Convert.ToBase64String(bytes, 0, length) == base64
            ? new NoteSignature(name, BinaryPrimitives.ReadUInt32BigEndian(bytes), bytes.AsMemory(4, length - 4))
            : throw new FormatException("A signature line does not hold a key id and a signature in base64.");
    }
}

/// <summary>A text with signatures (C2SP signed-note). Reading one verifies nothing: see <see cref="VerifyBy"/>.</summary>
/// <param name="Text">The signed text, its last newline included.</param>
/// <param name="Signatures">In the order of their lines.</param>
public sealed record SignedNote(string Text, IReadOnlyList<NoteSignature> Signatures)
{
    /// <summary>Longest note that is read: 64 KiB.</summary>
    public const int MaxBytes = 64 * 1024;

    /// <summary>Most signatures of a note: 64.</summary>
    public const int MaxSignatures = 64;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a note.</summary>
    /// <exception cref="FormatException">It is too long, not UTF-8, holds control characters, or has not the form of a note.</exception>
    public static SignedNote Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MaxBytes)
        {
            throw new FormatException($"A note has at most {MaxBytes} bytes.");
        }

        string note;
        try
        {
            note = Strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new FormatException("The note is not UTF-8.");
        }

        if (note.Any(character => character < ' ' && character != '\n'))
        {
            throw new FormatException("The note holds a control character.");
        }

        int blank = note.LastIndexOf("\n\n", StringComparison.Ordinal);
        if (blank < 0 || !note.EndsWith('\n') || blank + 2 >= note.Length)
        {
            throw new FormatException("The note is not a text, an empty line, and signature lines, each ended by a newline.");
        }

        string[] lines = note[(blank + 2)..^1].Split('\n');
        return lines.Length <= MaxSignatures
            ? new SignedNote(note[..(blank + 1)], [.. lines.Select(NoteSignature.ParseLine)])
            : throw new FormatException($"The note has more than {MaxSignatures} signatures.");
    }

    /// <summary>The note as bytes.</summary>
    public byte[] ToBytes() => Strict.GetBytes(ToString());

    /// <summary>The note as text.</summary>
    public override string ToString() => Text + "\n" + string.Concat(Signatures.Select(signature => signature.ToLine()));

    /// <summary>
    /// The signatures by these keys, each verified once; those of unknown keys are passed over. Empty when none of the keys signed.
    /// </summary>
    /// <exception cref="FormatException">A signature that names one of the keys is not its signature: the whole note counts for nothing.</exception>
    public IReadOnlyList<VerifierKey> VerifyBy(IEnumerable<VerifierKey> keys)
    {
        var verified = new List<VerifierKey>();
        foreach (VerifierKey key in keys)
        {
            foreach (NoteSignature signature in Signatures.Where(signature => signature.Name == key.Name && signature.Id == key.Id))
            {
                if (!NoteSignatures.Verify(key, Text, signature.Bytes.Span))
                {
                    throw new FormatException($"The note states a signature by {key.Name} that is not its signature.");
                }

                if (!verified.Contains(key))
                {
                    verified.Add(key);
                }
            }
        }

        return verified;
    }
}
