using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Spellings that the real server's messages and field keys take from its language: both are compared by clients and by our transcripts.</summary>
internal static class GoText
{
    /// <summary>A quoted text as <c>%q</c> prints it.</summary>
    public static string Quote(string value)
    {
        StringBuilder text = new(value.Length + 2);
        text.Append('"');
        foreach (Rune rune in value.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '"':
                    text.Append("\\\"");
                    break;
                case '\\':
                    text.Append("\\\\");
                    break;
                case '\a':
                    text.Append("\\a");
                    break;
                case '\b':
                    text.Append("\\b");
                    break;
                case '\f':
                    text.Append("\\f");
                    break;
                case '\n':
                    text.Append("\\n");
                    break;
                case '\r':
                    text.Append("\\r");
                    break;
                case '\t':
                    text.Append("\\t");
                    break;
                case '\v':
                    text.Append("\\v");
                    break;
                case < ' ' or 0x7f:
                    text.Append(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}");
                    break;
                default:
                    if (rune.Value > 0x7f && !IsPrintable(rune))
                        text.Append(rune.IsBmp ? "\\u" : "\\U").Append(rune.Value.ToString(rune.IsBmp ? "x4" : "x8", CultureInfo.InvariantCulture));
                    else
                        text.Append(rune.ToString());
                    break;
            }
        }

        return text.Append('"').ToString();
    }

    /// <summary>A JSON text with the escapes that its JSON writer makes, HTML's included: field keys are compared as texts.</summary>
    public static void AppendJson(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
            switch (c)
            {
                case '"':
                    text.Append("\\\"");
                    break;
                case '\\':
                    text.Append("\\\\");
                    break;
                case '\n':
                    text.Append("\\n");
                    break;
                case '\r':
                    text.Append("\\r");
                    break;
                case '\t':
                    text.Append("\\t");
                    break;
                case < ' ' or '<' or '>' or '&' or '\u2028' or '\u2029':
                    text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                    break;
                default:
                    text.Append(c);
                    break;
            }
        }

        text.Append('"');
    }

    /// <summary>A floating-point number as JSON: shortest digits, an exponent below 1e-6 and from 1e21.</summary>
    public static string Number(double value)
    {
        string shortest = value.ToString("R", CultureInfo.InvariantCulture);
        string sign = shortest.StartsWith('-') ? "-" : "";
        string[] parts = shortest.TrimStart('-').Split('E');
        string[] mantissa = parts[0].Split('.');
        string digits = (mantissa[0] + (mantissa.Length > 1 ? mantissa[1] : "")).TrimStart('0');
        int leadingZeros = mantissa[0] == "0" ? (mantissa.Length > 1 ? mantissa[1] : "").TakeWhile(c => c == '0').Count() + 1 : 0;
        digits = digits.TrimEnd('0');
        if (digits.Length == 0)
            return sign + "0";

        // The value is 0.DIGITS times ten to the power of `point`.
        int point = mantissa[0].Length - leadingZeros + (parts.Length > 1 ? int.Parse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) : 0);
        if (Math.Abs(value) is < 1e-6 or >= 1e21)
        {
            string fraction = digits.Length > 1 ? "." + digits[1..] : "";
            int exponent = point - 1;
            return $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent).ToString(CultureInfo.InvariantCulture)}";
        }

        if (point <= 0)
            return sign + "0." + new string('0', -point) + digits;
        return digits.Length <= point ? sign + digits.PadRight(point, '0') : $"{sign}{digits[..point]}.{digits[point..]}";
    }

    /// <summary>A decoded JSON value as <c>%v</c> prints it.</summary>
    public static string Plain(JsonNode? value) => value switch
    {
        null => "<nil>",
        JsonObject map => "map[" + string.Join(" ", map.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => member.Key + ":" + Plain(member.Value))) + "]",
        JsonArray list => "[" + string.Join(" ", list.Select(Plain)) + "]",
        JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String => DocumentValue.Text(scalar),
        _ => DocumentValue.Canonical(value),
    };

    /// <summary>A decoded JSON value as <c>%#v</c> prints it.</summary>
    public static string Syntax(JsonNode? value) => value switch
    {
        null => "interface {}(nil)",
        JsonObject map => "map[string]interface {}{" + string.Join(", ", map.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => Quote(member.Key) + ":" + Syntax(member.Value))) + "}",
        JsonArray list => "[]interface {}{" + string.Join(", ", list.Select(Syntax)) + "}",
        JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String => Quote(DocumentValue.Text(scalar)),
        _ => DocumentValue.Canonical(value),
    };

    /// <summary>The type of a decoded JSON value as <c>%T</c> prints it.</summary>
    public static string TypeName(JsonNode? value) => value switch
    {
        null => "<nil>",
        JsonObject => "map[string]interface {}",
        JsonArray => "[]interface {}",
        JsonValue scalar => scalar.GetValueKind() switch
        {
            JsonValueKind.String => "string",
            JsonValueKind.Number => DocumentValue.Number(scalar).IsInteger ? "int64" : "float64",
            _ => "bool",
        },
        _ => "interface {}",
    };

    private static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.SpaceSeparator or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}
