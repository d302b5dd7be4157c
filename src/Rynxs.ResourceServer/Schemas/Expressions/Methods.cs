using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Functions that are called on a value.</summary>
[SuppressMessage("Performance", "CA1859", Justification = "A CEL value is any object, errors included.")]
internal static class Methods
{
    public static object? Call(string name, object? target, object?[] arguments, CelBudget budget) => target switch
    {
        string text => OnText(name, text, arguments, budget),
        CelOptional optional => OnOptional(name, optional, arguments),
        CelList list => OnList(name, list, arguments, budget),
        DateTimeOffset time => OnTime(name, time),
        TimeSpan duration => OnDuration(name, duration),
        CelQuantity quantity => OnQuantity(name, quantity, arguments),
        _ when name == "size" => Functions.Size(target, budget),
        _ => Operators.NoOverload(name, target),
    };

    private static object? OnText(string name, string text, object?[] arguments, CelBudget budget)
    {
        budget.Take(text.Length / 10);
        switch (name, arguments)
        {
            case ("size", []):
                return Functions.Size(text, budget);
            case ("startsWith", [string other]):
                return text.StartsWith(other, StringComparison.Ordinal);
            case ("endsWith", [string other]):
                return text.EndsWith(other, StringComparison.Ordinal);
            case ("contains", [string other]):
                budget.Take((long)text.Length * other.Length / 1000);
                return text.Contains(other, StringComparison.Ordinal);
            case ("matches", [string pattern]):
                budget.Take(Search(text, pattern));
                return Re2Pattern.TryGet(pattern, out Regex? regex, out string? problem) ? regex.IsMatch(text) : new CelError(problem);
            case ("lowerAscii", []):
                return Operators.Sized(text.Length, budget) ?? Map(text, c => char.IsAsciiLetterUpper(c) ? (char)(c | 0x20) : c);
            case ("upperAscii", []):
                return Operators.Sized(text.Length, budget) ?? Map(text, c => char.IsAsciiLetterLower(c) ? (char)(c & ~0x20) : c);
            case ("trim", []):
                return text.Trim();
            case ("replace", [string old, string by]):
                return Replace(text, old, by, -1, budget);
            case ("replace", [string old, string by, long times]):
                return Replace(text, old, by, times, budget);
            case ("split", [string separator]):
                return Split(text, separator, -1, budget);
            case ("split", [string separator, long parts]):
                return Split(text, separator, parts, budget);
            case ("substring", [long from]):
                return Substring(text, from, text.Length);
            case ("substring", [long from, long to]):
                return Substring(text, from, to);
            case ("charAt", [long at]):
                return at == text.Length ? "" : Substring(text, at, at + 1);
            case ("indexOf", [string other]):
                return (long)text.IndexOf(other, StringComparison.Ordinal);
            case ("indexOf", [string other, long from]):
                return from < 0 || from > text.Length ? new CelError($"index out of range: {from}") : (long)text.IndexOf(other, (int)from, StringComparison.Ordinal);
            case ("lastIndexOf", [string other]):
                return (long)text.LastIndexOf(other, StringComparison.Ordinal);
            case ("lastIndexOf", [string other, long to]):
                if (to < 0 || to > text.Length)
                    return new CelError($"index out of range: {to}");
                return (long)text[..(int)Math.Min(text.Length, to + other.Length)].LastIndexOf(other, StringComparison.Ordinal);
            case ("find", [string pattern]):
                return Find(text, pattern, budget);
            case ("findAll", [string pattern]):
                return FindAll(text, pattern, -1, budget);
            case ("findAll", [string pattern, long limit]):
                return FindAll(text, pattern, limit, budget);
            case ("format", [CelList values]):
                return Format(text, values, budget);
            case ("reverse", []):
                return Operators.Sized(text.Length, budget) ?? string.Concat(text.EnumerateRunes().Reverse().Select(rune => rune.ToString()));
            default:
                return Operators.NoOverload(name, [text, .. arguments]);
        }
    }

    private static long Search(string text, string pattern) => (long)(text.Length + 10) * Math.Max(1, pattern.Length / 10) / 10;

    private static object Map(string text, Func<char, char> map) => string.Create(text.Length, (text, map), static (span, state) =>
    {
        for (int i = 0; i < span.Length; i++)
            span[i] = state.map(state.text[i]);
    });

