namespace Rynxs.Resources.Meta;

/// <summary>What the system knows about a kind.</summary>
public sealed record ResourceType
{
    /// <summary>Such as <c>Agent</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>Such as <c>agents</c>.</summary>
    public required string Plural { get; init; }

    /// <summary>Such as <c>agent</c>.</summary>
    public required string Singular { get; init; }

    /// <summary>Such as <c>ag</c>.</summary>
    public required IReadOnlyList<string> ShortNames { get; init; }

    /// <summary>False for cluster-scoped kinds.</summary>
    public required bool Namespaced { get; init; }

    /// <summary>The record of the kind.</summary>
    public required Type ClrType { get; init; }

    /// <summary>Fields that a field selector may name, beside <c>metadata.name</c> and <c>metadata.namespace</c>; null value means unset.</summary>
    public required IReadOnlyDictionary<string, Func<Resource, string?>> SelectableFields { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Kind;
}
