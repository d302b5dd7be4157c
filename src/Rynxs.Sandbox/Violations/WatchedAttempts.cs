namespace Rynxs.Sandbox.Violations;

/// <summary>What the monitor looks for, by the types of its rules (docs/security/sandbox.md has the table).</summary>
public static class WatchedAttempts
{
    /// <summary>Every type.</summary>
    public static IReadOnlyList<string> Types { get; } = [.. DetectionRules.All.Select(rule => rule.Type).Distinct(StringComparer.Ordinal)];

    /// <summary>Types of which at least one rule ends the sandbox.</summary>
    public static IReadOnlyList<string> KillTypes { get; } =
        [.. DetectionRules.All.Where(rule => rule.Action == RuleAction.Kill).Select(rule => rule.Type).Distinct(StringComparer.Ordinal)];
}
