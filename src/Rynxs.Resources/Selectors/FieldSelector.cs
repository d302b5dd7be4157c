using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Selectors;

/// <summary>
/// A field selector: <c>path=value</c>, <c>path==value</c> and <c>path!=value</c> with commas between. An unset field has the empty value. A backslash takes
/// a comma, an equals sign or a backslash into the value.
/// </summary>
public sealed class FieldSelector
{
    private const int MaxLength = 4096;
    private readonly IReadOnlyList<(Func<Resource, string?> Read, string Value, bool Equal)> _terms;

    private FieldSelector(IReadOnlyList<(Func<Resource, string?>, string, bool)> terms) => _terms = terms;

    /// <summary>Matches everything.</summary>
    public static FieldSelector Everything { get; } = new([]);

    /// <summary>Parses; null and empty text match everything.</summary>
    /// <exception cref="ResourceException"><c>BadRequest</c>, with the fields that the kind has.</exception>
    public static FieldSelector Parse(string? text, ResourceType type)
    {
        if (string.IsNullOrWhiteSpace(text))
            return Everything;
        if (text.Length > MaxLength)
            throw new ResourceException(ResourceErrorReason.BadRequest, $"unable to parse the field selector: longer than {MaxLength} characters");

        List<(Func<Resource, string?>, string, bool)> terms = [];
        foreach (string term in Split(text))
        {
            int equals = term.IndexOf('=', StringComparison.Ordinal);
            if (equals < 1)
                throw new ResourceException(ResourceErrorReason.BadRequest, $"unable to parse the field selector: {BadValue.Quote(term)} is not path=value");

            bool negated = term[equals - 1] == '!';
            string path = term[..(negated ? equals - 1 : equals)].Trim();
            string value = term[(equals + 1)..];
            if (!negated && value.StartsWith('='))
                value = value[1..];
            terms.Add((Reader(path, type), Unescape(value.Trim()), !negated));
        }

        return new FieldSelector(terms);
    }

    /// <summary>Whether the object is selected.</summary>
    public bool Matches(Resource resource) => _terms.All(term => ((term.Read(resource) ?? "") == term.Value) == term.Equal);

    private static Func<Resource, string?> Reader(string path, ResourceType type)
    {
        if (path == "metadata.name")
            return resource => resource.Metadata.Name;
        if (path == "metadata.namespace" && type.Namespaced)
            return resource => resource.Metadata.Namespace;
        if (type.SelectableFields.TryGetValue(path, out Func<Resource, string?>? read))
            return read;

        string[] known = ["metadata.name", .. type.Namespaced ? ["metadata.namespace"] : Array.Empty<string>(), .. type.SelectableFields.Keys];
        throw new ResourceException(ResourceErrorReason.BadRequest,
            $"field label not supported: {BadValue.Quote(path)}{Suggestion.For(path, known)}; {type.Plural} have {string.Join(", ", known)}");
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
