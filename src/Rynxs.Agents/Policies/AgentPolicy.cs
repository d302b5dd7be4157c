using System.Globalization;
using Rynxs.Policy;
using Rynxs.Policy.Rates;
using Rynxs.Policy.Rules;
using Rynxs.Policy.Sleep;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Universes;

namespace Rynxs.Agents.Policies;

/// <summary>Turns an Agent's spec and its Universe into the model that decides about its tools.</summary>
public static class AgentPolicy
{
    /// <summary>Tools of <c>role: sandbox</c> when <c>spec.tools.allow</c> is not given; other roles get none.</summary>
    public static IReadOnlyList<string> SandboxRoleTools { get; } = ["sandbox.*", "fs.*", "task.complete"];

    /// <summary>Builds the model.</summary>
    /// <exception cref="AgentPolicyException">A field cannot be turned into a rule; the message names it. No part of the policy is dropped silently.</exception>
    public static ToolPolicyModel Build(AgentSpec agent, UniverseSpec? universe)
    {
        ArgumentNullException.ThrowIfNull(agent);
        ToolsSpec tools = agent.Tools;
        IReadOnlyList<string> allow = tools.Allow ?? (agent.Role == "sandbox" ? SandboxRoleTools : []);
        var rules = new List<ToolRule>();
        rules.AddRange(allow.Select((tool, i) => Simple($"spec.tools.allow[{i}]", tool, RuleEffect.Allow)));
        rules.AddRange(tools.Deny.Select((tool, i) => Simple($"spec.tools.deny[{i}]", tool, RuleEffect.Deny)));
        rules.AddRange(tools.RequireApproval.Select((tool, i) => Simple($"spec.tools.requireApproval[{i}]", tool, RuleEffect.Ask)));
        rules.AddRange(tools.Rules.Select((rule, i) => Full($"spec.tools.rules[{i}]", rule)));
        UniversePolicies policies = universe?.Policies ?? new UniversePolicies();
        return new ToolPolicyModel
        {
            Rules = rules,
            RateLimits = [.. tools.RateLimits.Select((limit, i) => Read($"spec.tools.rateLimits[{i}]", () =>
                new RateLimit(new Glob(limit.Tool), limit.PerMinute, limit.Burst ?? limit.PerMinute)))],
            MaxConcurrentCalls = tools.MaxConcurrentCalls,
            UniverseDenied = [.. policies.DenyTools.Select((tool, i) => Read($"universe: spec.policies.denyTools[{i}]", () => new Glob(tool)))],
            SleepTimes = [.. policies.Sleep.Windows.Select((window, i) => Window($"universe: spec.policies.sleep.windows[{i}]", window))],
        };
    }

    /// <summary>Whether every tool could be allowed or asked for; used to match a Task's <c>requiredTools</c>.</summary>
    public static bool MayUse(ToolPolicyModel model, IEnumerable<string> tools)
    {
        ArgumentNullException.ThrowIfNull(model);
        return tools.All(tool =>
            model.Rules.Any(rule => rule.Effect != RuleEffect.Deny && rule.Tools.Any(glob => glob.IsMatch(tool)))
            && !model.UniverseDenied.Any(glob => glob.IsMatch(tool))
            && !model.Rules.Any(rule => rule is { Effect: RuleEffect.Deny, Arguments.Count: 0 }
                && rule.Tools.Any(glob => glob.IsMatch(tool))
                && !model.Rules.Any(other => other.Priority > rule.Priority && other.Effect != RuleEffect.Deny && other.Tools.Any(glob => glob.IsMatch(tool)))));
    }

    private static ToolRule Simple(string field, string tool, RuleEffect effect) => Read(field, () => new ToolRule
    {
        Name = field,
        Tools = [new Glob(tool)],
        Effect = effect,
    });

    private static ToolRule Full(string field, ToolRuleSpec rule) => new()
    {
        Name = rule.Name,
        Tools = [.. rule.Tools.Select((tool, i) => Read($"{field}.tools[{i}]", () => new Glob(tool)))],
        Effect = rule.Effect switch
        {
            "allow" => RuleEffect.Allow,
            "ask" => RuleEffect.Ask,
            "deny" => RuleEffect.Deny,
            _ => throw new AgentPolicyException($"{field}.effect: '{rule.Effect}' is not one of allow, deny, ask."),
        },
        Priority = rule.Priority,
        Arguments = [.. rule.Arguments.Select((argument, i) => Constraint($"{field}.arguments[{i}]", argument))],
    };

    private static ArgumentConstraint Constraint(string field, ArgumentConstraintSpec constraint)
    {
        string Value() => constraint.Value ?? throw new AgentPolicyException($"{field}.value: missing for the operator '{constraint.Operator}'.");

        return constraint.Operator switch
        {
            "equals" => new ArgumentConstraint.TextEquals(constraint.Name, Value()),
            "prefix" => new ArgumentConstraint.Prefix(constraint.Name, Value()),
            "glob" => Read($"{field}.value", () => new ArgumentConstraint.Matches(constraint.Name, new Glob(Value()))),
            "regex" => Read($"{field}.value", () => new ArgumentConstraint.Regular(constraint.Name, Value())),
            "maxLength" => int.TryParse(Value(), NumberStyles.None, CultureInfo.InvariantCulture, out int bytes)
                ? new ArgumentConstraint.MaxLength(constraint.Name, bytes)
                : throw new AgentPolicyException($"{field}.value: '{constraint.Value}' is not a number of bytes."),
            "in" => new ArgumentConstraint.OneOf(constraint.Name, constraint.Values),
            "absent" => new ArgumentConstraint.Absent(constraint.Name),
            _ => throw new AgentPolicyException($"{field}.operator: '{constraint.Operator}' is not one of equals, prefix, glob, regex, maxLength, in, absent."),
        };
    }

    private static SleepTime Window(string field, SleepWindow window) => new()
    {
        Start = Time($"{field}.start", window.Start),
        End = Time($"{field}.end", window.End),
        Days = window.Days.Select((day, i) => Day($"{field}.days[{i}]", day)).ToHashSet(),
        Zone = TimeZoneInfo.TryFindSystemTimeZoneById(window.TimeZone, out TimeZoneInfo? zone)
            ? zone
            : throw new AgentPolicyException($"{field}.timeZone: '{window.TimeZone}' is not a time zone of this machine."),
    };

    private static TimeOnly Time(string field, string text) =>
        TimeOnly.TryParseExact(text, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out TimeOnly time)
            ? time
            : throw new AgentPolicyException($"{field}: '{text}' is not a time such as 22:30.");

    private static DayOfWeek Day(string field, string text) => text switch
    {
        "sun" => DayOfWeek.Sunday,
        "mon" => DayOfWeek.Monday,
        "tue" => DayOfWeek.Tuesday,
        "wed" => DayOfWeek.Wednesday,
        "thu" => DayOfWeek.Thursday,
        "fri" => DayOfWeek.Friday,
        "sat" => DayOfWeek.Saturday,
        _ => throw new AgentPolicyException($"{field}: '{text}' is not one of mon, tue, wed, thu, fri, sat, sun."),
    };

    private static T Read<T>(string field, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (ArgumentException wrong)
        {
            throw new AgentPolicyException($"{field}: {wrong.Message}", wrong);
        }
    }
}

/// <summary>A policy field has no meaning. The message names it and may be shown to users.</summary>
public sealed class AgentPolicyException(string message, Exception? innerException = null) : Exception(message, innerException);
