using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Rynxs.Cli.Output;

/// <summary>One path: <c>.a.b</c>, <c>['a.b']</c>, <c>[0]</c>, <c>[-1]</c>, <c>[1:3]</c>, <c>[*]</c>, <c>..a</c>, <c>[?(@.x=="y")]</c>, <c>[0,2]</c>.</summary>
internal sealed class JsonPathExpression
{
    private const int MaxValues = 1_000_000;

    private readonly bool _fromRoot;
    private readonly IReadOnlyList<Step> _steps;

    private JsonPathExpression(bool fromRoot, IReadOnlyList<Step> steps)
    {
        _fromRoot = fromRoot;
        _steps = steps;
    }

    /// <exception cref="FormatException">Not a path.</exception>
    public static JsonPathExpression Parse(string text)
    {
        bool fromRoot = text.StartsWith('$');
        int at = fromRoot || text.StartsWith('@') ? 1 : 0;
        List<Step> steps = [];
        while (at < text.Length)
        {
            if (text[at] == '.')
            {
                bool deep = at + 1 < text.Length && text[at + 1] == '.';
                at += deep ? 2 : 1;
                if (deep)
                {
                    steps.Add(new Step.Descend());
                }

                if (at >= text.Length || text[at] == '[')
                {
                    continue; // a lone dot is the object itself
                }

                string name = Name(text, ref at);
                steps.Add(name == "*" ? new Step.All() : new Step.Field(name));
            }
            else if (text[at] == '[')
            {
                int close = Bracket(text, at);
                steps.Add(Selector(text[(at + 1)..close].Trim()));
                at = close + 1;
            }
            else if (at == 0)
            {
                steps.Add(new Step.Field(Name(text, ref at)));
            }
            else
            {
                throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"'{text}': unexpected '{text[at]}' at {at + 1}"));
            }
        }

        return new JsonPathExpression(fromRoot, steps);
    }

    public IReadOnlyList<JsonElement> Evaluate(JsonElement current, JsonElement root)
    {
        IEnumerable<JsonElement> values = [_fromRoot ? root : current];
        foreach (Step step in _steps)
        {
            List<JsonElement> next = [.. values.SelectMany(value => step.Take(value)).Take(MaxValues + 1)];
            values = next.Count <= MaxValues ? next : throw new FormatException($"the path finds more than {MaxValues} values");
        }

        return [.. values];
    }

    public static string Unquote(string text)
    {
        char quote = text[0];
        if (text.Length < 2 || text[^1] != quote)
        {
            throw new FormatException($"the text {text} is not closed");
        }

        var plain = new StringBuilder();
        for (int i = 1; i < text.Length - 1; i++)
        {
            plain.Append(text[i] != '\\' ? text[i] : text[++i] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', char other => other });
        }

        return plain.ToString();
    }

    // A backslash keeps a dot in a name: .metadata.labels.app\.kubernetes\.io/name
    private static string Name(string text, ref int at)
    {
        var name = new StringBuilder();
        for (; at < text.Length && text[at] is not ('.' or '['); at++)
        {
            if (text[at] == '\\' && at + 1 < text.Length)
            {
                at++;
            }

            name.Append(text[at]);
        }

        return name.Length > 0 ? name.ToString() : throw new FormatException($"'{text}': a name is missing");
    }

    private static int Bracket(string text, int open)
    {
        char quote = '\0';
        int depth = 0;
        for (int i = open; i < text.Length; i++)
        {
            char c = text[i];
            if (quote != '\0')
            {
                quote = c == quote ? '\0' : quote;
            }
            else if (c is '"' or '\'')
            {
                quote = c;
            }
            else if (c == '[')
            {
                depth++;
            }
            else if (c == ']' && --depth == 0)
            {
                return i;
            }
        }

        throw new FormatException($"'{text}': a bracket is not closed");
    }

    private static Step Selector(string content)
    {
        if (content == "*")
        {
            return new Step.All();
        }

        if (content.StartsWith("?(", StringComparison.Ordinal) && content.EndsWith(')'))
        {
            return JsonPathFilter.Parse(content[2..^1].Trim());
        }

        if (content is [('\'' or '"'), ..] && !content.Contains(',', StringComparison.Ordinal))
        {
            return new Step.Field(Unquote(content));
        }

        if (content.Contains(',', StringComparison.Ordinal))
        {
            return new Step.Union([.. content.Split(',', StringSplitOptions.TrimEntries).Select(Selector)]);
        }

        if (content.Contains(':', StringComparison.Ordinal))
        {
            string[] bounds = content.Split(':');
            return bounds.Length <= 3
                ? new Step.Slice(Bound(bounds[0]), Bound(bounds[1]), bounds.Length == 3 ? Bound(bounds[2]) ?? 1 : 1)
                : throw new FormatException($"[{content}] is not a slice");
        }

        return int.TryParse(content, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int index)
            ? new Step.Index(index)
            : throw new FormatException($"[{content}] is neither an index, a slice, a name in quotes, nor a filter");

        int? Bound(string text) => text.Trim().Length == 0 ? null
            : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int bound) ? bound
            : throw new FormatException($"[{content}] is not a slice");
    }

    internal abstract record Step
    {
        public abstract IEnumerable<JsonElement> Take(JsonElement value);

        protected static IEnumerable<JsonElement> Children(JsonElement value) => value.ValueKind switch
        {
            JsonValueKind.Array => value.EnumerateArray(),
            JsonValueKind.Object => value.EnumerateObject().Select(property => property.Value),
            _ => [],
        };

        public sealed record Field(string Name) : Step
        {
            public override IEnumerable<JsonElement> Take(JsonElement value) =>
                value.ValueKind == JsonValueKind.Object && value.TryGetProperty(Name, out JsonElement found) ? [found] : [];
        }

        public sealed record All : Step
        {
            public override IEnumerable<JsonElement> Take(JsonElement value) => Children(value);
        }

        public sealed record Descend : Step
        {
            // Answers are at most 64 levels deep: the parser's own limit.
            public override IEnumerable<JsonElement> Take(JsonElement value) => Children(value).SelectMany(Take).Prepend(value);
        }

        public sealed record Index(int At) : Step
        {
            public override IEnumerable<JsonElement> Take(JsonElement value)
            {
                if (value.ValueKind != JsonValueKind.Array)
                {
                    return [];
                }

                int at = At < 0 ? value.GetArrayLength() + At : At;
                return at >= 0 && at < value.GetArrayLength() ? [value[at]] : [];
            }
        }

        public sealed record Slice(int? From, int? To, int Every) : Step
        {
            public override IEnumerable<JsonElement> Take(JsonElement value)
            {
                if (value.ValueKind != JsonValueKind.Array || Every < 1)
                {
                    return [];
                }

                int length = value.GetArrayLength();
                int from = Clamp(From ?? 0), to = Clamp(To ?? length);
                return value.EnumerateArray().Where((_, i) => i >= from && i < to && (i - from) % Every == 0);

                int Clamp(int bound) => Math.Clamp(bound < 0 ? length + bound : bound, 0, length);
            }
        }

        public sealed record Union(IReadOnlyList<Step> Steps) : Step
        {
            public override IEnumerable<JsonElement> Take(JsonElement value) => Steps.SelectMany(step => step.Take(value));
        }
    }
}
