using System.Globalization;

namespace Rynxs.Ledger.Canonical;

/// <summary>
/// The form in which the original (Python's <c>repr</c>) prints a float: shortest digits that read back, exponent form below 1e-4 and
/// from 1e16 on, at least two exponent digits, always a point or an exponent. Needed to read old records; new ones hold no floats.
/// </summary>
internal static class PythonFloat
{
    /// <summary>Formats a finite number.</summary>
    public static string Repr(double value)
    {
        string sign = double.IsNegative(value) ? "-" : "";
        (string digits, int pointAt) = Digits(Math.Abs(value).ToString("R", CultureInfo.InvariantCulture));
        if (digits.Length == 0)
        {
            return sign + "0.0";
        }

        // pointAt: the number is 0.DIGITS x 10^pointAt.
        if (pointAt is > -4 and <= 0)
        {
            return sign + "0." + new string('0', -pointAt) + digits;
        }

        if (pointAt is > 0 and <= 16)
        {
            return digits.Length <= pointAt
                ? sign + digits.PadRight(pointAt, '0') + ".0"
                : sign + digits[..pointAt] + "." + digits[pointAt..];
        }

        int exponent = pointAt - 1;
        string mantissa = digits.Length == 1 ? digits : digits[..1] + "." + digits[1..];
        return string.Create(
            CultureInfo.InvariantCulture, $"{sign}{mantissa}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
    }

    /// <summary>Splits .NET's shortest form into its significant digits and the position of the point.</summary>
    private static (string Digits, int PointAt) Digits(string text)
    {
        int exponentAt = text.IndexOf('E', StringComparison.Ordinal);
        int exponent = exponentAt < 0 ? 0 : int.Parse(text.AsSpan(exponentAt + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        string mantissa = exponentAt < 0 ? text : text[..exponentAt];
        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        string all = point < 0 ? mantissa : mantissa.Remove(point, 1);
        int pointAt = (point < 0 ? mantissa.Length : point) + exponent;
        string significant = all.TrimStart('0');
        pointAt -= all.Length - significant.Length;
        return (significant.TrimEnd('0'), pointAt);
    }
}
