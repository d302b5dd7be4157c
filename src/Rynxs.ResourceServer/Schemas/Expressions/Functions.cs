using System.Globalization;
using System.Text;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Functions that stand alone: sizes, conversions, sets.</summary>
internal static class Functions
{
    public static object? Call(string name, object?[] arguments, CelBudget budget)
    {
        object? first = arguments.Length > 0 ? arguments[0] : null;
        return name switch
        {
            "size" => Size(first, budget),
            "int" => Int(first),
            "uint" => Uint(first),
            "double" => Double(first),
            "string" => Text(first),
            "bool" => first switch
            {
                bool => first,
                "true" or "True" or "TRUE" or "t" or "1" => true,
                "false" or "False" or "FALSE" or "f" or "0" => false,
                string => new CelError("type conversion error from 'string' to 'bool'"),
                _ => Operators.NoOverload(name, first),
            },
            "bytes" => first switch { byte[] => first, string text => Bytes(text, budget), _ => Operators.NoOverload(name, first) },
            "duration" => first switch
            {
                TimeSpan => first,
                string text => GoDuration.TryParse(text, out TimeSpan duration) ? duration : new CelError("type conversion error from 'string' to 'google.protobuf.Duration'"),
                _ => Operators.NoOverload(name, first),
            },
            "timestamp" => first switch
            {
                DateTimeOffset => first,
                string text => (object?)CelValues.Timestamp(text) ?? new CelError("type conversion error from 'string' to 'google.protobuf.Timestamp'"),
                long seconds when seconds is >= -62135596800 and <= 253402300799 => DateTimeOffset.FromUnixTimeSeconds(seconds),
                _ => Operators.NoOverload(name, first),
            },
            "type" => new CelType(CelValues.TypeName(first)),
            "dyn" => first,
            "matches" => Methods.Call("matches", first, [arguments[1]], budget),
            "quantity" => Quantity(first),
            "isQuantity" => first is string ? Quantity(first) is CelQuantity : Operators.NoOverload(name, first),
            "isURL" => first is string url ? ValueFormats.Holds("uri", url) : Operators.NoOverload(name, first),
            "isIP" => first is string ip ? ValueFormats.Holds("ipv4", ip) || ValueFormats.Holds("ipv6", ip) : Operators.NoOverload(name, first),
            "isCIDR" => first is string cidr ? ValueFormats.Holds("cidr", cidr) : Operators.NoOverload(name, first),
            "optional.of" => new CelOptional(first, true),
            "optional.none" => CelOptional.None,
            "optional.ofNonZeroValue" => IsZero(first) ? CelOptional.None : new CelOptional(first, true),
            "sets.contains" or "sets.equivalent" or "sets.intersects" => Sets(name, first, arguments[1], budget),
            "math.greatest" or "math.least" => Extreme(arguments is [CelList list] ? list.Items : arguments, name == "math.greatest", budget),
            _ => new CelError($"no such overload: {name}"),
        };
    }

    public static object Size(object? value, CelBudget budget)
    {
        switch (value)
        {
            case string text:
                budget.Take(text.Length / 10);
                long count = 0;
                foreach (char c in text)
                    count += char.IsLowSurrogate(c) ? 0 : 1;
                return count;
            case byte[] bytes:
                return (long)bytes.Length;
            case CelList list:
                return (long)list.Items.Count;
            case CelMap map:
                return (long)map.Count;
            default:
                return Operators.NoOverload("size", value);
        }
    }

    /// <summary>Smallest or largest of some values that have an order.</summary>
    public static object? Extreme(IReadOnlyList<object?> values, bool largest, CelBudget budget)
    {
        if (values.Count == 0)
            return new CelError($"{(largest ? "max" : "min")} called on empty list");
        object? best = values[0];
        for (int i = 1; i < values.Count; i++)
        {
            budget.Take(1);
            object? candidate = values[i];
            if (Equality.Compare(candidate, best, budget) is not { } order)
                return Operators.NoOverload(largest ? "max" : "min", candidate, best);
            if (largest ? order > 0 : order < 0)
                best = candidate;
        }

        return best;
    }