    private static object Replace(string text, string old, string by, long times, CelBudget budget)
    {
        if (times == 0)
            return text;
        if (old.Length == 0)
            return new CelError("replace of an empty text is not supported");
        StringBuilder result = new();
        int at = 0;
        while (times != 0 && text.IndexOf(old, at, StringComparison.Ordinal) is var next and >= 0)
        {
            Operators.Sized(result.Length + (next - at) + by.Length, budget);
            result.Append(text, at, next - at).Append(by);
            at = next + old.Length;
            times--;
        }

        Operators.Sized(result.Length + text.Length - at, budget);
        return result.Append(text, at, text.Length - at).ToString();
    }

    private static object Split(string text, string separator, long parts, CelBudget budget)
    {
        if (parts == 0)
            return new CelList([]);
        if (parts > int.MaxValue)
            parts = -1;
        string[] result = separator.Length == 0
            ? [.. text.EnumerateRunes().Select(rune => rune.ToString())]
            : parts < 0 ? text.Split(separator) : text.Split(separator, (int)parts);
        budget.Take(result.Length);
        return new CelList(result);
    }

    private static object Substring(string text, long from, long to)
    {
        if (from < 0 || from > text.Length)
            return new CelError($"index out of range: {from}");
        if (to < 0 || to > text.Length)
            return new CelError($"index out of range: {to}");
        return from > to ? new CelError($"invalid substring range. start: {from}, end: {to}") : text[(int)from..(int)to];
    }

    private static object Find(string text, string pattern, CelBudget budget)
    {
        budget.Take(Search(text, pattern));
        return Re2Pattern.TryGet(pattern, out Regex? regex, out string? problem) ? regex.Match(text).Value : new CelError(problem);
    }

    private static object FindAll(string text, string pattern, long limit, CelBudget budget)
    {
        budget.Take(Search(text, pattern));
        if (!Re2Pattern.TryGet(pattern, out Regex? regex, out string? problem))
            return new CelError(problem);
        List<object?> found = [];
        foreach (ValueMatch match in regex.EnumerateMatches(text))
        {
            if (limit >= 0 && found.Count >= limit)
                break;
            budget.Take(1);
            found.Add(text.Substring(match.Index, match.Length));
        }

        return new CelList(found);
    }

    /// <summary><c>%s</c>, <c>%d</c>, <c>%f</c> with a precision, <c>%%</c>.</summary>
    private static object Format(string text, CelList values, CelBudget budget)
    {
        StringBuilder result = new();
        int next = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '%' || i + 1 >= text.Length)
            {
                result.Append(text[i]);
                continue;
            }

            if (text[i + 1] == '%')
            {
                result.Append('%');
                i++;
                continue;
            }

            int precision = 6;
            if (text[i + 1] == '.')
            {
                int digits = i + 2;
                while (digits < text.Length && char.IsAsciiDigit(text[digits]) && digits < i + 4)
                    digits++;
                precision = int.TryParse(text.AsSpan(i + 2, digits - i - 2), NumberStyles.None, CultureInfo.InvariantCulture, out int given) ? given : 6;
                i = digits - 1;
            }

