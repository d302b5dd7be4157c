using System.Diagnostics.CodeAnalysis;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Operators of CEL. Integers that overflow are errors, not other integers.</summary>
[SuppressMessage("Performance", "CA1859", Justification = "A CEL value is any object, errors included.")]
internal static class Operators
{
    private static readonly CelError Overflow = new("integer overflow");
    private static readonly CelError DividedByZero = new("division by zero");

    public static bool TryUnary(string name, object? value, out object? result)
    {
        result = name switch
        {
            "!" => value is bool flag ? !flag : NoOverload(name, value),
            "neg" => value switch
            {
                long.MinValue => Overflow,
                long number => -number,
                double number => -number,
                TimeSpan duration when duration != TimeSpan.MinValue => -duration,
                _ => NoOverload("-", value),
            },
            _ => null,
        };
        return name is "!" or "neg";
    }

    public static bool TryBinary(string name, object? a, object? b, CelBudget budget, out object? result)
    {
        switch (name)
        {
            case "==":
                result = Equality.Same(a, b, budget);
                return true;
            case "!=":
                result = !Equality.Same(a, b, budget);
                return true;
            case "<" or "<=" or ">" or ">=":
                result = Order(name, a, b, budget);
                return true;
            case "+" or "-" or "*" or "/" or "%":
                result = Arithmetic(name, a, b, budget);
                return true;
            case "in":
                result = In(a, b, budget);
                return true;
            case "[]":
                result = Index(a, b, optional: false);
                return true;
            case "[?]":
                result = Index(a, b, optional: true);
                return true;
            default:
                result = null;
                return false;
        }
    }

    public static CelError NoOverload(string name, params ReadOnlySpan<object?> values)
    {
        List<string> types = [];
        foreach (object? value in values)
            types.Add(CelValues.TypeName(value));
        return new CelError($"no such overload: {name}({string.Join(", ", types)})");
    }

    private static object Order(string name, object? a, object? b, CelBudget budget)
    {
        if (Equality.Compare(a, b, budget) is not { } order)
            return a is double && b is long or ulong or double || b is double && a is long or ulong ? false : NoOverload(name, a, b);
        return name switch { "<" => order < 0, "<=" => order <= 0, ">" => order > 0, _ => order >= 0 };
    }

    private static object Arithmetic(string name, object? a, object? b, CelBudget budget)
    {
        switch (a, b)
        {
            case (long x, long y):
                return Integers(name, x, y);
            case (ulong x, ulong y):
                return Unsigned(name, x, y);
            case (double x, double y) when name != "%":
                return name switch { "+" => x + y, "-" => x - y, "*" => x * y, _ => x / y };
            case (string x, string y) when name == "+":
                return Sized(x.Length + (long)y.Length, budget) ?? (object)(x + y);
            case (byte[] x, byte[] y) when name == "+":
                return Sized(x.Length + (long)y.Length, budget) ?? (object)(byte[])[.. x, .. y];
            case (CelList x, CelList y) when name == "+":
                return Sized((x.Items.Count + (long)y.Items.Count) * 10, budget) ?? Join(x, y, budget);
            default:
                return Times(name, a, b);
        }
    }

    /// <summary>Null when the size is allowed; it is paid for.</summary>
    public static object? Sized(long size, CelBudget budget)
    {
        if (size > CelBudget.MaxSize)
            throw new CelBudgetException();
        budget.Take(size / 10);
        return null;
    }

    private static object Join(CelList x, CelList y, CelBudget budget)
    {
        if (x.Schema?.ListType != ListType.Set)
            return new CelList([.. x.Items, .. y.Items]);
        List<object?> union = [.. x.Items];
        foreach (object? item in y.Items)
        {
            if (!union.Any(known => Equality.Same(known, item, budget)))
                union.Add(item);
        }

        return new CelList(union, x.Schema);
    }

    private static object Times(string name, object? a, object? b)
    {
        try
        {
            return (name, a, b) switch
            {
                ("+", TimeSpan x, TimeSpan y) => x + y,
                ("-", TimeSpan x, TimeSpan y) => x - y,
                ("+", DateTimeOffset x, TimeSpan y) => x + y,
                ("+", TimeSpan x, DateTimeOffset y) => y + x,
                ("-", DateTimeOffset x, TimeSpan y) => x - y,
                ("-", DateTimeOffset x, DateTimeOffset y) => x - y,
                _ => NoOverload(name, a, b),
            };
        }
        catch (OverflowException)
        {
            return new CelError("duration out of range");
        }
        catch (ArgumentOutOfRangeException)
        {
            return new CelError("timestamp out of range");
        }
    }

    private static object Integers(string name, long x, long y)
    {
        if (name is "/" or "%")
        {
            if (y == 0)
                return name == "/" ? DividedByZero : new CelError("modulus by zero");
            if (x == long.MinValue && y == -1)
                return Overflow;
            return name == "/" ? x / y : x % y;
        }

        Int128 exact = name switch { "+" => (Int128)x + y, "-" => (Int128)x - y, _ => (Int128)x * y };
        return exact < long.MinValue || exact > long.MaxValue ? Overflow : (long)exact;
    }

    private static object Unsigned(string name, ulong x, ulong y)
    {
        if (name is "/" or "%")
        {
            if (y == 0)
                return name == "/" ? DividedByZero : new CelError("modulus by zero");
            return name == "/" ? x / y : x % y;
        }

        Int128 exact = name switch { "+" => (Int128)x + y, "-" => (Int128)x - y, _ => (Int128)0 };
        if (name == "*")
            return Math.BigMul(x, y, out ulong low) == 0 ? low : new CelError("unsigned integer overflow");
        return exact < 0 || exact > ulong.MaxValue ? new CelError("unsigned integer overflow") : (ulong)exact;
    }

    private static object In(object? item, object? place, CelBudget budget)
    {
        switch (place)
        {
            case CelList list:
                foreach (object? candidate in list.Items)
                {
                    if (Equality.Same(item, candidate, budget))
                        return true;
                }

                return false;
            case CelMap map:
                return item is not null && map.TryGet(item, out _);
            default:
                return NoOverload("@in", item, place);
        }
    }

    private static object? Index(object? place, object? index, bool optional)
    {
        if (place is CelOptional option)
        {
            if (!option.Present)
                return CelOptional.None;
            (place, optional) = (option.Value, true);
        }

        switch (place)
        {
            case CelList list:
                long? at = index switch { long number => number, ulong number when number <= int.MaxValue => (long)number, double number when number == Math.Floor(number) && Math.Abs(number) < 1e15 => (long)number, _ => null };
                if (at is null)
                    return NoOverload("_[_]", place, index);
                if (at >= 0 && at < list.Items.Count)
                    return optional ? new CelOptional(list.Items[(int)at], true) : list.Items[(int)at];
                return optional ? CelOptional.None : new CelError($"index out of bounds: {at}");
            case CelMap map:
                if (index is not null && map.TryGet(index, out object? value))
                    return optional ? new CelOptional(value, true) : value;
                return optional ? CelOptional.None : new CelError($"no such key: {index}");
            default:
                return NoOverload("_[_]", place, index);
        }
    }
}
