using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Rynxs.Policy.Rules;

/// <summary>A condition on one argument of a call.</summary>
/// <remarks>
/// A missing argument satisfies only <see cref="Absent"/>. Text conditions look at strings as they are and at numbers, true, false and
/// null in their JSON form. Objects and arrays have no text: such a value cannot be judged, so the caller says what that means.
/// </remarks>
public abstract record ArgumentConstraint
{
    /// <summary>Longest regular expression: 1,024 characters.</summary>
    public const int MaxRegexLength = 1024;

    private ArgumentConstraint(string argument) => Argument = argument;

    /// <summary>Argument name; dots go into nested objects.</summary>
    public string Argument { get; }

    /// <summary>The text is exactly this.</summary>
    public sealed record TextEquals(string Argument, string Value) : ArgumentConstraint(Argument);

    /// <summary>The text starts with this, ordinally.</summary>
    public sealed record Prefix(string Argument, string Value) : ArgumentConstraint(Argument);

    /// <summary>The whole text matches the pattern.</summary>
    public sealed record Matches(string Argument, Glob Pattern) : ArgumentConstraint(Argument);

    /// <summary>The text has at most this many bytes of UTF-8.</summary>
    public sealed record MaxLength(string Argument, int Bytes) : ArgumentConstraint(Argument);

    /// <summary>The text is one of these.</summary>
    public sealed record OneOf(string Argument, IReadOnlyList<string> Values) : ArgumentConstraint(Argument);

    /// <summary>The argument is not there.</summary>
    public sealed record Absent(string Argument) : ArgumentConstraint(Argument);

    /// <summary>
    /// The whole text matches a regular expression. It runs without backtracking, in linear time; constructs that need backtracking
    /// (look-around, back references) are refused when the model is built.
    /// </summary>
    public sealed record Regular : ArgumentConstraint
    {
        private readonly Regex _regex;

        /// <exception cref="ArgumentException">Not a regular expression, too long, or one that needs backtracking.</exception>
        public Regular(string argument, string pattern)
            : base(argument)
        {
            ArgumentNullException.ThrowIfNull(pattern);
            if (pattern.Length > MaxRegexLength)
            {
                throw new ArgumentException($"A regular expression has at most {MaxRegexLength} characters, not {pattern.Length}.", nameof(pattern));
            }

            Pattern = pattern;
            try
            {
                // \A and \z, not ^ and $: the latter also match before a final newline, so "ls" would let "ls\n" through.
                _regex = new Regex($@"\A(?:{pattern})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            }
            catch (NotSupportedException refused)
            {
                throw new ArgumentException($"'{pattern}' needs backtracking (look-around, back reference), which is refused.", nameof(pattern), refused);
            }
        }

        /// <summary>As written.</summary>
        public string Pattern { get; }

        internal bool IsMatch(string text) => _regex.IsMatch(text);

        /// <inheritdoc/>
        public bool Equals(Regular? other) => other is not null && other.Argument == Argument && other.Pattern == Pattern;

        /// <inheritdoc/>
        public override int GetHashCode() => HashCode.Combine(Argument, Pattern);
    }

    /// <summary>Whether the arguments satisfy the condition.</summary>
    /// <param name="arguments">The call's arguments.</param>
    /// <param name="whenUnreadable">The answer for an object or an array, chosen so that the rule errs to the strict side.</param>
    public bool IsSatisfiedBy(JsonElement arguments, bool whenUnreadable)
    {
        JsonElement? found = Find(arguments);
        if (this is Absent)
        {
            return found is null;
        }

        if (found is not { } value)
        {
            return false;
        }

        if (TextOf(value) is not { } text)
        {
            return whenUnreadable;
        }

        return this switch
        {
            TextEquals equals => string.Equals(text, equals.Value, StringComparison.Ordinal),
            Prefix prefix => text.StartsWith(prefix.Value, StringComparison.Ordinal),
            Matches glob => glob.Pattern.IsMatch(text),
            Regular regular => regular.IsMatch(text),
            MaxLength maximum => Encoding.UTF8.GetByteCount(text) <= maximum.Bytes,
            OneOf oneOf => oneOf.Values.Contains(text, StringComparer.Ordinal),
            _ => throw new UnreachableException(),
        };
    }

    // A key that itself holds the dots is looked for first, at each level: otherwise {"a.b": …} could hide from a constraint on "a.b".
    private JsonElement? Find(JsonElement arguments) => Find(arguments, Argument);

    private static JsonElement? Find(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        if (value.TryGetProperty(path, out JsonElement whole))
        {
            return whole;
        }

        int dot = path.IndexOf('.', StringComparison.Ordinal);
        return dot > 0 && value.TryGetProperty(path[..dot], out JsonElement inner) ? Find(inner, path[(dot + 1)..]) : null;
    }

    private static string? TextOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null => value.GetRawText(),
        _ => null,
    };
}
