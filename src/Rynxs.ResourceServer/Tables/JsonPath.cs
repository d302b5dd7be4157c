using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tables;

/// <summary>
/// The JSON paths of printer columns: <c>.a.b</c>, <c>['a']</c>, <c>[0]</c>, <c>[*]</c>, and <c>[?(@.type=="Ready")]</c>. What is found first is the cell. A path of another form
/// finds nothing, as one that leads nowhere does.
/// </summary>
internal sealed class JsonPath
{
    private readonly IReadOnlyList<Step> _steps;

    private JsonPath(IReadOnlyList<Step> steps) => _steps = steps;

    public static JsonPath Parse(string path)
    {
        List<Step> steps = [];
        ReadOnlySpan<char> rest = path.AsSpan().Trim();
        if (rest.StartsWith("$"))
            rest = rest[1..];
        while (!rest.IsEmpty)
        {
            if (rest[0] == '.')
            {
                rest = rest[1..];
                int end = NameEnd(rest, out string name);
                if (end == 0)
                    return new JsonPath([new Step.Nowhere()]);
                steps.Add(name == "*" ? new Step.All() : new Step.Field(name));
                rest = rest[end..];
            }
            else if (rest[0] == '[' && Close(rest) is var close and > 0)
            {
                steps.Add(Bracket(rest[1..close].Trim().ToString()));
                rest = rest[(close + 1)..];
            }
            else
            {
                return new JsonPath([new Step.Nowhere()]);
            }
        }

        return new JsonPath(steps);
    }

    /// <summary>Everything that the path leads to, in order.</summary>
    public IEnumerable<JsonNode?> Find(JsonNode? document)
    {
        IEnumerable<JsonNode?> found = [document];
        foreach (Step step in _steps)
            found = found.SelectMany(step.From);
        return found;
    }

    /// <summary>A name up to the next dot or bracket; a backslash takes the next character as it is.</summary>
    private static int NameEnd(ReadOnlySpan<char> text, out string name)
    {
        System.Text.StringBuilder result = new();
        int i = 0;
        for (; i < text.Length && text[i] is not ('.' or '['); i++)
        {
            if (text[i] == '\\' && i + 1 < text.Length)
                i++;
            result.Append(text[i]);
        }

        name = result.ToString();
        return i;
    }

    private static int Close(ReadOnlySpan<char> text)
    {
        char quote = '\0';
        for (int i = 1; i < text.Length; i++)
        {
            if (quote != '\0')
                quote = text[i] == quote ? '\0' : quote;
            else if (text[i] is '"' or '\'')
                quote = text[i];
            else if (text[i] == ']')
                return i;
        }

        return -1;
    }

    private static Step Bracket(string inside)
    {
        if (inside == "*")
            return new Step.All();
        if (int.TryParse(inside, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int index))
            return new Step.Item(index);
        if (inside.Length >= 2 && inside[0] is '\'' or '"' && inside[^1] == inside[0])
            return new Step.Field(inside[1..^1]);
        if (!inside.StartsWith("?(", StringComparison.Ordinal) || !inside.EndsWith(')'))
            return new Step.Nowhere();

        string filter = inside[2..^1].Trim();
        foreach (string comparison in (ReadOnlySpan<string>)["==", "!="])
        {
            int at = filter.IndexOf(comparison, StringComparison.Ordinal);
            if (at > 0 && filter.StartsWith('@'))
                return new Step.Filter(Parse(filter[1..at].Trim()), filter[(at + 2)..].Trim().Trim('\'', '"'), comparison == "==");
        }

        return new Step.Nowhere();
    }

    private abstract record Step
    {
        private Step()
        {
        }

        public abstract IEnumerable<JsonNode?> From(JsonNode? node);

        public sealed record Field(string Name) : Step
        {
            public override IEnumerable<JsonNode?> From(JsonNode? node) => node is JsonObject fields && fields.TryGetPropertyValue(Name, out JsonNode? value) ? [value] : [];
        }

        public sealed record Item(int Index) : Step
        {
            public override IEnumerable<JsonNode?> From(JsonNode? node)
            {
                if (node is not JsonArray items)
                    return [];
                int index = Index < 0 ? items.Count + Index : Index;
                return index >= 0 && index < items.Count ? [items[index]] : [];
            }
        }

        public sealed record All : Step
        {
            public override IEnumerable<JsonNode?> From(JsonNode? node) => node switch
            {
                JsonArray items => items,
                JsonObject fields => fields.Select(field => field.Value),
                _ => [],
            };
        }

        public sealed record Filter(JsonPath Path, string Value, bool Equal) : Step
        {
            public override IEnumerable<JsonNode?> From(JsonNode? node) =>
                node is JsonArray items ? items.Where(item => Path.Find(item).Any(found => Text(found) == Value) == Equal) : [];

            private static string Text(JsonNode? node) => node switch
            {
                null => "null",
                JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
                _ => node.ToJsonString(),
            };
        }

        public sealed record Nowhere : Step
        {
            public override IEnumerable<JsonNode?> From(JsonNode? node) => [];
        }
    }
}