    public static object Text(object? value) => value switch
    {
        string => value,
        bool flag => flag ? "true" : "false",
        long number => number.ToString(CultureInfo.InvariantCulture),
        ulong number => number.ToString(CultureInfo.InvariantCulture),
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        byte[] bytes => Utf8(bytes),
        TimeSpan duration => GoDuration.Seconds(duration),
        DateTimeOffset time => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture),
        CelType type => type.Name,
        CelQuantity quantity => quantity.Amount.ToString(CultureInfo.InvariantCulture),
        _ => Operators.NoOverload("string", value),
    };

    private static object Utf8(byte[] bytes)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return new CelError("invalid UTF-8 in bytes, cannot convert to string");
        }
    }

    private static object Bytes(string text, CelBudget budget) => Operators.Sized(text.Length, budget) ?? Encoding.UTF8.GetBytes(text);

    private static object Int(object? value) => value switch
    {
        long => value,
        ulong number => number <= long.MaxValue ? (long)number : new CelError("integer overflow"),
        double number => number is > -9223372036854775808d and < 9223372036854775808d ? (long)number : new CelError("integer overflow"),
        string text => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
            ? number : new CelError("type conversion error from 'string' to 'int'"),
        DateTimeOffset time => time.ToUnixTimeSeconds(),
        _ => Operators.NoOverload("int", value),
    };

    private static object Uint(object? value) => value switch
    {
        ulong => value,
        long number => number >= 0 ? (ulong)number : new CelError("unsigned integer overflow"),
        double number => number is >= 0 and < 18446744073709551616d ? (ulong)number : new CelError("unsigned integer overflow"),
        string text => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            ? number : new CelError("type conversion error from 'string' to 'uint'"),
        _ => Operators.NoOverload("uint", value),
    };

    private static object Double(object? value) => value switch
    {
        double => value,
        long number => (double)number,
        ulong number => (double)number,
        string text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
            ? number : new CelError("type conversion error from 'string' to 'double'"),
        _ => Operators.NoOverload("double", value),
    };

    private static object Quantity(object? value) => value is string text
        ? QuantityText.TryParse(text, out decimal amount)
            ? new CelQuantity(amount)
            : new CelError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
        : Operators.NoOverload("quantity", value);

    private static bool IsZero(object? value) => value switch
    {
        null => true,
        bool flag => !flag,
        long number => number == 0,
        ulong number => number == 0,
        double number => number == 0,
        string text => text.Length == 0,
        byte[] bytes => bytes.Length == 0,
        CelList list => list.Items.Count == 0,
        CelMap map => map.Count == 0,
        TimeSpan duration => duration == TimeSpan.Zero,
        _ => false,
    };

    private static object Sets(string name, object? a, object? b, CelBudget budget)
    {
        if (a is not CelList x || b is not CelList y)
            return Operators.NoOverload(name, a, b);
        return name switch
        {
            "sets.contains" => Contains(x, y),
            "sets.equivalent" => Contains(x, y) && Contains(y, x),
            _ => x.Items.Any(item => y.Items.Any(other => Equality.Same(item, other, budget))),
        };

        bool Contains(CelList whole, CelList part) => part.Items.All(item => whole.Items.Any(other => Equality.Same(item, other, budget)));
    }
}

/// <summary>Kubernetes quantities within the range of decimal.</summary>
internal static class QuantityText
{
    private const int MaxLength = 40;
    private static readonly string[] Binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    private const string Decimal = "numkMGTPE";

    public static bool TryParse(string text, out decimal amount)
    {
        amount = 0;
        if (text.Length is 0 or > MaxLength)
            return false;
        int end = 0;
        while (end < text.Length && (char.IsAsciiDigit(text[end]) || text[end] == '.' || end == 0 && text[end] is '+' or '-'))
            end++;
        if (!decimal.TryParse(text.AsSpan(0, end), NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
            return false;
        string suffix = text[end..];
        try
        {
            amount = number * Factor(suffix);
            return true;
        }
        catch (Exception e) when (e is OverflowException or FormatException)
        {
            return false;
        }
    }

    private static decimal Factor(string suffix)
    {
        int binary = Array.IndexOf(Binary, suffix);
        if (suffix.Length == 0)
            return 1;
        if (binary >= 0)
            return Power(1024, binary + 1);
        if (suffix.Length == 1 && Decimal.IndexOf(suffix[0], StringComparison.Ordinal) is var at and >= 0)
        {
            // Units above one begin at k, the fourth.
            return suffix[0] switch { 'n' => 1e-9m, 'u' => 1e-6m, 'm' => 1e-3m, _ => Power(1000, at - 2) };
        }

        if (suffix[0] is 'e' or 'E' && int.TryParse(suffix.AsSpan(1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int exponent) && Math.Abs(exponent) <= 28)
            return exponent >= 0 ? Power(10, exponent) : 1 / Power(10, -exponent);
        throw new FormatException(suffix);
    }

    private static decimal Power(decimal number, int exponent)
    {
        decimal result = 1;
        for (int i = 0; i < exponent; i++)
            result *= number;
        return result;
    }
}