            if (i + 1 >= text.Length || next >= values.Items.Count)
                return new CelError("index out of range in format");
            object? value = values.Items[next++];
            object part = text[++i] switch
            {
                's' => Show(value, budget),
                'd' when value is long or ulong => Functions.Text(value),
                'f' when value is double number => number.ToString("F" + precision.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture),
                _ => new CelError($"could not parse formatting clause: unrecognized formatting clause \"{text[i]}\""),
            };
            if (part is not string words)
                return part;
            Operators.Sized(result.Length + words.Length, budget);
            result.Append(words);
        }

        return result.ToString();
    }

    private static object Show(object? value, CelBudget budget) => value switch
    {
        null => "null",
        CelList list => "[" + string.Join(", ", list.Items.Select(item =>
        {
            budget.Take(1);
            return Functions.Text(item) as string ?? CelValues.TypeName(item);
        })) + "]",
        _ => Functions.Text(value),
    };

    private static object? OnList(string name, CelList list, object?[] arguments, CelBudget budget)
    {
        budget.Take(name == "size" ? 0 : list.Items.Count);
        switch (name, arguments)
        {
            case ("size", []):
                return (long)list.Items.Count;
            case ("join", _) when arguments.Length == 0 || arguments[0] is string:
                return Join(list, arguments.Length == 0 ? "" : (string)(arguments[0] ?? ""), budget);
            case ("min", []):
                return Functions.Extreme(list.Items, largest: false, budget);
            case ("max", []):
                return Functions.Extreme(list.Items, largest: true, budget);
            case ("sum", []):
                object? sum = list.Items.Count == 0 ? 0L : list.Items[0];
                for (int i = 1; i < list.Items.Count && sum is not CelError; i++)
                    Operators.TryBinary("+", sum, list.Items[i], budget, out sum);
                return sum is long or ulong or double or TimeSpan or CelError ? sum : Operators.NoOverload(name, list);
            case ("isSorted", []):
                for (int i = 1; i < list.Items.Count; i++)
                {
                    if (Equality.Compare(list.Items[i - 1], list.Items[i], budget) is not { } order)
                        return Operators.NoOverload(name, list);
                    if (order > 0)
                        return false;
                }

                return true;
            case ("indexOf", [var item]):
                return Position(Enumerable.Range(0, list.Items.Count), item);
            case ("lastIndexOf", [var item]):
                return Position(Enumerable.Range(0, list.Items.Count).Reverse(), item);
            case ("reverse", []):
                return new CelList([.. list.Items.Reverse()]);
            default:
                return Operators.NoOverload(name, [list, .. arguments]);
        }

        long Position(IEnumerable<int> order, object? item)
        {
            foreach (int i in order)
            {
                if (Equality.Same(list.Items[i], item, budget))
                    return i;
            }

            return -1;
        }
    }

    private static object Join(CelList list, string separator, CelBudget budget)
    {
        StringBuilder result = new();
        for (int i = 0; i < list.Items.Count; i++)
        {
            if (list.Items[i] is not string item)
                return Operators.NoOverload("join", list);
            Operators.Sized(result.Length + (long)item.Length + separator.Length, budget);
            result.Append(i > 0 ? separator : "").Append(item);
        }

        return result.ToString();
    }

    private static object? OnOptional(string name, CelOptional optional, object?[] arguments) => (name, arguments) switch
    {
        ("hasValue", []) => optional.Present,
        ("value", []) => optional.Present ? optional.Value : new CelError("optional.none() dereference"),
        ("orValue", [var other]) => optional.Present ? optional.Value : other,
        ("or", [CelOptional other]) => optional.Present ? optional : other,
        _ => Operators.NoOverload(name, optional),
    };

    private static object OnTime(string name, DateTimeOffset time)
    {
        DateTime utc = time.UtcDateTime;
        return name switch
        {
            "getFullYear" => (long)utc.Year,
            "getMonth" => (long)utc.Month - 1,
            "getDate" => (long)utc.Day,
            "getDayOfMonth" => (long)utc.Day - 1,
            "getDayOfWeek" => (long)utc.DayOfWeek,
            "getDayOfYear" => (long)utc.DayOfYear - 1,
            "getHours" => (long)utc.Hour,
            "getMinutes" => (long)utc.Minute,
            "getSeconds" => (long)utc.Second,
            "getMilliseconds" => (long)utc.Millisecond,
            _ => Operators.NoOverload(name, time),
        };
    }

    private static object OnDuration(string name, TimeSpan duration) => name switch
    {
        "getHours" => (long)duration.TotalHours,
        "getMinutes" => (long)duration.TotalMinutes,
        "getSeconds" => (long)duration.TotalSeconds,
        "getMilliseconds" => (long)duration.Milliseconds,
        _ => Operators.NoOverload(name, duration),
    };

    private static object OnQuantity(string name, CelQuantity quantity, object?[] arguments)
    {
        CelQuantity? other = arguments is [CelQuantity given] ? given : arguments is [long number] ? new CelQuantity(number) : null;
        try
        {
            return (name, other) switch
            {
                ("isGreaterThan", { } than) => quantity.Amount > than.Amount,
                ("isLessThan", { } than) => quantity.Amount < than.Amount,
                ("compareTo", { } than) => (long)quantity.Amount.CompareTo(than.Amount),
                ("add", { } more) => new CelQuantity(quantity.Amount + more.Amount),
                ("sub", { } less) => new CelQuantity(quantity.Amount - less.Amount),
                ("sign", null) => (long)Math.Sign(quantity.Amount),
                ("isInteger", null) => quantity.Amount == decimal.Truncate(quantity.Amount) && quantity.Amount is >= long.MinValue and <= long.MaxValue,
                ("asInteger", null) => quantity.Amount == decimal.Truncate(quantity.Amount) && quantity.Amount is >= long.MinValue and <= long.MaxValue
                    ? (long)quantity.Amount
                    : new CelError("cannot convert value to integer"),
                ("asApproximateFloat", null) => (double)quantity.Amount,
                _ => Operators.NoOverload(name, quantity),
            };
        }
        catch (OverflowException)
        {
            return new CelError("quantity out of range");
        }
    }
}
