using System.Globalization;
using System.Text.RegularExpressions;
using Rynxs.Resources.Client;
using Rynxs.Resources.Quantities;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Agents;

/// <summary>Defaults and rules of an Agent that need more than one field or more than a type.</summary>
internal static class AgentRules
{
    private const int MaxRegexLength = 1024;
    private const int MaxRules = 256;
    private static readonly string[] ResourceNames = ["cpu", "memory"];

    public static AgentResource Default(AgentResource agent)
    {
        AgentSpec spec = agent.Spec;
        return agent with
        {
            Spec = spec with
            {
                Tools = spec.Tools with { Allow = spec.Tools.Allow ?? (spec.Role == "sandbox" ? KnownTools.SandboxRoleDefault : []) },
                Provider = Default(spec.Provider),
            },
        };
    }

    private static ProviderSpec Default(ProviderSpec provider) => provider.Kind switch
    {
        // The original's name for a server beside the agent; its base URL lacked the /v1 that its code appended.
        "local" => provider with
        {
            Kind = "openai",
            BaseUrl = WithVersionPath(provider.BaseUrl ?? "http://localhost:8080"),
            Model = provider.Model ?? "gpt-oss",
        },
        "openai" => provider with { BaseUrl = provider.BaseUrl ?? "https://api.openai.com/v1" },
        _ => provider,
    };

    private static string WithVersionPath(string baseUrl) =>
        Uri.TryCreate(baseUrl, UriKind.Absolute, out Uri? uri) && uri.AbsolutePath == "/" && uri.UserInfo.Length == 0
            ? baseUrl.TrimEnd('/') + "/v1"
            : baseUrl;

    public static void Check(AgentResource agent, Rules rules)
    {
        AgentSpec spec = agent.Spec;
        rules.OneOf("spec.role", spec.Role, "worker", "manager", "director", "sandbox");
        rules.Name("spec.team", spec.Team);
        rules.Name("spec.universeRef", spec.UniverseRef);
        rules.Count("spec.manages", spec.Manages.Count, 1000);
        rules.Unique("spec.manages", spec.Manages);
        for (int i = 0; i < spec.Manages.Count; i++)
            rules.Name($"spec.manages[{i}]", spec.Manages[i]);

        if (spec.Image is { } image)
        {
            if (ImageName.ProblemOfRepository(image.Repository) is { } repository)
                rules.Invalid("spec.image.repository", image.Repository, repository);
            if (ImageName.ProblemOfTag(image.Tag) is { } tag)
                rules.Invalid("spec.image.tag", image.Tag, tag);
        }

        rules.PositiveQuantity("spec.workspace.size", spec.Workspace.Size);
        rules.Name("spec.workspace.storageClassName", spec.Workspace.StorageClassName);
        CheckProvider(spec.Provider, rules);
        CheckTools(spec.Tools, rules);
        rules.Count("spec.network.egressPolicies", spec.Network.EgressPolicies.Count, 16);
        rules.Unique("spec.network.egressPolicies", spec.Network.EgressPolicies);
        for (int i = 0; i < spec.Network.EgressPolicies.Count; i++)
            rules.Name($"spec.network.egressPolicies[{i}]", spec.Network.EgressPolicies[i]);
        rules.Count("spec.network.allowEgressTo", spec.Network.AllowEgressTo.Count, 256);
        for (int i = 0; i < spec.Network.AllowEgressTo.Count; i++)
            CheckEgressTarget($"spec.network.allowEgressTo[{i}]", spec.Network.AllowEgressTo[i], rules);
        CheckResources(spec.Resources, rules);
        rules.Range("spec.limits.timeoutSeconds", spec.Limits.TimeoutSeconds, 1, 600);
        rules.Range("spec.limits.outputBytes", spec.Limits.OutputBytes, 1024, 16 * 1024 * 1024);
        rules.Range("spec.limits.pids", spec.Limits.Pids, 1, 1024);
        rules.Range("spec.limits.maxSteps", spec.Limits.MaxSteps, 1, 200);
        CheckSandbox(spec.Sandbox, rules);
        if (agent.Status is { } status)
        {
            if (status.Phase is not null)
                rules.OneOf("status.phase", status.Phase, "Pending", "Running", "Failed", "Terminated");
            rules.Line("status.imageDigest", status.ImageDigest, 256);
            rules.Conditions("status.conditions", status.Conditions);
        }
    }

