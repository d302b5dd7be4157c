using System.Globalization;
using System.Text;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Notes;

/// <summary>
/// What a log says of its tree at one moment (C2SP tlog-checkpoint): the body of a signed note, three lines. Not to be confused with the
/// Rynxs checkpoint of a reduced state.
/// </summary>
/// <param name="Origin">Name of the log; also the name of its key.</param>
/// <param name="Size">Number of entries.</param>
/// <param name="Root">Root of the tree of that size.</param>
public sealed record TreeCheckpoint(string Origin, long Size, TreeHash Root)
{
    /// <summary>Longest signed checkpoint that is read: 64 KiB.</summary>
    public const int MaxBytes = 64 * 1024;

    /// <summary>The text that is signed, its last newline included. We write no extension lines.</summary>
    public string ToText() => string.Create(CultureInfo.InvariantCulture, $"{Origin}\n{Size}\n{Root}\n");

    /// <summary>Reads the text of a note. Extension lines of other logs are accepted and belong to the signed text, not to this.</summary>
    /// <exception cref="FormatException">It is not the text of a checkpoint; the message names the line.</exception>
    public static TreeCheckpoint Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] lines = text.Split('\n');
        if (lines.Length < 4 || lines[^1].Length != 0 || lines[..^1].Any(line => line.Length == 0))
        {
            throw new FormatException("A checkpoint has at least three lines (origin, size, root), none of them empty.");
        }

        if (Encoding.UTF8.GetByteCount(lines[0]) > 1024)
        {
            throw new FormatException("Line 1 of the checkpoint, the origin, is longer than 1024 bytes.");
        }

        if (!long.TryParse(lines[1], NumberStyles.None, CultureInfo.InvariantCulture, out long size)
            || size.ToString(CultureInfo.InvariantCulture) != lines[1])
        {
            throw new FormatException("Line 2 of the checkpoint is not a size: a whole number from 0 to 2^63 - 1 without leading zeros.");
        }

        return TreeHash.TryParse(lines[2], out TreeHash root)
            ? new TreeCheckpoint(lines[0], size, root)
            : throw new FormatException("Line 3 of the checkpoint is not a root: base64 of 32 bytes.");
    }
}
