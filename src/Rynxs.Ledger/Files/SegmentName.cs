using System.Globalization;

namespace Rynxs.Ledger.Files;

/// <summary>Names of segments: <c>records-</c>, the first sequence in 20 digits, <c>.jsonl</c>. Ordinal order is the order of the chain.</summary>
internal static class SegmentName
{
    private const string Prefix = "records-";
    private const string Suffix = ".jsonl";

    public static string Of(long firstSeq) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{firstSeq:D20}{Suffix}");

    /// <summary>The first sequence that a segment's name states; null for a file of another name.</summary>
    public static long? FirstSeqOf(string path)
    {
        ReadOnlySpan<char> name = Path.GetFileName(path.AsSpan());
        return name.StartsWith(Prefix) && name.EndsWith(Suffix) && name.Length == Prefix.Length + 20 + Suffix.Length
            && long.TryParse(name[Prefix.Length..^Suffix.Length], NumberStyles.None, CultureInfo.InvariantCulture, out long firstSeq)
            ? firstSeq
            : null;
    }

    /// <summary>
    /// As <see cref="List"/>, without empty files behind others: one that was begun and holds nothing yet, or one that a writer left behind that was
    /// taken over at that moment (ADR 0021).
    /// </summary>
    public static IReadOnlyList<(long FirstSeq, string Path)> ListHolding(string directory) =>
        [.. List(directory).Where((segment, index) => index == 0 || new FileInfo(segment.Path).Length > 0)];

    /// <summary>
    /// Frees the name of a segment that is about to begin from an empty file. The caller holds the lock, unless it has just lost it: then what is at
    /// the name may be its successor's, and stays.
    /// </summary>
    public static void RemoveStray(string path, Func<bool> isLost)
    {
        if (new FileInfo(path) is { Exists: true, Length: 0 })
        {
            AsideFile.Move(path, AsideFile.InodeOf(path), isLost);
        }
    }

    /// <summary>The segments of a chain's directory by first sequence. Other files are ignored.</summary>
    public static IReadOnlyList<(long FirstSeq, string Path)> List(string directory)
    {
        var segments = new List<(long FirstSeq, string Path)>();
        foreach (string path in Directory.EnumerateFiles(directory, Prefix + "*" + Suffix))
        {
            ReadOnlySpan<char> digits = Path.GetFileName(path.AsSpan())[Prefix.Length..^Suffix.Length];
            if (digits.Length == 20 && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long firstSeq))
            {
                segments.Add((firstSeq, path));
            }
        }

        segments.Sort(static (left, right) => left.FirstSeq.CompareTo(right.FirstSeq));
        return segments;
    }
}
