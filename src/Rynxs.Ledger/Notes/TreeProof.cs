using System.Globalization;
using System.Text;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Notes;

/// <summary>
/// A proof, as a text that can be kept and sent, that an entry is in a log (C2SP tlog-proof v1): its index, the path to the root, and the
/// signed checkpoint. File extension <c>.tlog-proof</c>.
/// </summary>
/// <param name="Index">Index of the entry: the record's sequence.</param>
/// <param name="Path">Hashes from the leaf's sibling up to the root's child.</param>
/// <param name="Checkpoint">The signed checkpoint, byte for byte.</param>
public sealed record TreeProof(long Index, IReadOnlyList<TreeHash> Path, SignedNote Checkpoint)
{
    private const string FirstLine = "c2sp.org/tlog-proof@v1";

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(FirstLine).Append('\n');
        text.Append(CultureInfo.InvariantCulture, $"index {Index}\n");
        foreach (TreeHash hash in Path)
        {
            text.Append(hash.ToString()).Append('\n');
        }

        return text.Append('\n').Append(Checkpoint.ToString()).ToString();
    }
}

/// <summary>
/// A proof that a tree grew from an older one without changing it, as a text: the body of <c>add-checkpoint</c> of C2SP tlog-witness.
/// </summary>
/// <param name="OldSize">Size of the older tree.</param>
/// <param name="Path">The consistency proof of RFC 6962, section 2.1.2; empty when the old tree is empty or the sizes are the same.</param>
/// <param name="Checkpoint">The newer checkpoint, signed.</param>
public sealed record ConsistencyProof(long OldSize, IReadOnlyList<TreeHash> Path, SignedNote Checkpoint)
{
    /// <summary>Longest body that is read: a checkpoint and 63 lines of proof.</summary>
    public const int MaxBytes = SignedNote.MaxBytes + (64 * 45) + 64;

    /// <summary>Most hashes of a proof: 63.</summary>
    public const int MaxPath = 63;

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"old {OldSize}\n");
        foreach (TreeHash hash in Path)
        {
            text.Append(hash.ToString()).Append('\n');
        }

        return text.Append('\n').Append(Checkpoint.ToString()).ToString();
    }

    /// <summary>Reads a body.</summary>
    /// <exception cref="FormatException">It has not that form; the message names the line.</exception>
    public static ConsistencyProof Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MaxBytes)
        {
            throw new FormatException($"The body has more than {MaxBytes} bytes.");
        }

        int blank = bytes.IndexOf("\n\n"u8);
        if (blank < 0)
        {
            throw new FormatException("There is no empty line between the proof and the checkpoint.");
        }

        string[] lines = Encoding.UTF8.GetString(bytes[..blank]).Split('\n');
        const string Old = "old ";
        if (!lines[0].StartsWith(Old, StringComparison.Ordinal)
            || !long.TryParse(lines[0].AsSpan(Old.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long size)
            || Old + size.ToString(CultureInfo.InvariantCulture) != lines[0])
        {
            throw new FormatException("Line 1 is not 'old SIZE'.");
        }

        if (lines.Length - 1 > MaxPath)
        {
            throw new FormatException($"There are more than {MaxPath} lines of proof.");
        }

        var path = new List<TreeHash>();
        foreach (string line in lines[1..])
        {
            path.Add(TreeHash.TryParse(line, out TreeHash hash)
                ? hash
                : throw new FormatException($"Line {path.Count + 2} is not a hash: base64 of 32 bytes."));
        }

        return new ConsistencyProof(size, path, SignedNote.Parse(bytes[(blank + 2)..]));
    }
}
