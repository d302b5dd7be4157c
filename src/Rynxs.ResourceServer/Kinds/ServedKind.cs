using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>A kind in one version, as the resource server serves it.</summary>
public sealed record ServedKind
{
    /// <summary>Empty for the core group.</summary>
    public required string Group { get; init; }
    public required string Version { get; init; }
    public required string Kind { get; init; }
    public required string ListKind { get; init; }
    public required string Plural { get; init; }
    public required string Singular { get; init; }
    public IReadOnlyList<string> ShortNames { get; init; } = [];

    /// <summary>Such as <c>all</c>.</summary>
    public IReadOnlyList<string> Categories { get; init; } = [];
    public required bool Namespaced { get; init; }

    /// <summary>Of the whole object: apiVersion, kind and metadata are in it.</summary>
    public required StructuralSchema Schema { get; init; }

    /// <summary>Has a status subresource: writes of the object leave status alone and the other way round.</summary>
    public bool HasStatus { get; init; }
    public ScalePaths? Scale { get; init; }

    /// <summary>A Table begins with the name. False for Events, whose <see cref="Columns"/> are all there is.</summary>
    public bool NameIsFirstColumn { get; init; } = true;

    /// <summary>Columns of a Table after Name. Empty: Age alone.</summary>
    public IReadOnlyList<PrinterColumn> Columns { get; init; } = [];

    /// <summary>Field selector name to simple JSON path (<c>.spec.role</c>), beside metadata.name and metadata.namespace.</summary>
    public IReadOnlyDictionary<string, string> SelectableFields { get; init; } = new Dictionary<string, string>();

    /// <summary>Told in a warning header with each request; null when the version is not deprecated.</summary>
    public string? DeprecationWarning { get; init; }

    /// <summary>Accepts strategic merge patches: built-in kinds.</summary>
    public bool Strategic { get; init; }

    /// <summary>Has metadata.generation, which grows with each change outside metadata and status.</summary>
    public bool HasGeneration { get; init; }
    public IReadOnlyList<string> Verbs { get; init; } = AllVerbs;

    /// <summary>What is wrong with a name of an object, in the real server's words; default: an RFC 1123 subdomain is due.</summary>
    public Func<string, IEnumerable<string>> NameProblems { get; init; } = KubernetesNames.SubdomainProblems;

    /// <summary>Rules that no schema says, over the document after defaulting; <c>old</c> is the stored one of an update.</summary>
    public Func<JsonObject, JsonObject?, IReadOnlyList<StatusCause>>? ExtraValidation { get; init; }

    /// <summary>Mutates: write-only fields that become others, defaults that depend on other fields.</summary>
    public Action<JsonObject>? ExtraDefaulting { get; init; }

    /// <summary>The version that objects are stored in, where it is another one: fields that it does not know are lost when an object is written, as in Kubernetes with conversion None.</summary>
    public ServedKind? StoredAs { get; init; }

    /// <summary><c>v1</c> or <c>GROUP/VERSION</c>.</summary>
    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary>Objects of all versions of a kind share one place.</summary>
    public string StoragePrefix => $"{Group}/{Plural}";

    /// <inheritdoc/>
    public override string ToString() => $"{ApiVersion}, Kind={Kind}";

    internal static readonly IReadOnlyList<string> AllVerbs =
        ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
}

/// <summary>Where the scale subresource reads and writes; simple JSON paths such as <c>.spec.replicas</c>.</summary>
public sealed record ScalePaths(string SpecReplicas, string StatusReplicas, string? LabelSelector);

/// <summary>A column of a Table.</summary>
public sealed record PrinterColumn
{
    public required string Name { get; init; }

    /// <summary><c>string</c>, <c>integer</c>, <c>number</c>, <c>boolean</c> or <c>date</c>.</summary>
    public required string Type { get; init; }
    public string Format { get; init; } = "";
    public string Description { get; init; } = "";

    /// <summary>Above zero: only with <c>-o wide</c>.</summary>
    public int Priority { get; init; }

    /// <summary>JSON path in kubectl's syntax without braces, such as <c>.status.conditions[?(@.type=="Ready")].status</c>; null when <see cref="Read"/> is set.</summary>
    public string? JsonPath { get; init; }

    /// <summary>Cell of a built-in column, from the document and the present moment (ages).</summary>
    public Func<JsonObject, DateTimeOffset, JsonNode?>? Read { get; init; }
}
