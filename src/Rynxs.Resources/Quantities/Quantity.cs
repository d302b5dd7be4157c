using System.Globalization;
using System.Numerics;
using System.Text.RegularExpressions;

namespace Rynxs.Resources.Quantities;

/// <summary>
/// A Kubernetes quantity: <c>256Mi</c>, <c>100m</c>, <c>1Gi</c>, <c>1e3</c>, <c>0.5</c>. Kept exactly, in billionths; smaller fractions round up, as in
/// Kubernetes. Between 0 and 2^63-1 inclusive: nothing here counts below zero.
/// </summary>
public readonly partial record struct Quantity : IComparable<Quantity>
{
    private static readonly BigInteger Billion = 1_000_000_000;
    private static readonly BigInteger MaxBillionths = long.MaxValue * Billion;

    private readonly BigInteger _billionths;

    private Quantity(BigInteger billionths) => _billionths = billionths;

    /// <summary>The value in whole units (bytes), rounded up.</summary>
    public long Units => (long)BigInteger.DivRem(_billionths + Billion - 1, Billion, out _);

    /// <summary>The value in thousandths (CPU millicores), rounded up; <see cref="long.MaxValue"/> when it does not fit.</summary>
    public long Thousandths
    {
        get
        {
            BigInteger value = (_billionths + 999_999) / 1_000_000;
            return value > long.MaxValue ? long.MaxValue : (long)value;
        }
    }

    /// <summary>Parses; false for anything that Kubernetes would refuse, for negative values and for what does not fit.</summary>
    public static bool TryParse(string? text, out Quantity quantity)
    {
        quantity = default;
        if (text is null || text.Length > 40 || Form().Match(text) is not { Success: true } match)
            return false;

        string whole = match.Groups["whole"].Value;
        string fraction = match.Groups["fraction"].Value;
        if (whole.Length + fraction.Length == 0)
            return false;

        if (!TryScale(match.Groups["suffix"].Value, out BigInteger numerator, out BigInteger denominator))
            return false;

        BigInteger digits = BigInteger.Parse("0" + whole + fraction, CultureInfo.InvariantCulture);
        numerator *= digits * Billion;
        denominator *= BigInteger.Pow(10, fraction.Length);
        BigInteger billionths = (numerator + denominator - 1) / denominator;
        if (billionths > MaxBillionths)
            return false;

        quantity = new Quantity(billionths);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(Quantity other) => _billionths.CompareTo(other._billionths);

    public static bool operator <(Quantity left, Quantity right) => left.CompareTo(right) < 0;

    public static bool operator >(Quantity left, Quantity right) => left.CompareTo(right) > 0;

    public static bool operator <=(Quantity left, Quantity right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Quantity left, Quantity right) => left.CompareTo(right) >= 0;

    /// <summary>Decimal value without a suffix.</summary>
    public override string ToString()
    {
        BigInteger whole = BigInteger.DivRem(_billionths, Billion, out BigInteger rest);
        string text = whole.ToString(CultureInfo.InvariantCulture);
        return rest.IsZero ? text : $"{text}.{rest.ToString("D9", CultureInfo.InvariantCulture).TrimEnd('0')}";
    }

    private static bool TryScale(string suffix, out BigInteger numerator, out BigInteger denominator)
    {
        (numerator, denominator) = (BigInteger.One, BigInteger.One);
        switch (suffix)
        {
            case "n": denominator = 1_000_000_000; return true;
            case "u": denominator = 1_000_000; return true;
            case "m": denominator = 1_000; return true;
            case "": return true;
            case "k": numerator = BigInteger.Pow(10, 3); return true;
            case "M": numerator = BigInteger.Pow(10, 6); return true;
            case "G": numerator = BigInteger.Pow(10, 9); return true;
            case "T": numerator = BigInteger.Pow(10, 12); return true;
            case "P": numerator = BigInteger.Pow(10, 15); return true;
            case "E": numerator = BigInteger.Pow(10, 18); return true;
            case "Ki": numerator = BigInteger.One << 10; return true;
            case "Mi": numerator = BigInteger.One << 20; return true;
            case "Gi": numerator = BigInteger.One << 30; return true;
            case "Ti": numerator = BigInteger.One << 40; return true;
            case "Pi": numerator = BigInteger.One << 50; return true;
            case "Ei": numerator = BigInteger.One << 60; return true;
        }

        // What is left is an exponent of at most three digits: the pattern saw to it.
        int exponent = int.Parse(suffix.AsSpan(1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (Math.Abs(exponent) > 40)
            return false;

        if (exponent >= 0)
            numerator = BigInteger.Pow(10, exponent);
        else
            denominator = BigInteger.Pow(10, -exponent);
        return true;
    }

    [GeneratedRegex(@"\A\+?(?<whole>[0-9]*)(\.(?<fraction>[0-9]*))?(?<suffix>[eE][+-]?[0-9]{1,3}|[KMGTPE]i|[numkMGTPE])?\z")]
    private static partial Regex Form();
}
