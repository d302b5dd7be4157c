using System.Globalization;
using System.Text;

namespace Rynxs.Resources.Client;

/// <summary>Untrusted text as it may stand in an error message: bounded, on one line, nothing that a terminal would obey.</summary>
internal static class BadValue
{
    private const int DefaultLength = 64;

    /// <summary>In quotation marks, at most 64 characters of it.</summary>
    public static string Quote(string value) => $"\"{Escape(value, DefaultLength)}\"";

    /// <summary>At most <paramref name="maxLength"/> characters of it; control, format and surrogate characters as <c>\uXXXX</c>.</summary>
    public static string Escape(string value, int maxLength)
    {
        StringBuilder result = new(Math.Min(value.Length, maxLength) + 8);
        foreach (char c in value)
        {
            if (result.Length >= maxLength)
                return result.Append('…').ToString();

            if (c is '"' or '\\')
                result.Append('\\').Append(c);
            else if (char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate
                     or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse)
                result.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                result.Append(c);
        }

        return result.ToString();
    }
}
