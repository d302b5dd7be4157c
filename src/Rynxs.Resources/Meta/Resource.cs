using System.Text.Json.Serialization;
using Rynxs.Resources.Crds;

namespace Rynxs.Resources.Meta;

/// <summary>An API object of group <c>universe.ai/v1alpha1</c>.</summary>
public abstract record Resource
{
    /// <summary>API group and version of every kind here.</summary>
    public const string GroupVersion = "universe.ai/v1alpha1";

    /// <summary>Always <see cref="GroupVersion"/>.</summary>
    [JsonPropertyOrder(-3)]
    public string ApiVersion { get; init; } = GroupVersion;

    /// <summary>Such as <c>Agent</c>.</summary>
    [JsonPropertyOrder(-2)]
    public abstract string Kind { get; }

    /// <summary>Name, labels, version and so on.</summary>
    [JsonPropertyOrder(-1)]
    public required ObjectMeta Metadata { get; init; }

    /// <summary>Namespace and name.</summary>
    [JsonIgnore]
    public NamespacedName Id => new(Metadata.Namespace, Metadata.Name);
}

/// <summary>Kubernetes object metadata, the part that Rynxs uses.</summary>
public sealed record ObjectMeta
{
    /// <summary>RFC 1123 label, 1 to 63 characters.</summary>
    public required string Name { get; init; }

    /// <summary>RFC 1123 label; empty for cluster-scoped kinds.</summary>
    public string Namespace { get; init; } = "";

    /// <summary>Set by the server; never reused.</summary>
    public string? Uid { get; init; }

    /// <summary>Set by the server: the commit sequence as decimal text. Opaque to clients but for equality.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>Grows by one with each change of the spec.</summary>
    public long Generation { get; init; }

    /// <summary>Set by the server.</summary>
    public DateTimeOffset? CreationTimestamp { get; init; }

    /// <summary>Set by the server when deletion was asked for and finalizers remain.</summary>
    public DateTimeOffset? DeletionTimestamp { get; init; }

    /// <summary>While any is left, deletion waits.</summary>
    public IReadOnlyList<string> Finalizers { get; init; } = [];

    /// <summary>Selectable pairs.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = EmptyMap;

    /// <summary>Pairs that are not selectable.</summary>
    public IReadOnlyDictionary<string, string> Annotations { get; init; } = EmptyMap;

    private static readonly IReadOnlyDictionary<string, string> EmptyMap = new Dictionary<string, string>();
}

/// <summary>Namespace (empty for cluster-scoped) and name of an object.</summary>
public readonly record struct NamespacedName(string Namespace, string Name)
{
    /// <summary><c>NAMESPACE/NAME</c>, or <c>NAME</c> without a namespace.</summary>
    public override string ToString() => Namespace.Length == 0 ? Name : $"{Namespace}/{Name}";
}

/// <summary>Kubernetes condition.</summary>
public sealed record Condition
{
    /// <summary>What the condition is about.</summary>
    [Schema(MinLength = 1, MaxLength = 316)]
    public required string Type { get; init; }

    /// <summary><c>True</c>, <c>False</c> or <c>Unknown</c>.</summary>
    [Schema(Enum = ["True", "False", "Unknown"])]
    public required string Status { get; init; }

    /// <summary>Why.</summary>
    [Schema(MinLength = 1, MaxLength = 1024)]
    public required string Reason { get; init; }

    /// <summary>For people.</summary>
    [Schema(MaxLength = 32768)]
    public string Message { get; init; } = "";

    /// <summary>When the status changed last.</summary>
    public DateTimeOffset? LastTransitionTime { get; init; }

    /// <summary>Generation that was looked at.</summary>
    public long? ObservedGeneration { get; init; }
}