    private static void CheckProvider(ProviderSpec provider, Rules rules)
    {
        rules.OneOf("spec.provider.kind", provider.Kind, "scripted", "openai", "local");
        rules.HttpUrl("spec.provider.baseUrl", provider.BaseUrl);
        rules.Line("spec.provider.model", provider.Model, 256);
        if (provider.Kind == "openai" && provider.Model is null)
            rules.Add("spec.provider.model", FieldErrorCodes.Required, "Required value: provider.kind openai needs the name of a model");
        rules.Range("spec.provider.timeoutSeconds", provider.TimeoutSeconds, 1, 600);
        rules.Range("spec.provider.maxRetries", provider.MaxRetries, 0, 10);
        rules.Text("spec.provider.systemPrompt", provider.SystemPrompt, 64 * 1024);
        if (provider.ApiKeySecretRef is { } secret)
        {
            rules.Name("spec.provider.apiKeySecretRef.name", secret.Name);
            if (secret.Key.Length is 0 or > 253 || secret.Key is "." or ".." || !SecretKeyForm.IsMatch(secret.Key))
                rules.Invalid("spec.provider.apiKeySecretRef.key", secret.Key, "a key is 1 to 253 letters, digits, '-', '_' or '.'");
        }
    }

    private static readonly Regex SecretKeyForm = new(@"\A[A-Za-z0-9._-]+\z", RegexOptions.NonBacktracking);

    private static void CheckTools(ToolsSpec tools, Rules rules)
    {
        rules.ToolPatterns("spec.tools.allow", tools.Allow);
        rules.ToolPatterns("spec.tools.deny", tools.Deny);
        rules.ToolPatterns("spec.tools.requireApproval", tools.RequireApproval);
        rules.Range("spec.tools.maxConcurrentCalls", tools.MaxConcurrentCalls, 1, 64);
        rules.Count("spec.tools.rules", tools.Rules.Count, MaxRules);
        HashSet<string> names = [];
        for (int i = 0; i < tools.Rules.Count; i++)
        {
            ToolRuleSpec rule = tools.Rules[i];
            string field = $"spec.tools.rules[{i}]";
            rules.Line($"{field}.name", rule.Name, 128);
            if (!names.Add(rule.Name))
                rules.Add($"{field}.name", FieldErrorCodes.Duplicate, $"Duplicate value: {BadValue.Quote(rule.Name)}");
            if (rule.Tools.Count == 0)
                rules.Add($"{field}.tools", FieldErrorCodes.Required, "Required value: a rule names at least one tool");
            rules.ToolPatterns($"{field}.tools", rule.Tools);
            rules.OneOf($"{field}.effect", rule.Effect, "allow", "deny", "ask");
            rules.Range($"{field}.priority", rule.Priority, -1000, 1000);
            rules.Count($"{field}.arguments", rule.Arguments.Count, 64);
            for (int j = 0; j < rule.Arguments.Count; j++)
                CheckArgument($"{field}.arguments[{j}]", rule.Arguments[j], rules);
        }

        rules.Count("spec.tools.rateLimits", tools.RateLimits.Count, MaxRules);
        for (int i = 0; i < tools.RateLimits.Count; i++)
        {
            RateLimitSpec limit = tools.RateLimits[i];
            rules.ToolPattern($"spec.tools.rateLimits[{i}].tool", limit.Tool);
            rules.Range($"spec.tools.rateLimits[{i}].perMinute", limit.PerMinute, 1, 60_000);
            if (limit.Burst is { } burst)
                rules.Range($"spec.tools.rateLimits[{i}].burst", burst, 1, 60_000);
        }
    }

