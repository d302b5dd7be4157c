using System.Globalization;
using System.Text;

namespace Rynxs.Ledger.Forensics;

/// <summary>Text that others wrote, made safe to show: catalogue F4, CVE-2021-42574.</summary>
public static class UntrustedText
{
    /// <summary>
    /// Makes what a terminal would act on or not show visible: controls (C0, C1), bidirectional and zero-width characters, tags, line
    /// separators and invisible letters. Keeps newline and tab; a lone surrogate becomes U+FFFD.
    /// </summary>
    public static string Visible(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!text.EnumerateRunes().Any(IsHidden) && !text.Any(char.IsSurrogate))
        {
            return text;
        }

        var visible = new StringBuilder(text.Length + 16);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (!IsHidden(rune))
            {
                visible.Append(rune);
                continue;
            }

            visible.Append(rune.Value switch
            {
                < 0x100 => string.Create(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}"),
                < 0x10000 => string.Create(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}"),
                _ => string.Create(CultureInfo.InvariantCulture, $"\\U{rune.Value:x8}"),
            });
        }

        return visible.ToString();
    }

    /// <summary>The same on one line, cut to a length: nothing in it begins another line.</summary>
    public static string OneLine(string? text, int length = 200)
    {
        string flat = text is null ? "" : text.Length > length * 2 ? text[..(length * 2)] : text;
        string visible = Visible(flat).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\t", "\\t", StringComparison.Ordinal);
        return visible.Length <= length ? visible : visible[..(length - 1)] + "…";
    }

    // Overrides, isolates and what has no width can make text read differently than it is; tags and variation selectors can carry text
    // that nobody sees.
    private static bool IsHidden(Rune rune) => rune.Value switch
    {
        '\n' or '\t' => false,
        0x115f or 0x1160 or 0x3164 or 0xffa0 or 0x034f or (>= 0xe0000 and <= 0xe0fff) => true,
        _ => Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator,
    };
}
