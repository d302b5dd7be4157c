using System.Buffers;
using Rynxs.Resources.Client;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Selectors;

/// <summary>
/// A label selector in Kubernetes text form: requirements with commas between, all of which must hold: <c>k=v</c>, <c>k==v</c>, <c>k!=v</c>,
/// <c>k in (a,b)</c>, <c>k notin (a,b)</c>, <c>k</c>, <c>!k</c>. As in Kubernetes, <c>!=</c> and <c>notin</c> also hold for objects without the label.
/// </summary>
public sealed class LabelSelector
{
    private const int MaxLength = 4096;
    private static readonly SearchValues<char> WordEnds = SearchValues.Create(" ,()=!<>");
    private readonly IReadOnlyList<Requirement> _requirements;

    private LabelSelector(IReadOnlyList<Requirement> requirements) => _requirements = requirements;

    /// <summary>Matches everything.</summary>
    public static LabelSelector Everything { get; } = new([]);

    /// <summary>Parses; null and empty text match everything.</summary>
    /// <exception cref="ResourceException"><c>BadRequest</c>.</exception>
    public static LabelSelector Parse(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
            return Everything;
        if (text.Length > MaxLength)
            throw Fail($"longer than {MaxLength} characters");

        Lexer lexer = new(text);
        List<Requirement> requirements = [];
        do
            requirements.Add(ParseRequirement(ref lexer));
        while (lexer.Take(','));
        return lexer.AtEnd ? new LabelSelector(requirements) : throw Fail($"unexpected {BadValue.Quote(lexer.Rest)}");
    }

    /// <summary>Whether an object with these labels is selected.</summary>
    public bool Matches(IReadOnlyDictionary<string, string> labels)
    {
        foreach (Requirement requirement in _requirements)
        {
            if (!requirement.Holds(labels))
                return false;
        }

        return true;
    }

    /// <summary>Canonical text, which parses to the same selector.</summary>
    public override string ToString() => string.Join(",", _requirements);

    private static Requirement ParseRequirement(ref Lexer lexer)
    {
        if (lexer.Take('!'))
            return new Requirement(Key(ref lexer), Operator.Absent, []);

        string key = Key(ref lexer);
        if (lexer.Take('!'))
        {
            if (!lexer.Take('='))
                throw Fail("found '!', expected '!='");
            return new Requirement(key, Operator.NotIn, [Value(ref lexer)]);
        }

        if (lexer.Take('='))
        {
            lexer.Take('=');
            return new Requirement(key, Operator.In, [Value(ref lexer)]);
        }

        switch (lexer.Word())
        {
            case "":
                return new Requirement(key, Operator.Exists, []);
            case "in":
                return new Requirement(key, Operator.In, Values(ref lexer));
            case "notin":
                return new Requirement(key, Operator.NotIn, Values(ref lexer));
            case var word:
                throw Fail($"found {BadValue.Quote(word)}, expected in, notin, =, == or !=");
        }
    }

    private static string Key(ref Lexer lexer)
    {
        string key = lexer.Word();
        return Rules.IsQualifiedName(key) ? key : throw Fail($"{BadValue.Quote(key.Length > 0 ? key : lexer.Rest)} is not a label's name");
    }

    private static string Value(ref Lexer lexer)
    {
        string value = lexer.Word();
        if (value.Length == 0 && lexer.Next is { } symbol and not (',' or ')'))
            throw Fail($"found '{symbol}', expected: identifier");
        return Rules.IsLabelValue(value) ? value : throw Fail($"{BadValue.Quote(value)} is not a label's value");
    }

    private static SortedSet<string> Values(ref Lexer lexer)
    {
        if (!lexer.Take('('))
            throw Fail($"found {BadValue.Quote(lexer.Rest)}, expected '('");

        SortedSet<string> values = new(StringComparer.Ordinal);
        do
            values.Add(Value(ref lexer));
        while (lexer.Take(','));
        return lexer.Take(')') ? values : throw Fail($"found {BadValue.Quote(lexer.Rest)}, expected ',' or ')'");
    }

    private static ResourceException Fail(string why) =>
        new(ResourceErrorReason.BadRequest, $"unable to parse requirement: {why}");

    private enum Operator
    {
        In,
        NotIn,
        Exists,
        Absent,
    }

    private sealed record Requirement(string Key, Operator Operator, IReadOnlyCollection<string> Values)
    {
        public bool Holds(IReadOnlyDictionary<string, string> labels)
        {
            bool present = labels.TryGetValue(Key, out string? value);
            return Operator switch
            {
                Operator.In => present && Values.Contains(value),
                Operator.NotIn => !present || !Values.Contains(value),
                Operator.Exists => present,
                Operator.Absent => !present,
                _ => throw new System.Diagnostics.UnreachableException(),
            };
        }

        public override string ToString() => Operator switch
        {
            Operator.In => $"{Key} in ({string.Join(",", Values)})",
            Operator.NotIn => $"{Key} notin ({string.Join(",", Values)})",
            Operator.Exists => Key,
            Operator.Absent => $"!{Key}",
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    private ref struct Lexer(ReadOnlySpan<char> text)
    {
        private ReadOnlySpan<char> _rest = text;

        public readonly bool AtEnd => _rest.Trim(' ').IsEmpty;

        public readonly string Rest => _rest.Length > 64 ? _rest[..64].ToString() : _rest.ToString();

        /// <summary>The next character that is no space; null at the end.</summary>
        public readonly char? Next => _rest.TrimStart(' ') is [char next, ..] ? next : null;

        public bool Take(char symbol)
        {
            _rest = _rest.TrimStart(' ');
            if (_rest.IsEmpty || _rest[0] != symbol)
                return false;
            _rest = _rest[1..];
            return true;
        }

        /// <summary>Everything up to the next space or symbol; may be empty.</summary>
        public string Word()
        {
            _rest = _rest.TrimStart(' ');
            int end = _rest.IndexOfAny(WordEnds);
            ReadOnlySpan<char> word = end < 0 ? _rest : _rest[..end];
            _rest = _rest[word.Length..];
            return word.ToString();
        }
    }
}