    private static void CheckArgument(string field, ArgumentConstraintSpec argument, Rules rules)
    {
        rules.Line($"{field}.name", argument.Name, 256);
        rules.OneOf($"{field}.operator", argument.Operator, "equals", "prefix", "glob", "regex", "maxLength", "in", "absent");
        bool wantsValue = argument.Operator is "equals" or "prefix" or "glob" or "regex" or "maxLength";
        if (wantsValue && argument.Value is null)
            rules.Add($"{field}.value", FieldErrorCodes.Required, $"Required value: operator {argument.Operator} compares with it");
        if (argument.Value is not null && argument.Operator is "in" or "absent" && argument.Value is not null)
            rules.Add($"{field}.value", FieldErrorCodes.Forbidden, $"Forbidden: operator {argument.Operator} takes no value");
        if (argument.Operator == "in" && argument.Values.Count == 0)
            rules.Add($"{field}.values", FieldErrorCodes.Required, "Required value: operator in needs at least one");
        if (argument.Operator != "in" && argument.Values.Count > 0)
            rules.Add($"{field}.values", FieldErrorCodes.Forbidden, "Forbidden: only operator in takes values");
        rules.Count($"{field}.values", argument.Values.Count, 1000);

        if (argument is { Operator: "maxLength", Value: { } length }
            && !(int.TryParse(length, NumberStyles.None, CultureInfo.InvariantCulture, out int max) && max <= 1024 * 1024))
            rules.Invalid($"{field}.value", length, "a whole number from 0 to 1048576 is due");
        if (argument is { Operator: "regex", Value: { } pattern })
            CheckRegex($"{field}.value", pattern, rules);
    }

    private static void CheckRegex(string field, string pattern, Rules rules)
    {
        if (pattern.Length > MaxRegexLength)
        {
            rules.Add(field, FieldErrorCodes.TooLong, $"Too long: {pattern.Length} characters, at most {MaxRegexLength}");
            return;
        }

        try
        {
            _ = new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (ArgumentException e)
        {
            rules.Invalid(field, pattern, $"not a regular expression: {BadValue.Escape(e.Message, 160)}");
        }
        catch (NotSupportedException)
        {
            rules.Invalid(field, pattern, "look-around, backreferences, atomic groups and patterns that grow too large are not supported: matching must take linear time");
        }
    }

    private static void CheckEgressTarget(string field, string target, Rules rules)
    {
        rules.Line(field, target, 512);
        if (target.AsSpan().IndexOfAny(" \t@\\") >= 0)
            rules.Invalid(field, target, "a host name, address or URL without spaces and user information is due");
    }

    private static void CheckResources(ResourceRequirements resources, Rules rules)
    {
        Dictionary<string, Quantity> requests = Parse("spec.resources.requests", resources.Requests);
        Dictionary<string, Quantity> limits = Parse("spec.resources.limits", resources.Limits);
        foreach ((string name, Quantity request) in requests)
        {
            if (limits.TryGetValue(name, out Quantity limit) && request > limit)
                rules.Invalid($"spec.resources.requests[{name}]", resources.Requests[name], $"must not be greater than the limit {resources.Limits[name]}");
        }

        Dictionary<string, Quantity> Parse(string field, IReadOnlyDictionary<string, string> given)
        {
            Dictionary<string, Quantity> parsed = [];
            foreach ((string name, string value) in given)
            {
                string child = $"{field}[{BadValue.Escape(name, 64)}]";
                if (!ResourceNames.Contains(name))
                    rules.OneOf(child, name, ResourceNames);
                else if (rules.PositiveQuantity(child, value) is { } quantity)
                    parsed[name] = quantity;
            }

            return parsed;
        }
    }

    private static void CheckSandbox(SandboxSpecSection sandbox, Rules rules)
    {
        if (sandbox.Runtime == "firecracker")
        {
            rules.Add("spec.sandbox.runtime", FieldErrorCodes.NotSupported,
                $"Unsupported value: \"{sandbox.Runtime}\": this host does not have it yet; supported values: \"gvisor\", \"namespaces\"");
        }
        else
        {
            rules.OneOf("spec.sandbox.runtime", sandbox.Runtime, "gvisor", "namespaces");
        }

        if (sandbox.Platform is not null)
            rules.OneOf("spec.sandbox.platform", sandbox.Platform, "systrap", "ptrace");
        if (sandbox.Platform is not null && sandbox.Runtime != "gvisor")
            rules.Add("spec.sandbox.platform", FieldErrorCodes.Invalid, "Invalid value: a platform is gvisor's; leave it out for another runtime");
    }
}
