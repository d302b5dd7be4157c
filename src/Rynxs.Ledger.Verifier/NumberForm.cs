using System.Globalization;
using System.Text;

namespace Rynxs.Ledger.Verifier;

/// <summary>Which spellings of numbers are canonical.</summary>
internal static class NumberForm
{
    /// <summary>Accepts a whole number of any size, or a float spelt as Python's <c>repr</c> spells it.</summary>
    public static void Check(ReadOnlySpan<byte> number)
    {
        ReadOnlySpan<byte> digits = number.StartsWith("-"u8) ? number[1..] : number;
        if (digits.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0 && digits.Length > 0)
        {
            bool canonical = digits[0] != '0' || number is [(byte)'0'];
            if (!canonical)
            {
                throw new LineDefectException(
                    digits.Length == 1 ? FailureCodes.NonCanonical : FailureCodes.InvalidJson, "A whole number has a leading zero or is -0.");
            }

            return;
        }

        string text = Encoding.ASCII.GetString(number);
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
        {
            throw new LineDefectException(FailureCodes.InvalidJson, "A number is malformed.");
        }

        if (!double.IsFinite(value) || Spell(value) != text)
        {
            throw new LineDefectException(FailureCodes.NonCanonical, "A float is not in its shortest form, or beyond the range of a double.");
        }
    }

    /// <summary>
    /// Finds the shortest digits that read back as the number by trying each precision, then lays them out: plain between 1e-4 and 1e16,
    /// else with an exponent of at least two digits.
    /// </summary>
    private static string Spell(double value)
    {
        if (value == 0)
        {
            return double.IsNegative(value) ? "-0.0" : "0.0";
        }

        string scientific = "";
        for (int precision = 0; precision <= 16; precision++)
        {
            scientific = value.ToString("E" + precision.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
            if (double.Parse(scientific, CultureInfo.InvariantCulture).Equals(value))
            {
                break;
            }
        }

        string sign = scientific[0] == '-' ? "-" : "";
        string[] parts = scientific.TrimStart('-').Split('E');
        string digits = parts[0].Replace(".", "", StringComparison.Ordinal);
        int exponent = int.Parse(parts[1], CultureInfo.InvariantCulture);
        return exponent switch
        {
            >= -4 and < 0 => sign + "0." + new string('0', -exponent - 1) + digits,
            >= 0 and < 16 when digits.Length <= exponent + 1 => sign + digits.PadRight(exponent + 1, '0') + ".0",
            >= 0 and < 16 => sign + digits[..(exponent + 1)] + "." + digits[(exponent + 1)..],
            _ => sign + digits[0] + (digits.Length > 1 ? "." + digits[1..] : "") + "e" + (exponent < 0 ? "-" : "+")
                + Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture),
        };
    }
}
