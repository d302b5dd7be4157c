using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.RegularExpressions;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>
/// Regular expressions in RE2's syntax, as schemas and CEL hold them, on .NET's engine without backtracking: time is linear in the text, so a
/// hostile pattern cannot hang the server. Where the two dialects read the same text differently (<c>$</c>, <c>\d</c>, <c>\w</c>, <c>\s</c>,
/// named groups) it is rewritten.
/// </summary>
internal static class Re2Pattern
{
    private const int MaxLength = 10_000;
    private const int MaxCached = 1_000;

    private static readonly ConcurrentDictionary<string, (Regex? Regex, string Problem)> Cache = new(StringComparer.Ordinal);

    /// <summary>Compiles, or says what is wrong. Results are kept, up to 1,000 of them.</summary>
    public static bool TryGet(string pattern, [NotNullWhen(true)] out Regex? regex, [NotNullWhen(false)] out string? problem)
    {
        if (!Cache.TryGetValue(pattern, out (Regex? Regex, string Problem) entry))
        {
            entry = Compile(pattern);
            if (Cache.Count < MaxCached)
                Cache[pattern] = entry;
        }

        regex = entry.Regex;
        problem = regex is null ? entry.Problem : null;
        return regex is not null;
    }

    private static (Regex?, string) Compile(string pattern)
    {
        if (pattern.Length > MaxLength)
            return (null, $"the expression is {pattern.Length} characters, at most {MaxLength} are allowed");
        try
        {
            return (new Regex(Translate(pattern), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant), "");
        }
        catch (ArgumentException e)
        {
            return (null, $"error parsing regexp: {e.Message}");
        }
        catch (NotSupportedException)
        {
            return (null, "error parsing regexp: look-around, backreferences, atomic groups and expressions that grow too large are not supported");
        }
    }

    private static string Translate(string pattern)
    {
        StringBuilder result = new(pattern.Length + 16);
        bool inClass = false;
        bool multiline = pattern.StartsWith("(?", StringComparison.Ordinal) && pattern.AsSpan(0, Math.Max(0, pattern.IndexOf(')'))).Contains('m');
        for (int i = 0; i < pattern.Length; i++)
        {
            char c = pattern[i];
            if (c == '\\' && i + 1 < pattern.Length)
            {
                result.Append(Escape(pattern[++i], inClass));
            }
            else if (inClass)
            {
                // In .NET "[a-z-[aeiou]]" is a subtraction, and a bracket within a class may open one: make it literal, but for POSIX names.
                if (c == '[' && Posix(pattern, i, out string? expansion, out int length))
                {
                    result.Append(expansion);
                    i += length - 1;
                }
                else if (c == '[')
                {
                    result.Append("\\[");
                }
                else
                {
                    inClass = c != ']';
                    result.Append(c);
                }
            }
            else if (c == '[')
            {
                inClass = true;
                result.Append(c);

                // A bracket right after the opening (or its negation) is literal.
                if (i + 1 < pattern.Length && pattern[i + 1] == '^')
                    result.Append(pattern[++i]);
                if (i + 1 < pattern.Length && pattern[i + 1] == ']')
                {
                    result.Append("\\]");
                    i++;
                }
            }
            else if (c == '$' && !multiline)
            {
                result.Append("\\z");
            }
            else if (c == '(' && pattern.AsSpan(i).StartsWith("(?P<"))
            {
                result.Append("(?<");
                i += 3;
            }
            else
            {
                result.Append(c);
            }
        }

        return result.ToString();
    }

    private static string Escape(char c, bool inClass) => c switch
    {
        'd' => inClass ? "0-9" : "[0-9]",
        'w' => inClass ? "0-9A-Za-z_" : "[0-9A-Za-z_]",
        's' => inClass ? @"\t\n\f\r " : @"[\t\n\f\r ]",
        'D' when !inClass => "[^0-9]",
        'W' when !inClass => "[^0-9A-Za-z_]",
        'S' when !inClass => @"[^\t\n\f\r ]",
        _ => "\\" + c,
    };

    private static bool Posix(string pattern, int at, [NotNullWhen(true)] out string? expansion, out int length)
    {
        expansion = null;
        length = 0;
        if (at + 1 >= pattern.Length || pattern[at + 1] != ':')
            return false;
        int end = pattern.IndexOf(":]", at + 2, StringComparison.Ordinal);
        if (end < 0)
            return false;
        length = end + 2 - at;
        expansion = pattern[(at + 2)..end] switch
        {
            "alnum" => "0-9A-Za-z",
            "alpha" => "A-Za-z",
            "digit" => "0-9",
            "lower" => "a-z",
            "upper" => "A-Z",
            "space" => @"\t\n\v\f\r ",
            "xdigit" => "0-9A-Fa-f",
            "word" => "0-9A-Za-z_",
            "blank" => @"\t ",
            "punct" => @"!-/:-@\[-`{-~",
            _ => null,
        };
        return expansion is not null;
    }
}
