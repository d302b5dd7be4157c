namespace Rynxs.Cli.Objects;

/// <summary>A kind that the server serves.</summary>
internal sealed record ApiKind
{
    /// <summary>Empty for the core group.</summary>
    public required string Group { get; init; }

    public required string Version { get; init; }

    public required string Kind { get; init; }

    public required string Plural { get; init; }

    public required string Singular { get; init; }

    public required IReadOnlyList<string> ShortNames { get; init; }

    public required IReadOnlyList<string> Categories { get; init; }

    public required IReadOnlyList<string> Verbs { get; init; }

    public required bool Namespaced { get; init; }

    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary>As kubectl names it before a slash: <c>agent.universe.ai</c>, <c>configmap</c>.</summary>
    public string Label => Group.Length == 0 ? Singular : $"{Singular}.{Group}";

    private string Root => Group.Length == 0 ? $"/api/{Version}" : $"/apis/{Group}/{Version}";

    /// <summary>The collection; over all namespaces when <paramref name="resourceNamespace"/> is null.</summary>
    public string Collection(string? resourceNamespace) =>
        Namespaced && resourceNamespace is not null ? $"{Root}/namespaces/{Uri.EscapeDataString(resourceNamespace)}/{Plural}" : $"{Root}/{Plural}";

    public string Object(string resourceNamespace, string name) => $"{Collection(resourceNamespace)}/{Uri.EscapeDataString(ResourcePath.CheckedName(name))}";
}
