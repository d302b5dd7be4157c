using System.Globalization;

namespace Rynxs.Ledger.Merkle;

/// <summary>Paths of C2SP tlog-tiles: <c>tile/L/N[.p/W]</c> and <c>tile/entries/N[.p/W]</c>.</summary>
public static class TilePath
{
    /// <summary>Hashes of a full tile, and entries of a full bundle: 256.</summary>
    public const int Width = 256;

    /// <summary>Path of the signed checkpoint.</summary>
    public const string Checkpoint = "checkpoint";

    /// <summary>Path of a tile of hashes.</summary>
    /// <param name="level">0 to 63.</param>
    /// <param name="index">Index within the level.</param>
    /// <param name="width">1 to 256; 256 is a full tile.</param>
    public static string OfTile(int level, long index, int width = Width)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(level);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(level, 63);
        return string.Create(CultureInfo.InvariantCulture, $"tile/{level}/{Index(index)}{Partial(width)}");
    }

    /// <summary>Path of a bundle of entries.</summary>
    /// <inheritdoc cref="OfTile"/>
    public static string OfEntries(long index, int width = Width) => $"tile/entries/{Index(index)}{Partial(width)}";

    /// <summary>True for a path that one of the methods here could have made: safe to become a file name.</summary>
    public static bool IsValid(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (path == Checkpoint)
        {
            return true;
        }

        string[] parts = path.Split('/');
        if (parts.Length is < 3 or > 12 || parts[0] != "tile" || !(parts[1] == "entries" || IsNumber(parts[1], 63)))
        {
            return false;
        }

        int last = parts.Length - 1;
        if (parts[last - 1].EndsWith(".p", StringComparison.Ordinal))
        {
            if (!IsNumber(parts[last], Width - 1) || parts[last] == "0" || last < 3)
            {
                return false;
            }

            last--;
            parts[last] = parts[last][..^2];
        }

        for (int index = 2; index <= last; index++)
        {
            ReadOnlySpan<char> digits = parts[index];
            if (index < last && (digits.Length == 0 || digits[0] != 'x'))
            {
                return false;
            }

            digits = index < last ? digits[1..] : digits;
            if (digits.Length != 3 || digits.IndexOfAnyExceptInRange('0', '9') >= 0)
            {
                return false;
            }
        }

        // One spelling for each index: no empty leading element.
        return last == 2 || parts[2] != "x000";
    }

    /// <summary>Every tile and entry bundle of a tree of a size, without its checkpoint.</summary>
    public static IEnumerable<string> Under(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        for (int level = 0; level == 0 || size >> (level * 8) > 0; level++)
        {
            long hashes = size >> (level * 8);
            int width = (int)(hashes % Width);
            for (long index = 0; index < hashes / Width; index++)
            {
                yield return OfTile(level, index);
                if (level == 0)
                {
                    yield return OfEntries(index);
                }
            }

            if (width > 0)
            {
                yield return OfTile(level, hashes / Width, width);
                if (level == 0)
                {
                    yield return OfEntries(hashes / Width, width);
                }
            }
        }
    }

    private static string Index(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        string text = (index % 1000).ToString("D3", CultureInfo.InvariantCulture);
        for (long rest = index / 1000; rest > 0; rest /= 1000)
        {
            text = string.Create(CultureInfo.InvariantCulture, $"x{rest % 1000:D3}/{text}");
        }

        return text;
    }

    private static string Partial(int width)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(width, Width);
        return width == Width ? "" : string.Create(CultureInfo.InvariantCulture, $".p/{width}");
    }

    private static bool IsNumber(string text, int max) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value <= max
        && text == value.ToString(CultureInfo.InvariantCulture);
}
