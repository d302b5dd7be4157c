using System.Reflection;

namespace Rynxs.Cli;

/// <summary>The version of this build.</summary>
internal static class ProductVersion
{
    /// <summary>Such as <c>0.1.0</c>, without build metadata.</summary>
    public static string Text { get; } =
        typeof(ProductVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";
}
