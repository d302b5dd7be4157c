using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Rynxs.Cli.Output;

/// <summary>
/// The JSONPath templates of kubectl: text with expressions in braces, <c>{range …}{end}</c>, and a bare path without braces. Errors name the place.
/// </summary>
internal sealed class JsonPathTemplate
{
    private readonly IReadOnlyList<Part> _parts;

    private JsonPathTemplate(IReadOnlyList<Part> parts) => _parts = parts;

    /// <exception cref="FormatException">Not a template.</exception>
    public static JsonPathTemplate Parse(string text)
    {
        // As kubectl: a path alone may leave out its braces, and its first dot.
        if (!text.Contains('{', StringComparison.Ordinal))
        {
            string bare = text.TrimStart();
            text = "{" + (bare.StartsWith('.') || bare.StartsWith('[') || bare.StartsWith('$') ? bare : "." + bare) + "}";
        }

        int at = 0;
        return new JsonPathTemplate(Parts(text, ref at, inRange: false));
    }

    public string Evaluate(JsonElement root)
    {
        var output = new StringBuilder();
        Write(_parts, root, root, output);
        return output.ToString();
    }

    /// <summary>The values of a single path, for columns and conditions.</summary>
    public IReadOnlyList<JsonElement> Values(JsonElement root) => [.. _parts.OfType<Part.Path>().SelectMany(part => part.Expression.Evaluate(root, root))];

    /// <summary>A value as templates print it: text unquoted, everything else as JSON.</summary>
    public static string Print(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString() ?? "",
        JsonValueKind.Null => "",
        _ => JsonSerializer.Serialize(value, CliJson.Default.JsonElement),
    };

    private static void Write(IReadOnlyList<Part> parts, JsonElement current, JsonElement root, StringBuilder output)
    {
        foreach (Part part in parts)
        {
            switch (part)
            {
                case Part.Text text:
                    output.Append(text.Content);
                    break;
                case Part.Path path:
                    output.AppendJoin(' ', path.Expression.Evaluate(current, root).Select(Print));
                    break;
                case Part.Range range:
                    foreach (JsonElement item in range.Expression.Evaluate(current, root))
                    {
                        Write(range.Body, item, root, output);
                    }

                    break;
            }
        }
    }

    private static List<Part> Parts(string text, ref int at, bool inRange)
    {
        List<Part> parts = [];
        while (at < text.Length)
        {
            int brace = text.IndexOf('{', at);
            if (brace != at)
            {
                int end = brace < 0 ? text.Length : brace;
                parts.Add(new Part.Text(text[at..end]));
                at = end;
                continue;
            }

            int close = Close(text, at);
            string content = text[(at + 1)..close].Trim();
            at = close + 1;
            if (content == "end")
            {
                return inRange ? parts : throw new FormatException("{end} without a {range}");
            }

            if (content.StartsWith("range", StringComparison.Ordinal) && content.Length > 5 && char.IsWhiteSpace(content[5]))
            {
                JsonPathExpression each = JsonPathExpression.Parse(content[5..].Trim());
                parts.Add(new Part.Range(each, Parts(text, ref at, inRange: true)));
            }
            else if (content is [('"' or '\''), ..])
            {
                parts.Add(new Part.Text(JsonPathExpression.Unquote(content)));
            }
            else
            {
                parts.Add(new Part.Path(JsonPathExpression.Parse(content)));
            }
        }

        return inRange ? throw new FormatException("{range} without an {end}") : parts;
    }

    private static int Close(string text, int open)
    {
        char quote = '\0';
        for (int i = open + 1; i < text.Length; i++)
        {
            char c = text[i];
            if (quote != '\0')
            {
                if (c == '\\')
                {
                    i++;
                }
                else if (c == quote)
                {
                    quote = '\0';
                }
            }
            else if (c is '"' or '\'')
            {
                quote = c;
            }
            else if (c == '}')
            {
                return i;
            }
        }

        throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"the brace at {open + 1} is not closed"));
    }

    private abstract record Part
    {
        public sealed record Text(string Content) : Part;

        public sealed record Path(JsonPathExpression Expression) : Part;

        public sealed record Range(JsonPathExpression Expression, IReadOnlyList<Part> Body) : Part;
    }
}
