using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary>Addresses of objects in the resource API, and the kinds as people type them.</summary>
internal static class ResourcePath
{
    private const string Root = "/apis/" + Resource.GroupVersion;

    /// <summary>The kind by any of its names.</summary>
    /// <exception cref="CliException">There is none; the message suggests the nearest.</exception>
    public static ResourceType FindKind(string name)
    {
        if (ResourceTypes.TryFind(name, out ResourceType? type))
        {
            return type;
        }

        string[] names = [.. ResourceTypes.All.SelectMany(kind => (string[])[kind.Plural, kind.Singular, .. kind.ShortNames])];
        throw new CliException(
            $"there is no kind '{name}'{NearestName.Hint(name, names)}.",
            ExitCodes.Usage,
            "Kinds: " + string.Join(", ", ResourceTypes.All.Select(kind => kind.Plural)));
    }

    /// <summary>The collection; over all namespaces when <paramref name="resourceNamespace"/> is null.</summary>
    public static string Collection(ResourceType type, string? resourceNamespace) =>
        type.Namespaced && resourceNamespace is not null
            ? $"{Root}/namespaces/{Uri.EscapeDataString(resourceNamespace)}/{type.Plural}"
            : $"{Root}/{type.Plural}";

    public static string Object(ResourceType type, string resourceNamespace, string name) =>
        $"{Collection(type, resourceNamespace)}/{Uri.EscapeDataString(CheckedName(name))}";

    /// <summary>An endpoint of an agent beside the resource API.</summary>
    public static string Agent(string resourceNamespace, string name, string endpoint) =>
        $"/api/v1/namespaces/{Uri.EscapeDataString(resourceNamespace)}/agents/{Uri.EscapeDataString(CheckedName(name))}/{endpoint}";

    // "." and ".." survive escaping and would address something else.
    public static string CheckedName(string name) =>
        name.Length is > 0 and <= 253 && name != "." && name != ".."
            ? name
            : throw new CliException($"'{Screen.Visible(name)}' is not a name of an object.", ExitCodes.Usage);
}
