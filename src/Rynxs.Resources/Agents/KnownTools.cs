namespace Rynxs.Resources.Agents;

/// <summary>Tool names that a rule may speak of. A rule about a tool that does not exist is a typing error that would go unnoticed.</summary>
public static class KnownTools
{
    /// <summary>Tools that agents have.</summary>
    public static IReadOnlyList<string> Available { get; } =
        ["sandbox.shell", "sandbox.python", "fs.read", "fs.write", "fs.list", "fs.search", "http.fetch", "task.complete"];

    /// <summary>Tools that the original documents and that agents do not have yet; a rule may name them, and it has no effect.</summary>
    public static IReadOnlyList<string> Reserved { get; } = ["sandbox.browser"];

    /// <summary>What <c>role: sandbox</c> may call when its manifest says nothing.</summary>
    public static IReadOnlyList<string> SandboxRoleDefault { get; } = ["sandbox.*", "fs.*", "task.complete"];

    /// <summary>Both lists.</summary>
    internal static IEnumerable<string> Names => Available.Concat(Reserved);

    /// <summary>Whether a name or wildcard (<c>*</c> stands for any characters) means at least one tool.</summary>
    internal static bool Matches(string pattern) => Names.Any(name => Glob(pattern, name));

    private static bool Glob(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name) =>
        System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false);
}
