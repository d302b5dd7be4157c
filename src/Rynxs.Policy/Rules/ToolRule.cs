namespace Rynxs.Policy.Rules;

/// <summary>What a matching rule says. Ordered by strictness: the higher value wins at equal priority.</summary>
public enum RuleEffect
{
    Allow = 0,
    Ask = 1,
    Deny = 2,
}

/// <summary>One rule of an agent.</summary>
public sealed record ToolRule
{
    /// <summary>Unique within the model.</summary>
    public required string Name { get; init; }

    /// <summary>Tool names or wildcards; one of them must match.</summary>
    public required IReadOnlyList<Glob> Tools { get; init; }

    public required RuleEffect Effect { get; init; }

    /// <summary>Higher is looked at first.</summary>
    public int Priority { get; init; }

    /// <summary>All must hold for the rule to match. A value that cannot be judged holds for ask and deny rules, and fails for allow rules.</summary>
    public IReadOnlyList<ArgumentConstraint> Arguments { get; init; } = [];
}
