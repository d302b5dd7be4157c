using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace Rynxs.Resources.Agents;

/// <summary>
/// Image names in the form of the OCI distribution specification: <c>[registry[:port]/]path[:tag]</c>. A colon belongs to the tag only after the
/// last slash, so <c>registry:5000/x</c> has no tag. Digests (<c>@sha256:…</c>) are refused: the image store knows names, and an ignored
/// digest would be a promise not kept.
/// </summary>
internal static partial class ImageName
{
    public const int MaxRepositoryLength = 255;

    /// <summary>Splits a name; <paramref name="problem"/> says what is wrong with a bad one.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out ImageReference? image, [NotNullWhen(false)] out string? problem)
    {
        image = null;
        if (text.Contains('@'))
        {
            problem = "images by digest are not supported; name a repository and a tag, such as python:3.11-slim";
            return false;
        }

        int colon = text.LastIndexOf(':');
        bool tagged = colon > text.LastIndexOf('/');
        ImageReference parsed = tagged
            ? new ImageReference { Repository = text[..colon], Tag = text[(colon + 1)..] }
            : new ImageReference { Repository = text };
        problem = ProblemOfRepository(parsed.Repository) ?? ProblemOfTag(parsed.Tag);
        if (problem is not null)
            return false;

        image = parsed;
        return true;
    }

    /// <summary>What is wrong with the repository, or null.</summary>
    public static string? ProblemOfRepository(string repository) =>
        repository.Length <= MaxRepositoryLength && Repository().IsMatch(repository)
            ? null
            : $"a repository is 1 to {MaxRepositoryLength} characters of [host[:port]/]path, the path in lower case letters, digits and single separators, such as python or registry:5000/team/tools";

    /// <summary>What is wrong with the tag, or null.</summary>
    public static string? ProblemOfTag(string tag) =>
        Tag().IsMatch(tag) ? null : "a tag is 1 to 128 letters, digits, '_', '.' or '-', and does not begin with '.' or '-'";

    [GeneratedRegex(@"\A([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?/)?[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\z", RegexOptions.NonBacktracking)]
    private static partial Regex Repository();

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\z")]
    private static partial Regex Tag();
}
