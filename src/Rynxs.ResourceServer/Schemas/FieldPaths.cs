using System.Globalization;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Field paths in the form of Kubernetes' causes.</summary>
internal static class FieldPaths
{
    /// <summary>The whole object.</summary>
    public const string Root = "<nil>";

    public static string Child(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";

    public static string Index(string path, int index) => string.Create(CultureInfo.InvariantCulture, $"{path}[{index}]");

    public static string Key(string path, string key) => $"{path}[{key}]";
}
