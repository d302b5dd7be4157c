using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>
/// Values are null, bool, long, ulong, double, string, byte[], <see cref="TimeSpan"/>, <see cref="DateTimeOffset"/>, and those below. An error is a value,
/// too: it passes through what it touches, but <c>||</c> and <c>&amp;&amp;</c> may not need it.
/// </summary>
internal sealed record CelError(string Message);

internal sealed record CelType(string Name);

/// <summary>A Kubernetes quantity, exact within the range of decimal.</summary>
internal sealed record CelQuantity(decimal Amount);

/// <summary><c>optional.of(v)</c>, or <c>optional.none()</c> when there is none.</summary>
internal sealed record CelOptional(object? Value, bool Present)
{
    public static readonly CelOptional None = new(null, false);
}

/// <summary>A list; one from a document knows its schema, which decides how it is compared.</summary>
internal sealed class CelList(IReadOnlyList<object?> items, StructuralSchema? schema = null)
{
    public IReadOnlyList<object?> Items => items;

    public StructuralSchema? Schema => schema;
}

/// <summary>A map with keys of any scalar, or an object of a document.</summary>
internal abstract class CelMap
{
    public abstract int Count { get; }

    public abstract IEnumerable<object> Keys { get; }

    public abstract bool TryGet(object key, out object? value);
}

internal sealed class CelLiteralMap(Dictionary<object, object?> entries) : CelMap
{
    public override int Count => entries.Count;

    public override IEnumerable<object> Keys => entries.Keys;

    public override bool TryGet(object key, out object? value) => entries.TryGetValue(Key(key), out value);

    /// <summary>Numbers of all types that are equal are one key.</summary>
    public static object Key(object key) => key switch
    {
        ulong number when number <= long.MaxValue => (long)number,
        double number when number == Math.Floor(number) && Math.Abs(number) < 9e18 => (long)number,
        _ => key,
    };
}

internal sealed class CelObject(JsonObject document, StructuralSchema? schema) : CelMap
{
    public override int Count => document.Count;

    public override IEnumerable<object> Keys => document.Select(pair => (object)pair.Key);

    public override bool TryGet(object key, out object? value)
    {
        value = null;
        if (key is not string name || !document.TryGetPropertyValue(name, out JsonNode? node))
            return false;
        value = CelValues.From(node, schema?.Properties.GetValueOrDefault(name) ?? schema?.AdditionalProperties);
        return true;
    }
}

/// <summary>From documents to values.</summary>
internal static class CelValues
{
    /// <summary>What a place of a document is in CEL: strings of some formats are times and durations, numbers are what the schema says.</summary>
    public static object? From(JsonNode? node, StructuralSchema? schema) => node switch
    {
        null => null,
        JsonObject map => new CelObject(map, schema),
        JsonArray list => new CelList(new LazyItems(list, schema?.Items), schema),
        _ => node.GetValueKind() switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.String => Text(node.GetValue<string>(), schema),
            _ => Number(node, schema),
        },
    };

    private static object? Text(string text, StructuralSchema? schema)
    {
        if (schema is not { Type: SchemaType.String } || schema.Format.Length == 0)
            return text;
        switch (schema.Format)
        {
            case "date-time" or "datetime" when Timestamp(text) is { } time:
                return time;
            case "date" when Timestamp(text + "T00:00:00Z") is { } day:
                return day;
            case "duration" when GoDuration.TryParse(text, out TimeSpan duration):
                return duration;
            case "byte":
                Span<byte> bytes = new byte[text.Length];
                return Convert.TryFromBase64String(text, bytes, out int written) ? bytes[..written].ToArray() : text;
            default:
                return text;
        }
    }

    private static object? Number(JsonNode node, StructuralSchema? schema)
    {
        bool integral = schema?.Type switch
        {
            SchemaType.Number => false,
            SchemaType.Integer or SchemaType.IntOrString => true,
            _ => node.IsIntegerLiteral(),
        };
        if (integral && node.TryInteger(out long integer))
            return integer;
        return node.TryNumber(out double number) ? number : null;
    }

    public static DateTimeOffset? Timestamp(string text) =>
        ValueFormats.Holds("date-time", text) && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time) ? time : null;

    public static string TypeName(object? value) => value switch
    {
        null => "null_type",
        bool => "bool",
        long => "int",
        ulong => "uint",
        double => "double",
        string => "string",
        byte[] => "bytes",
        TimeSpan => "google.protobuf.Duration",
        DateTimeOffset => "google.protobuf.Timestamp",
        CelList => "list",
        CelMap => "map",
        CelType => "type",
        CelOptional => "optional_type",
        CelQuantity => "kubernetes.Quantity",
        _ => "unknown",
    };

    /// <summary>Items are made when they are looked at: a rule about a list's length does not pay for the list.</summary>
    private sealed class LazyItems(JsonArray list, StructuralSchema? schema) : IReadOnlyList<object?>
    {
        public object? this[int index] => From(list[index], schema);

        public int Count => list.Count;

        public IEnumerator<object?> GetEnumerator() => list.Select(item => From(item, schema)).GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
