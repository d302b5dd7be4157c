using System.Text.Json;
using Rynxs.Kubernetes.Requests;
using Rynxs.Resources.Meta;

namespace Rynxs.Kubernetes.Objects;

/// <summary>An object as the API server gave it, of whatever kind. Immutable.</summary>
public sealed class KubeObject
{
    private KubeObject(JsonElement document, JsonElement metadata)
    {
        Document = document;
        Metadata = metadata;
        Name = Text(metadata, "name") ?? "";
        Namespace = Text(metadata, "namespace") ?? "";
        ResourceVersion = Text(metadata, "resourceVersion") ?? "";
        Uid = Text(metadata, "uid") ?? "";
    }

    /// <summary>The whole object.</summary>
    public JsonElement Document { get; }

    /// <summary>Its <c>metadata</c>.</summary>
    public JsonElement Metadata { get; }

    public string Name { get; }

    /// <summary>Empty for cluster-scoped objects.</summary>
    public string Namespace { get; }

    /// <summary>Opaque but for equality.</summary>
    public string ResourceVersion { get; }

    public string Uid { get; }

    /// <summary>Namespace and name.</summary>
    public NamespacedName Id => new(Namespace, Name);

    /// <summary>Deletion was asked for and finalizers remain.</summary>
    public bool IsDeleting => Text(Metadata, "deletionTimestamp") is not null;

    /// <summary>A label; null when it is not set.</summary>
    public string? Label(string key) => Metadata.TryGetProperty("labels", out JsonElement labels) ? Text(labels, key) : null;

    /// <summary>An annotation; null when it is not set.</summary>
    public string? Annotation(string key) => Metadata.TryGetProperty("annotations", out JsonElement annotations) ? Text(annotations, key) : null;

    /// <summary>The element at a path of member names; null when there is none, or it is null.</summary>
    public JsonElement? At(params ReadOnlySpan<string> path)
    {
        JsonElement element = Document;
        foreach (string name in path)
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element))
            {
                return null;
            }
        }

        return element.ValueKind == JsonValueKind.Null ? null : element;
    }

    /// <summary>The string at a path; null when there is none.</summary>
    public string? TextAt(params ReadOnlySpan<string> path) => At(path) is { ValueKind: JsonValueKind.String } element ? element.GetString() : null;

    /// <summary>Wraps an element that outlives its document.</summary>
    /// <exception cref="KubernetesException"><c>Malformed</c>: no object with metadata.</exception>
    public static KubeObject Of(JsonElement document) =>
        document.ValueKind == JsonValueKind.Object && document.TryGetProperty("metadata", out JsonElement metadata) && metadata.ValueKind == JsonValueKind.Object
            ? new KubeObject(document, metadata)
            : throw new KubernetesException(KubernetesFailure.Malformed, "the API server's answer is not an object with metadata");

    private static string? Text(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}

/// <summary>A list and the version that it was read at.</summary>
public sealed record KubeList(IReadOnlyList<KubeObject> Items, string ResourceVersion);
