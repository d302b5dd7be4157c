using System.Globalization;
using System.Text.Json;

namespace Rynxs.Cli.Output;

/// <summary>A filter: <c>@.a == "x"</c>, <c>@.n &gt; 3</c>, or <c>@.a</c> alone for "is there".</summary>
internal sealed record JsonPathFilter : JsonPathExpression.Step
{
    private static readonly string[] Operators = ["==", "!=", "<=", ">=", "<", ">"];

    private readonly JsonPathExpression _left;
    private readonly string _operator;
    private readonly JsonPathExpression? _right;
    private readonly string? _literal;

    private JsonPathFilter(JsonPathExpression left, string comparison, JsonPathExpression? right, string? literal)
    {
        _left = left;
        _operator = comparison;
        _right = right;
        _literal = literal;
    }

    public static JsonPathFilter Parse(string text)
    {
        (int at, string comparison) = Find(text);
        if (at < 0)
        {
            return new JsonPathFilter(JsonPathExpression.Parse(text), "", null, null);
        }

        string left = text[..at].Trim(), right = text[(at + comparison.Length)..].Trim();
        if (left.Length == 0 || right.Length == 0)
        {
            throw new FormatException($"?({text}): something is missing beside '{comparison}'");
        }

        bool path = right[0] is '@' or '$';
        string literal = right[0] is '"' or '\'' ? JsonPathExpression.Unquote(right) : right;
        return new JsonPathFilter(JsonPathExpression.Parse(left), comparison, path ? JsonPathExpression.Parse(right) : null, path ? null : literal);
    }

    public override IEnumerable<JsonElement> Take(JsonElement value) => Children(value).Where(Holds);

    private bool Holds(JsonElement item)
    {
        IReadOnlyList<JsonElement> found = _left.Evaluate(item, item);
        if (_operator.Length == 0)
        {
            return found.Count > 0;
        }

        string? right = _right is null ? _literal : _right.Evaluate(item, item) is [JsonElement other, ..] ? JsonPathTemplate.Print(other) : null;
        if (found is not [JsonElement first, ..] || right is null)
        {
            return false;
        }

        string left = JsonPathTemplate.Print(first);
        int order = double.TryParse(left, NumberStyles.Float, CultureInfo.InvariantCulture, out double a)
            && double.TryParse(right, NumberStyles.Float, CultureInfo.InvariantCulture, out double b) ? a.CompareTo(b) : string.CompareOrdinal(left, right);
        return _operator switch
        {
            "==" => order == 0,
            "!=" => order != 0,
            "<" => order < 0,
            "<=" => order <= 0,
            ">" => order > 0,
            _ => order >= 0,
        };
    }

    private static (int At, string Operator) Find(string text)
    {
        char quote = '\0';
        for (int i = 0; i < text.Length; i++)
        {
            if (quote != '\0')
            {
                quote = text[i] == quote ? '\0' : quote;
            }
            else if (text[i] is '"' or '\'')
            {
                quote = text[i];
            }
            else if (Operators.FirstOrDefault(candidate => string.CompareOrdinal(text, i, candidate, 0, candidate.Length) == 0) is { } found)
            {
                return (i, found);
            }
        }

        return (-1, "");
    }
}
