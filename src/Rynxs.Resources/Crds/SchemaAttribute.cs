namespace Rynxs.Resources.Crds;

/// <summary>
/// What the CustomResourceDefinition of a kind says of a member beyond its type: the part of the rules in <c>Validation</c> that a schema can
/// express, so that a cluster's API server refuses the same values as ours. Zero and null mean unset.
/// </summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SchemaAttribute : Attribute
{
    /// <summary>An RFC 1123 label: the name of another object.</summary>
    public bool Name { get; init; }

    /// <summary>Allowed values.</summary>
    public string[] Enum { get; init; } = [];

    /// <summary>Both bounds are inclusive and count only when <see cref="Max"/> is above <see cref="Min"/>.</summary>
    public long Min { get; init; }

    /// <inheritdoc cref="Min"/>
    public long Max { get; init; }

    /// <summary>Characters of a text.</summary>
    public int MinLength { get; init; }

    /// <inheritdoc cref="MinLength"/>
    public int MaxLength { get; init; }

    /// <summary>Members of a list or pairs of a map.</summary>
    public int MinItems { get; init; }

    /// <inheritdoc cref="MinItems"/>
    public int MaxItems { get; init; }

    /// <summary>Of a text, or of the texts in a list or map.</summary>
    public string? Pattern { get; init; }

    /// <summary>Items of a list are different from each other.</summary>
    public bool Set { get; init; }

    /// <summary>Field that tells the items of a list apart.</summary>
    public string? Key { get; init; }

    /// <summary>Values of a map are Kubernetes quantities: texts or whole numbers.</summary>
    public bool Quantities { get; init; }

    /// <summary>Free-form, but an object.</summary>
    public bool AnyObject { get; init; }
}

/// <summary>A CEL rule on an object's type, evaluated by every API server since 1.25. Guard optional fields with <c>has()</c>.</summary>
/// <param name="rule">CEL over <c>self</c>; with <c>oldSelf</c> it holds between two states.</param>
/// <param name="message">What is told when it does not hold.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true)]
public sealed class SchemaRuleAttribute(string rule, string message) : Attribute
{
    /// <summary>CEL.</summary>
    public string Rule => rule;

    /// <summary>What is told.</summary>
    public string Message => message;

    /// <summary>Cause, such as <c>FieldValueForbidden</c>; null: <c>FieldValueInvalid</c>.</summary>
    public string? Reason { get; init; }

    /// <summary>Field below the object that is to blame, such as <c>.decision</c>.</summary>
    public string? FieldPath { get; init; }
}
