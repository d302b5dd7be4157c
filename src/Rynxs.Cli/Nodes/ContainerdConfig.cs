using System.Globalization;
using System.Text.RegularExpressions;

namespace Rynxs.Cli.Nodes;

/// <summary>
/// The little that is changed in containerd's own configuration: that it reads our file. Text is added and nothing is rewritten, so comments and order stay; what this does not understand it refuses.
/// </summary>
internal static partial class ContainerdConfig
{
    public const string Path = "etc/containerd/config.toml";

    /// <summary>Of a node without a configuration: understood by every containerd since 1.5.</summary>
    private const int DefaultVersion = 2;

    /// <summary>Which version the file is written for.</summary>
    /// <exception cref="CliException">One that has no runtimes as ours are written.</exception>
    public static int VersionOf(string? text)
    {
        if (text is null)
        {
            return DefaultVersion;
        }

        int version = VersionLine().Match(Head(text)) is { Success: true } match ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 1;
        return version is 2 or 3 ? version : throw new CliException(
            $"/{Path} has version {version}; runtimes can be added to versions 2 and 3.", ExitCodes.Failure, "containerd config migrate  shows the file in a newer version.");
    }

    /// <summary>The text with an import of the file; the same text when it is imported already.</summary>
    /// <param name="text">Null when there is no file.</param>
    /// <param name="import">Absolute path.</param>
    /// <exception cref="CliException">The imports are written in a way that is not understood.</exception>
    public static string WithImport(string? text, string import)
    {
        if (text is null)
        {
            return $"version = {DefaultVersion}\nimports = [\"{import}\"]\n";
        }

        string head = Head(text);
        Match imports = ImportsLine().Match(head);
        if (!imports.Success)
        {
            if (ImportsBegin().IsMatch(head))
            {
                throw new CliException($"the imports of /{Path} are not on one line.", ExitCodes.Failure, $"Add \"{import}\" to them by hand and run this again.");
            }

            // Before the first table, because a key belongs to the table above it.
            return $"imports = [\"{import}\"]\n" + text;
        }

        string[] files = [.. Quoted().Matches(imports.Groups[1].Value).Select(match => match.Groups[1].Value)];
        if (files.Any(file => Matches(file, import)))
        {
            return text;
        }

        string joined = string.Join(", ", files.Append(import).Select(file => $"\"{file}\""));
        return string.Concat(text.AsSpan(0, imports.Index), $"imports = [{joined}]", text.AsSpan(imports.Index + imports.Length));
    }

    /// <summary>What stands before the first table.</summary>
    private static string Head(string text) => FirstTable().Match(text) is { Success: true } table ? text[..table.Index] : text;

    private static bool Matches(string pattern, string path) =>
        pattern == path || Regex.IsMatch(path, "^" + Regex.Escape(pattern).Replace("\\*", "[^/]*", StringComparison.Ordinal) + "$", RegexOptions.None, TimeSpan.FromSeconds(1));

    [GeneratedRegex(@"^\s*version\s*=\s*(\d{1,4})\s*(#.*)?$", RegexOptions.Multiline)]
    private static partial Regex VersionLine();

    [GeneratedRegex(@"^[ \t]*imports[ \t]*=[ \t]*\[([^\[\]\n#]*)\]", RegexOptions.Multiline)]
    private static partial Regex ImportsLine();

    [GeneratedRegex(@"^[ \t]*imports[ \t]*=", RegexOptions.Multiline)]
    private static partial Regex ImportsBegin();

    [GeneratedRegex(@"^[ \t]*\[", RegexOptions.Multiline)]
    private static partial Regex FirstTable();

    [GeneratedRegex("[\"']([^\"']*)[\"']")]
    private static partial Regex Quoted();
}
