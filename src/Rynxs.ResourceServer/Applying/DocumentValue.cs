using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// Equality, order and spelling of JSON values as the real server has them: 1 and 1.0 are the same number, integers beyond 64 bits are floating
/// point, texts are ordered by their UTF-8 bytes.
/// </summary>
internal static class DocumentValue
{
    public static bool Same(JsonNode? left, JsonNode? right)
    {
        switch (left, right)
        {
            case (null, null):
                return true;
            case (JsonObject a, JsonObject b):
                if (a.Count != b.Count)
                    return false;
                foreach ((string name, JsonNode? value) in a)
                {
                    if (!b.TryGetPropertyValue(name, out JsonNode? other) || !Same(value, other))
                        return false;
                }

                return true;
            case (JsonArray a, JsonArray b):
                if (a.Count != b.Count)
                    return false;
                for (int i = 0; i < a.Count; i++)
                {
                    if (!Same(a[i], b[i]))
                        return false;
                }

                return true;
            case (JsonValue a, JsonValue b):
                return Compare(a, b) == 0;
            default:
                return false;
        }
    }

    /// <summary>Numbers, texts, booleans, lists, maps, null: in this order, and by value within each.</summary>
    public static int Compare(JsonNode? left, JsonNode? right)
    {
        int rank = Rank(left).CompareTo(Rank(right));
        if (rank != 0)
            return rank;
        return (left, right) switch
        {
            (JsonArray a, JsonArray b) => CompareLists(a, b),
            (JsonObject a, JsonObject b) => CompareMaps(a, b),
            (JsonValue a, JsonValue b) => CompareScalars(a, b),
            _ => 0,
        };
    }

    /// <summary>By UTF-8 bytes, which differs from UTF-16 order where surrogates meet the end of the basic plane.</summary>
    public static int CompareText(string left, string right)
    {
        int shared = Math.Min(left.Length, right.Length);
        for (int i = 0; i < shared; i++)
        {
            char a = left[i];
            char b = right[i];
            if (a == b)
                continue;
            if (char.IsSurrogate(a) != char.IsSurrogate(b))
                return char.IsSurrogate(a) ? 1 : -1;
            return a.CompareTo(b);
        }

        return left.Length.CompareTo(right.Length);
    }

    /// <summary>One text for each value, so that texts can stand for values in keys: JSON with sorted names and the real server's escapes.</summary>
    public static string Canonical(JsonNode? value)
    {
        StringBuilder text = new();
        AppendCanonical(text, value);
        return text.ToString();
    }

    /// <summary>As paths in messages spell it: quoted texts, bare numbers.</summary>
    public static string InPath(JsonNode? value) => value switch
    {
        JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String => GoText.Quote(Text(scalar)),
        JsonObject map => "{" + string.Join(";", map.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => member.Key + "=" + InPath(member.Value))) + "}",
        JsonArray list => "[" + string.Join(",", list.Select(InPath)) + "]",
        null => "null",
        _ => Canonical(value),
    };

    public static bool IsScalar(JsonNode? value) => value is JsonValue;

    public static bool IsNumber(JsonNode? value) => value is JsonValue scalar && scalar.GetValueKind() == JsonValueKind.Number;

    public static bool IsText(JsonNode? value) => value is JsonValue scalar && scalar.GetValueKind() == JsonValueKind.String;

    public static bool IsBoolean(JsonNode? value) => value is JsonValue scalar && scalar.GetValueKind() is JsonValueKind.True or JsonValueKind.False;

    /// <summary>The text of a text value. Some values hold a JsonElement, others a CLR string, and times hold neither.</summary>
    public static string Text(JsonValue value) =>
        value.TryGetValue(out string? text) ? text : JsonNode.Parse(value.ToJsonString())!.GetValue<string>(); // a text is never null

    /// <summary>The number as the real server decodes it: an integer where the text is one and fits 64 bits.</summary>
    public static (bool IsInteger, long Integer, double Floating) Number(JsonValue value)
    {
        if (value.TryGetValue(out long integer))
            return (true, integer, integer);
        if (value.TryGetValue(out int small))
            return (true, small, small);
        string text = value.ToJsonString();
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out integer))
            return (true, integer, integer);
        return (false, 0, double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture));
    }

    private static int Rank(JsonNode? value) => value switch
    {
        JsonValue scalar => scalar.GetValueKind() switch
        {
            JsonValueKind.Number => 0,
            JsonValueKind.String => 1,
            _ => 2,
        },
        JsonArray => 3,
        JsonObject => 4,
        _ => 5,
    };

    private static int CompareScalars(JsonValue left, JsonValue right)
    {
        switch (left.GetValueKind())
        {
            case JsonValueKind.Number:
                (bool aIsInteger, long a, double x) = Number(left);
                (bool bIsInteger, long b, double y) = Number(right);
                return aIsInteger && bIsInteger ? a.CompareTo(b) : x.CompareTo(y);
            case JsonValueKind.String:
                return CompareText(Text(left), Text(right));
            default:
                return (left.GetValueKind() == JsonValueKind.True).CompareTo(right.GetValueKind() == JsonValueKind.True);
        }
    }

    private static int CompareLists(JsonArray left, JsonArray right)
    {
        for (int i = 0; i < Math.Min(left.Count, right.Count); i++)
        {
            int order = Compare(left[i], right[i]);
            if (order != 0)
                return order;
        }

        return left.Count.CompareTo(right.Count);
    }

    private static int CompareMaps(JsonObject left, JsonObject right)
    {
        List<string> a = SortedNames(left);
        List<string> b = SortedNames(right);
        for (int i = 0; i < Math.Min(a.Count, b.Count); i++)
        {
            int order = CompareText(a[i], b[i]);
            if (order == 0)
                order = Compare(left[a[i]], right[b[i]]);
            if (order != 0)
                return order;
        }

        return a.Count.CompareTo(b.Count);
    }

    private static List<string> SortedNames(JsonObject map)
    {
        List<string> names = [.. map.Select(member => member.Key)];
        names.Sort(CompareText);
        return names;
    }

    private static void AppendCanonical(StringBuilder text, JsonNode? value)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case JsonObject map:
                text.Append('{');
                foreach (string name in SortedNames(map))
                {
                    if (text[^1] != '{')
                        text.Append(',');
                    GoText.AppendJson(text, name);
                    text.Append(':');
                    AppendCanonical(text, map[name]);
                }

                text.Append('}');
                break;
            case JsonArray list:
                text.Append('[');
                for (int i = 0; i < list.Count; i++)
                {
                    if (i > 0)
                        text.Append(',');
                    AppendCanonical(text, list[i]);
                }

                text.Append(']');
                break;
            case JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String:
                GoText.AppendJson(text, Text(scalar));
                break;
            case JsonValue scalar when scalar.GetValueKind() == JsonValueKind.Number:
                (bool isInteger, long integer, double floating) = Number(scalar);
                text.Append(isInteger ? integer.ToString(CultureInfo.InvariantCulture) : GoText.Number(floating));
                break;
            default:
                text.Append(IsTrue(value) ? "true" : "false");
                break;
        }
    }

    private static bool IsTrue(JsonNode value) => value.GetValueKind() == JsonValueKind.True;
}
