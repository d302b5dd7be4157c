using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>How a step of a field path chooses a child.</summary>
internal enum PathElementKind
{
    /// <summary>By name, from an object.</summary>
    Field,

    /// <summary>By the values of its key fields, from a list of maps.</summary>
    Key,

    /// <summary>By its own value, from a set.</summary>
    Value,

    /// <summary>By its place; only ever read, for atomic lists have no paths below them.</summary>
    Index,
}

/// <summary>One step of a field path. Two steps are the same when kind and text are, which is what the canonical spelling is for.</summary>
/// <param name="Kind">How it chooses.</param>
/// <param name="Text">A field's name; the canonical JSON of a key or a value; an index in decimal.</param>
internal readonly record struct PathElement(PathElementKind Kind, string Text)
{
    public static PathElement Field(string name) => new(PathElementKind.Field, name);

    public static PathElement Key(JsonObject fields) => new(PathElementKind.Key, DocumentValue.Canonical(fields));

    public static PathElement Value(JsonNode? value) => new(PathElementKind.Value, DocumentValue.Canonical(value));

    public static PathElement Index(int index) => new(PathElementKind.Index, index.ToString(CultureInfo.InvariantCulture));

    /// <summary>From its form in fieldsV1; null for a kind of step that does not exist (yet), which readers skip.</summary>
    /// <exception cref="FormatException">It is malformed.</exception>
    public static PathElement? Parse(string text)
    {
        if (text.Length < 2 || text[1] != ':')
            throw new FormatException($"missing colon: {text}");

        string content = text[2..];
        try
        {
            switch (text[0])
            {
                case 'f':
                    return Field(content);
                case 'v':
                    return Value(JsonNode.Parse(content, documentOptions: Strict));
                case 'k':
                    return JsonNode.Parse(content, documentOptions: Strict) is JsonObject fields ? Key(fields) : throw new FormatException("a key is an object");
                case 'i':
                    return Index(int.Parse(content, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture));
                default:
                    return null;
            }
        }
        catch (Exception e) when (e is JsonException or OverflowException)
        {
            throw new FormatException($"parsing key as path element: {e.Message}", e);
        }
    }

    /// <summary>Its form in fieldsV1.</summary>
    public string Encoded => Kind switch
    {
        PathElementKind.Field => "f:" + Text,
        PathElementKind.Key => "k:" + Text,
        PathElementKind.Value => "v:" + Text,
        _ => "i:" + Text,
    };

    /// <summary>As messages spell it: <c>.name</c>, <c>[key="a"]</c>, <c>[="a"]</c>, <c>[0]</c>.</summary>
    public override string ToString() => Kind switch
    {
        PathElementKind.Field => "." + Text,
        PathElementKind.Key => "[" + string.Join(",", ((JsonObject)Parsed()!).Select(field => field.Key + "=" + DocumentValue.InPath(field.Value))) + "]",
        PathElementKind.Value => "[=" + DocumentValue.InPath(Parsed()) + "]",
        _ => "[" + Text + "]",
    };

    /// <summary>Fields, keys, values, indices; within a kind by value. Parses each text once.</summary>
    public static List<PathElement> Sorted(IEnumerable<PathElement> elements)
    {
        List<(PathElement Element, JsonNode? Parsed)> decorated = [.. elements.Select(element => (element, element.Kind == PathElementKind.Field ? null : element.Parsed()))];
        decorated.Sort(static (a, b) =>
        {
            int order = a.Element.Kind.CompareTo(b.Element.Kind);
            if (order != 0)
                return order;
            return a.Element.Kind == PathElementKind.Field
                ? DocumentValue.CompareText(a.Element.Text, b.Element.Text)
                : DocumentValue.Compare(a.Parsed, b.Parsed);
        });
        return [.. decorated.Select(pair => pair.Element)];
    }

    private JsonNode? Parsed() => JsonNode.Parse(Text);

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };
}
