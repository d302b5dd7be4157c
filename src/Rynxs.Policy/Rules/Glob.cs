namespace Rynxs.Policy.Rules;

/// <summary>
/// A pattern of literal characters, <c>*</c> (any run, also an empty one; dots and slashes are not special) and <c>?</c> (any one
/// UTF-16 unit). Case-sensitive, matches the whole text.
/// </summary>
/// <remarks>
/// Greedy with one remembered star: after a second star an earlier one never has to be tried again. So the work is bounded by pattern
/// length times text length and there is nothing to blow up; the pattern is at most <see cref="MaxLength"/> long.
/// </remarks>
public sealed record Glob
{
    /// <summary>Longest pattern: 256 characters.</summary>
    public const int MaxLength = 256;

    /// <summary>Compiles a pattern.</summary>
    /// <exception cref="ArgumentException">Empty, or longer than <see cref="MaxLength"/>.</exception>
    public Glob(string pattern)
    {
        ArgumentException.ThrowIfNullOrEmpty(pattern);
        if (pattern.Length > MaxLength)
        {
            throw new ArgumentException($"A pattern has at most {MaxLength} characters, not {pattern.Length}.", nameof(pattern));
        }

        Pattern = pattern;
    }

    /// <summary>As written.</summary>
    public string Pattern { get; }

    /// <summary>Whether the whole text matches.</summary>
    public bool IsMatch(ReadOnlySpan<char> text)
    {
        ReadOnlySpan<char> pattern = Pattern;
        int t = 0, p = 0, star = -1, resume = 0;
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                resume = t;
            }
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == text[t]))
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                t = ++resume;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
        {
            p++;
        }

        return p == pattern.Length;
    }

    /// <inheritdoc/>
    public override string ToString() => Pattern;
}
