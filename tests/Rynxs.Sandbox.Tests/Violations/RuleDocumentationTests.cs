using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Tests.Violations;

/// <summary>The table of rules in the documentation is that of the code.</summary>
public sealed class RuleDocumentationTests
{
    [Fact]
    public void Every_rule_stands_in_the_documentation_as_it_is_in_the_code()
    {
        string[] documented = [.. File.ReadAllLines(Document()).Where(line => line.Split(" | ") is [['|', ' ', '`', ..], "low" or "medium" or "high" or "critical", _, _])];
        string[] rules = [.. Rows()];

        rules.Except(documented).ShouldBeEmpty($"these rows belong into {Document()}");
        documented.Except(rules).ShouldBeEmpty("these rows describe no rule");
    }

    private static IEnumerable<string> Rows() => DetectionRules.All
        .GroupBy(rule => (rule.Type, rule.Severity, rule.Action))
        .Select(group => $"| `{group.Key.Type}` | {group.Key.Severity.ToString().ToLowerInvariant()} | {group.Key.Action.ToString().ToLowerInvariant()} | "
            + $"{string.Join("; ", group.Select(rule => rule.Description).Distinct())} |");

    private static string Document()
    {
        DirectoryInfo? directory = new(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Rynxs.slnx")))
        {
            directory = directory.Parent;
        }

        Assert.SkipWhen(directory is null, "runs outside of the source tree");
        return Path.Combine(directory.FullName, "docs", "security", "sandbox.md");
    }
}
