using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Listing;

/// <summary>One requirement of a field selector.</summary>
/// <param name="Path">As the selector names it.</param>
/// <param name="JsonPath">Where it is in the document; null for name and namespace, which the key tells.</param>
/// <param name="Value">What it is compared with.</param>
/// <param name="Equal">False for <c>!=</c>.</param>
internal sealed record FieldTerm(string Path, string? JsonPath, string Value, bool Equal)
{
    /// <summary>Whether the field has the value; an absent one has the empty value.</summary>
    public bool Holds(DocumentView view) => Value == Path switch
    {
        "metadata.name" => view.Key.Name,
        "metadata.namespace" => view.Key.Namespace,
        _ => view.Field(JsonPath ?? ""),
    };
}

/// <summary>Reads field selectors: <c>path=value</c>, <c>==</c> and <c>!=</c> with commas between; a backslash takes the next character as it is.</summary>
internal static class FieldTerms
{
    private const int MaxLength = 4096;

    /// <exception cref="ApiException">400, in the words of the real server.</exception>
    public static IReadOnlyList<FieldTerm> Parse(string? text, RegisteredKind kind)
    {
        if (string.IsNullOrEmpty(text))
            return [];
        if (text.Length > MaxLength)
            throw ApiErrors.BadRequest($"invalid selector: longer than {MaxLength} characters");
        List<FieldTerm> terms = [];
        foreach (string part in Split(text))
        {
            if (part.Length == 0)
                continue;
            if (!TrySplit(part, out string path, out string value, out bool equal))
                throw ApiErrors.BadRequest($"invalid selector: '{text}'; can't understand '{part}'");
            terms.Add(new FieldTerm(path, JsonPath(path, kind), Unescape(value), equal));
        }

        return terms;
    }

    private static string? JsonPath(string path, RegisteredKind kind)
    {
        if (path == "metadata.name" || (path == "metadata.namespace" && (kind.Kind.Namespaced || kind.Custom)))
            return null;
        if (kind.Kind.SelectableFields.TryGetValue(path, out string? jsonPath))
            return jsonPath;
        // The real server words it by whether the kind is one of its own.
        throw ApiErrors.BadRequest(kind.Custom ? $"field label not supported: {path}" : $"\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    }

    private static bool TrySplit(string part, out string path, out string value, out bool equal)
    {
        for (int i = 0; i < part.Length; i++)
        {
            if (part[i] == '\\')
            {
                i++;
                continue;
            }

            int length = part.AsSpan(i) switch
            {
                ['!', '=', ..] or ['=', '=', ..] => 2,
                ['=', ..] => 1,
                _ => 0,
            };
            if (length == 0)
                continue;
            (path, value, equal) = (part[..i], part[(i + length)..], part[i] != '!');
            return path.Length > 0;
        }

        (path, value, equal) = ("", "", false);
        return false;
    }

    private static IEnumerable<string> Split(string text)
    {
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\')
            {
                i++;
            }
            else if (text[i] == ',')
            {
                yield return text[start..i];
                start = i + 1;
            }
        }

        yield return text[start..];
    }

    private static string Unescape(string value)
    {
        System.Text.StringBuilder result = new(value.Length);
        for (int i = 0; i < value.Length; i++)
        {
            if (value[i] == '\\' && i + 1 < value.Length)
                i++;
            result.Append(value[i]);
        }

        return result.ToString();
    }
}
