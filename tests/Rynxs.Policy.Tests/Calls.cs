using System.Text.Json;
using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Tests;

/// <summary>Short forms for tests.</summary>
internal static class Calls
{
    public static readonly DateTimeOffset Noon = new(2026, 3, 2, 12, 0, 0, TimeSpan.Zero); // A Monday.

    public static ToolCall Call(string tool, string arguments = "{}") => new("rynxs/my-agent", tool, JsonDocument.Parse(arguments).RootElement.Clone());

    public static ToolRule Rule(string name, string tool, RuleEffect effect, int priority = 0, params ArgumentConstraint[] arguments) =>
        new() { Name = name, Tools = [new Glob(tool)], Effect = effect, Priority = priority, Arguments = arguments };

    public static Verdict Decide(ToolPolicyModel model, ToolCall call) => ToolPolicy.Decide(model, call, ToolPolicyState.Initial, Noon).Verdict;
}
