using System.Collections.ObjectModel;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>
/// What one place of a document may hold: a node of a structural schema in the sense of Kubernetes' <c>apiextensions.k8s.io/v1</c>, and of the
/// built-in kinds' own types. Immutable once built. A node may be reached from itself (a JSON schema contains JSON schemas), so whatever walks one
/// walks the document beside it.
/// </summary>
public sealed record StructuralSchema
{
    /// <summary>A node that allows anything and keeps it.</summary>
    public static StructuralSchema Anything { get; } = new() { PreserveUnknownFields = true };

    public SchemaType Type { get; init; }
    public string Description { get; init; } = "";

    /// <summary>Such as <c>date-time</c>, <c>int32</c> or <c>byte</c>; unknown ones mean nothing.</summary>
    public string Format { get; init; } = "";

    /// <summary>An explicit null is a value of its own; without this a null is dropped before defaulting, and otherwise an error.</summary>
    public bool Nullable { get; init; }

    /// <summary>Filled in where the field is absent. Never mutate: documents get clones.</summary>
    public JsonNode? Default { get; init; }

    /// <summary>Allowed values; empty means any.</summary>
    public IReadOnlyList<JsonNode?> Enum { get; init; } = [];

    public double? Minimum { get; init; }
    public double? Maximum { get; init; }
    public bool ExclusiveMinimum { get; init; }
    public bool ExclusiveMaximum { get; init; }
    public double? MultipleOf { get; init; }

    /// <summary>In characters (code points).</summary>
    public long? MinLength { get; init; }

    /// <inheritdoc cref="MinLength"/>
    public long? MaxLength { get; init; }

    /// <summary>Regular expression in RE2's syntax, not anchored.</summary>
    public string? Pattern { get; init; }
    public long? MinItems { get; init; }
    public long? MaxItems { get; init; }
    public bool UniqueItems { get; init; }
    public long? MinProperties { get; init; }
    public long? MaxProperties { get; init; }

    /// <summary>Known fields, by name.</summary>
    public IReadOnlyDictionary<string, StructuralSchema> Properties { get; init; } = ReadOnlyDictionary<string, StructuralSchema>.Empty;

    /// <summary>Schema of the values of a map; null where the object has only its properties.</summary>
    public StructuralSchema? AdditionalProperties { get; init; }

    /// <summary>Schema of the items of an array.</summary>
    public StructuralSchema? Items { get; init; }
    public IReadOnlyList<string> Required { get; init; } = [];

    /// <summary>Value validations only (never pruning or defaulting), as structural schemas demand.</summary>
    public IReadOnlyList<StructuralSchema> AllOf { get; init; } = [];

    /// <inheritdoc cref="AllOf"/>
    public IReadOnlyList<StructuralSchema> AnyOf { get; init; } = [];

    /// <inheritdoc cref="AllOf"/>
    public IReadOnlyList<StructuralSchema> OneOf { get; init; } = [];

    /// <inheritdoc cref="AllOf"/>
    public StructuralSchema? Not { get; init; }

    /// <summary>Fields without a schema are kept.</summary>
    public bool PreserveUnknownFields { get; init; }

    /// <summary>A complete object: apiVersion, kind and metadata are known and checked.</summary>
    public bool EmbeddedResource { get; init; }

    public ListType ListType { get; init; }

    /// <summary>Fields that identify an item of a <see cref="Schemas.ListType.Map"/>.</summary>
    public IReadOnlyList<string> ListMapKeys { get; init; } = [];
    public MapType MapType { get; init; }

    /// <summary>Strategic merge patch: the field that identifies an item.</summary>
    public string? PatchMergeKey { get; init; }
    public PatchStrategy PatchStrategy { get; init; }

    /// <summary>CEL rules, <c>x-kubernetes-validations</c>.</summary>
    public IReadOnlyList<ValidationRule> Rules { get; init; } = [];

    /// <summary>Name under which OpenAPI documents share this node, such as <c>io.k8s.api.core.v1.PodSpec</c>; null: written in place.</summary>
    public string? Definition { get; init; }

    /// <summary>
    /// Reads an <c>openAPIV3Schema</c> (or a part of one). It expects one that was validated: what it does not know it leaves out, what has the wrong
    /// JSON type counts as absent.
    /// </summary>
    public static StructuralSchema FromOpenApi(JsonObject schema) => OpenApiSchemaReader.Read(schema);

    /// <summary>By reference: nodes may be cyclic.</summary>
    public bool Equals(StructuralSchema? other) => ReferenceEquals(this, other);

    /// <inheritdoc/>
    public override int GetHashCode() => RuntimeHelpers.GetHashCode(this);

    /// <inheritdoc/>
    public override string ToString() => Definition ?? Type.ToString();
}

/// <summary>JSON type of a place.</summary>
[SuppressMessage("Naming", "CA1720", Justification = "These are JSON's names of its types.")]
public enum SchemaType
{
    /// <summary>No type is demanded.</summary>
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,

    /// <summary><c>x-kubernetes-int-or-string</c>.</summary>
    IntOrString,
}

/// <summary><c>x-kubernetes-list-type</c>.</summary>
public enum ListType
{
    Atomic,
    Set,
    Map,
}

/// <summary><c>x-kubernetes-map-type</c>.</summary>
public enum MapType
{
    Granular,
    Atomic,
}

/// <summary><c>x-kubernetes-patch-strategy</c>.</summary>
[Flags]
public enum PatchStrategy
{
    None = 0,
    Merge = 1,
    Replace = 2,
    RetainKeys = 4,
}

/// <summary>One entry of <c>x-kubernetes-validations</c>.</summary>
public sealed record ValidationRule
{
    /// <summary>CEL, with <c>self</c> (and <c>oldSelf</c>, which makes it a transition rule).</summary>
    public required string Rule { get; init; }
    public string? Message { get; init; }

    /// <summary>CEL that yields the message; falls back to <see cref="Message"/> when it fails.</summary>
    public string? MessageExpression { get; init; }

    /// <summary>Default <c>FieldValueInvalid</c>.</summary>
    public string? Reason { get; init; }

    /// <summary>Simple JSON path below the node, such as <c>.spec.size</c>.</summary>
    public string? FieldPath { get; init; }

    /// <summary><c>oldSelf</c> is an optional, and the rule is also evaluated where there was nothing before.</summary>
    public bool OptionalOldSelf { get; init; }
}
