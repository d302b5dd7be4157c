using System.Text.RegularExpressions;

namespace Rynxs.Ledger.Recording;

/// <summary>Finds what must not be kept in a recording.</summary>
public interface ISessionRedaction
{
    /// <summary>The places to leave out, ascending and without overlap. Sees the whole text of a session, so nothing hides across two writes.</summary>
    IReadOnlyList<Range> Find(string text);
}

/// <summary>
/// Credentials that are known by their shape: our tokens, private keys in PEM, JSON web tokens, and the tokens of common services. A secret
/// without a shape (a password) is not found: that is why recording is opt-in.
/// </summary>
public sealed class KnownSecretShapes : ISessionRedaction
{
    // NonBacktracking: the text comes from a sandbox, and linear time is what it gets.
    private static readonly Regex Shapes = new(
        string.Join('|', [
            "rynxs_[A-Za-z0-9_-]{16,}",
            "-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY-----[^-]{1,800}-----END [A-Z0-9 ]{0,32}PRIVATE KEY-----",
            "eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}",
            "(AKIA|ASIA)[A-Z0-9]{16}",
            "gh[pousr]_[A-Za-z0-9]{30,}",
            "github_pat_[A-Za-z0-9_]{30,}",
            "sk-[A-Za-z0-9_-]{20,}",
            "xox[abprs]-[A-Za-z0-9-]{10,}",
            "hvs\\.[A-Za-z0-9_-]{20,}",
        ]),
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);

    /// <inheritdoc/>
    public IReadOnlyList<Range> Find(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var found = new List<Range>();
        foreach (ValueMatch match in Shapes.EnumerateMatches(text))
        {
            found.Add(match.Index..(match.Index + match.Length));
        }

        return found;
    }
}
