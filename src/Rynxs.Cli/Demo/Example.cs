namespace Rynxs.Cli.Demo;

/// <summary>The manifests of examples/, carried in the program so that the demo shows the same files wherever it runs.</summary>
internal static class Example
{
    private const string Prefix = "examples/";

    /// <summary>Names of the files, in ordinal order.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        .. typeof(Example).Assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .Select(name => name[Prefix.Length..])
            .Order(StringComparer.Ordinal),
    ];

    public static byte[] Bytes(string name)
    {
        using Stream stream = typeof(Example).Assembly.GetManifestResourceStream(Prefix + name)
            ?? throw new ArgumentException($"There is no example {name}.", nameof(name));
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
