using System.Globalization;
using System.Text.RegularExpressions;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Inference;

/// <summary>Rules of an InferencePolicy that need more than one field or more than a type.</summary>
internal static partial class InferencePolicyRules
{
    public static void Check(InferencePolicyResource policy, Rules rules)
    {
        InferencePolicySpec spec = policy.Spec;
        rules.Range("spec.priority", spec.Priority, -1000, 1000);
        Some("spec.agents", spec.Agents.Count, 256, rules);
        for (int i = 0; i < spec.Agents.Count; i++)
        {
            if (!AgentForm().IsMatch(spec.Agents[i]))
                rules.Invalid($"spec.agents[{i}]", spec.Agents[i], "a name of an agent is 1 to 63 lower case letters, digits and '-'; '*' stands for any characters");
        }

        HashSet<string> upstreams = CheckUpstreams(spec, rules);
        CheckModels(spec, upstreams, rules);
        CheckLimits(spec.Limits, rules);
        CheckBudgets(spec, rules);
        CheckRules(spec.Rules, rules);
        if (policy.Status is { } status)
        {
            if (status.EnforcedDigest is { } digest && !DigestForm().IsMatch(digest))
                rules.Invalid("status.enforcedDigest", digest, "a SHA-256 in 64 lower case hexadecimal digits is due");
            rules.Conditions("status.conditions", status.Conditions);
        }
    }

    private static HashSet<string> CheckUpstreams(InferencePolicySpec spec, Rules rules)
    {
        HashSet<string> names = [];
        Some("spec.upstreams", spec.Upstreams.Count, 32, rules);
        for (int i = 0; i < spec.Upstreams.Count; i++)
        {
            InferenceUpstream upstream = spec.Upstreams[i];
            string field = $"spec.upstreams[{i}]";
            rules.Name($"{field}.name", upstream.Name);
            if (!names.Add(upstream.Name))
                rules.Add($"{field}.name", FieldErrorCodes.Duplicate, $"Duplicate value: {BadValue.Quote(upstream.Name)}");
            rules.OneOf($"{field}.kind", upstream.Kind, "openai", "azure-openai", "anthropic", "ollama", "llama-cpp");
            rules.HttpUrl($"{field}.baseUrl", upstream.BaseUrl);
            if (upstream.ApiVersion is { } version)
            {
                if (upstream.Kind != "azure-openai")
                    rules.Add($"{field}.apiVersion", FieldErrorCodes.Forbidden, "Forbidden: apiVersion is Azure's alone");
                if (version.Length is 0 or > 64 || !VersionForm().IsMatch(version))
                    rules.Invalid($"{field}.apiVersion", version, "1 to 64 letters, digits, '.' or '-'");
            }

            CheckCredential($"{field}.credential", upstream.Credential, rules);
            rules.Range($"{field}.timeoutSeconds", upstream.TimeoutSeconds, 1, 600);
            rules.Range($"{field}.maxConcurrent", upstream.MaxConcurrent, 1, 10_000);
        }

        return names;
    }

    private static void CheckCredential(string field, CredentialSpec? credential, Rules rules)
    {
        if (credential is null)
            return;
        int given = (credential.SecretRef is null ? 0 : 1) + (credential.File is null ? 0 : 1) + (credential.Env is null ? 0 : 1)
            + (credential.Vault is null ? 0 : 1) + (credential.Oauth is null ? 0 : 1);
        if (given != 1)
            rules.Add(field, FieldErrorCodes.Invalid, "Invalid value: exactly one of secretRef, file, env, vault and oauth is due");
        CheckSecret($"{field}.secretRef", credential.SecretRef, rules);
        if (credential.File is { } file && (file.Length > 255 || !FileForm().IsMatch(file)))
            rules.Invalid($"{field}.file", file, "a file name of letters, digits, '-', '_' and '.', not beginning with '.'");
        if (credential.Env is { } variable && (variable.Length > 255 || !EnvironmentForm().IsMatch(variable)))
            rules.Invalid($"{field}.env", variable, "a variable that begins with RYNXS_CREDENTIAL_ and goes on with upper case letters, digits and '_'");
        if (credential.Vault is { } vault)
        {
            if (vault.Mount.Length > 128 || !KeyForm().IsMatch(vault.Mount))
                rules.Invalid($"{field}.vault.mount", vault.Mount, "1 to 128 letters, digits, '-', '_' or '.'");
            if (vault.Path.Length > 512 || !PathForm().IsMatch(vault.Path))
                rules.Invalid($"{field}.vault.path", vault.Path, "names of letters, digits, '-', '_' and '.', not beginning with '.', joined by '/'");
            if (vault.Key.Length > 253 || !KeyForm().IsMatch(vault.Key))
                rules.Invalid($"{field}.vault.key", vault.Key, "1 to 253 letters, digits, '-', '_' or '.'");
        }

        if (credential.Oauth is { } oauth)
        {
            rules.HttpUrl($"{field}.oauth.tokenUrl", oauth.TokenUrl);
            rules.Line($"{field}.oauth.clientId", oauth.ClientId, 256);
            CheckSecret($"{field}.oauth.clientSecretRef", oauth.ClientSecretRef, rules);
            rules.Line($"{field}.oauth.scope", oauth.Scope, 1024);
            rules.Line($"{field}.oauth.resource", oauth.Resource, 2048);
        }
    }

    private static void CheckSecret(string field, SecretKeyRef? secret, Rules rules)
    {
        if (secret is null)
            return;
        rules.Name($"{field}.name", secret.Name);
        if (secret.Key.Length > 253 || secret.Key is "." or ".." || !KeyForm().IsMatch(secret.Key))
            rules.Invalid($"{field}.key", secret.Key, "a key is 1 to 253 letters, digits, '-', '_' or '.'");
    }

    private static void CheckModels(InferencePolicySpec spec, HashSet<string> upstreams, Rules rules)
    {
        bool money = spec.Limits.UsdPerRequest is not null || spec.Budgets.Any(budget => budget.Usd is not null);
        HashSet<string> names = [];
        Some("spec.models", spec.Models.Count, 1024, rules);
        for (int i = 0; i < spec.Models.Count; i++)
        {
            InferenceModelEntry model = spec.Models[i];
            string field = $"spec.models[{i}]";
            rules.Line($"{field}.name", model.Name, 256);
            if (!names.Add(model.Name))
                rules.Add($"{field}.name", FieldErrorCodes.Duplicate, $"Duplicate value: {BadValue.Quote(model.Name)}");
            Some($"{field}.routes", model.Routes.Count, 8, rules);
            for (int j = 0; j < model.Routes.Count; j++)
            {
                rules.Line($"{field}.routes[{j}].model", model.Routes[j].Model, 256);
                if (!upstreams.Contains(model.Routes[j].Upstream))
                {
                    rules.Add($"{field}.routes[{j}].upstream", FieldErrorCodes.NotSupported,
                        $"Unsupported value: {BadValue.Quote(model.Routes[j].Upstream)}: no upstream of this policy has the name{Suggestion.For(model.Routes[j].Upstream, [.. upstreams])}");
                }
            }

            Some($"{field}.endpoints", model.Endpoints.Count, 4, rules);
            rules.Unique($"{field}.endpoints", model.Endpoints);
            for (int j = 0; j < model.Endpoints.Count; j++)
                rules.OneOf($"{field}.endpoints[{j}]", model.Endpoints[j], "chat", "responses", "messages", "embeddings");
            rules.Range($"{field}.maxOutputTokens", model.MaxOutputTokens, 1, 1_000_000);
            if (model.MaxImageTokens is { } image)
                rules.Range($"{field}.maxImageTokens", image, 1, 1_000_000);
            Decimal($"{field}.inputUsdPerMillion", model.InputUsdPerMillion, PriceForm(), "USD with at most 6 digits before and after the point, such as 0.15", rules);
            Decimal($"{field}.outputUsdPerMillion", model.OutputUsdPerMillion, PriceForm(), "USD with at most 6 digits before and after the point, such as 0.60", rules);
            if ((model.InputUsdPerMillion is null) != (model.OutputUsdPerMillion is null) || (money && model.InputUsdPerMillion is null))
            {
                rules.Add(model.InputUsdPerMillion is null ? $"{field}.inputUsdPerMillion" : $"{field}.outputUsdPerMillion", FieldErrorCodes.Required,
                    "Required value: prices come in pairs, and every model has one where money is limited");
            }
        }
    }

    private static void CheckLimits(InferenceLimitsSpec limits, Rules rules)
    {
        if (limits.TokensPerRequest is { } tokens)
            rules.Range("spec.limits.tokensPerRequest", tokens, 1, 1_000_000_000);
        Decimal("spec.limits.usdPerRequest", limits.UsdPerRequest, MoneyForm(), "USD, such as 0.50", rules);
        Decimal("spec.limits.temperature", limits.Temperature, TemperatureForm(), "a number such as 1.0", rules);
        rules.Range("spec.limits.choices", limits.Choices, 1, 16);
        rules.Range("spec.limits.requestsPerMinute", limits.RequestsPerMinute, 1, 60_000);
        rules.Range("spec.limits.concurrent", limits.Concurrent, 1, 256);
        rules.Range("spec.limits.queued", limits.Queued, 0, 1024);
        rules.Range("spec.limits.requestBytes", limits.RequestBytes, 1024, 32 * 1024 * 1024);
        rules.Range("spec.limits.answerBytes", limits.AnswerBytes, 1024, 64 * 1024 * 1024);
        rules.Range("spec.limits.seconds", limits.Seconds, 1, 3600);
    }

    private static void CheckBudgets(InferencePolicySpec spec, Rules rules)
    {
        rules.Count("spec.budgets", spec.Budgets.Count, 32);
        for (int i = 0; i < spec.Budgets.Count; i++)
        {
            InferenceBudget budget = spec.Budgets[i];
            string field = $"spec.budgets[{i}]";
            rules.OneOf($"{field}.scope", budget.Scope, "agent", "team", "universe", "namespace");
            rules.OneOf($"{field}.period", budget.Period, "day", "month", "total");
            if (budget.Tokens is { } tokens)
                rules.Range($"{field}.tokens", tokens, 1, 1_000_000_000_000);
            Decimal($"{field}.usd", budget.Usd, MoneyForm(), "USD, such as 5.00", rules);
            if (budget.Tokens is null && budget.Usd is null)
                rules.Add(field, FieldErrorCodes.Required, "Required value: tokens or usd");
        }
    }

    private static void CheckRules(InferenceRules given, Rules rules)
    {
        rules.Range("spec.rules.maxTools", given.MaxTools, 0, 1024);
        rules.Range("spec.rules.holdCharacters", given.HoldCharacters, 16, 65536);
        rules.Count("spec.rules.forbiddenTools", given.ForbiddenTools.Count, 256);
        for (int i = 0; i < given.ForbiddenTools.Count; i++)
            rules.Line($"spec.rules.forbiddenTools[{i}]", given.ForbiddenTools[i], 256);
        rules.Count("spec.rules.detectors", given.Detectors.Count, 64);
        HashSet<string> names = [];
        for (int i = 0; i < given.Detectors.Count; i++)
        {
            InferenceDetector detector = given.Detectors[i];
            string field = $"spec.rules.detectors[{i}]";
            rules.Name($"{field}.name", detector.Name);
            if (!names.Add(detector.Name))
                rules.Add($"{field}.name", FieldErrorCodes.Duplicate, $"Duplicate value: {BadValue.Quote(detector.Name)}");
            rules.OneOf($"{field}.action", detector.Action, "redact", "deny");
            rules.OneOf($"{field}.applyTo", detector.ApplyTo, "input", "output", "both");
            if (detector.BuiltIn is { } builtIn)
                rules.OneOf($"{field}.builtIn", builtIn, "secrets");
            if ((detector.Pattern is null) == (detector.BuiltIn is null))
                rules.Add(field, FieldErrorCodes.Invalid, "Invalid value: exactly one of pattern and builtIn is due");
            CheckPattern($"{field}.pattern", detector.Pattern, rules);
        }

        if (given.PromptShield is { } shield)
        {
            rules.HttpUrl("spec.rules.promptShield.url", shield.Url);
            CheckCredential("spec.rules.promptShield.credential", shield.Credential, rules);
            rules.Range("spec.rules.promptShield.timeoutSeconds", shield.TimeoutSeconds, 1, 60);
            rules.OneOf("spec.rules.promptShield.applyTo", shield.ApplyTo, "input", "output", "both");
        }
    }

    private static void CheckPattern(string field, string? pattern, Rules rules)
    {
        rules.Line(field, pattern, 1024);
        if (pattern is not { Length: > 0 and <= 1024 })
            return;
        try
        {
            _ = new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            rules.Invalid(field, pattern, "a regular expression without lookarounds, backreferences and atomic groups is due");
        }
    }

    private static void Some(string field, int count, int max, Rules rules)
    {
        if (count == 0)
            rules.Add(field, FieldErrorCodes.Required, "Required value: at least one");
        rules.Count(field, count, max);
    }

    private static void Decimal(string field, string? value, Regex form, string allowed, Rules rules)
    {
        if (value is not null && (!form.IsMatch(value) || !decimal.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out _)))
            rules.Invalid(field, value, allowed);
    }

    [GeneratedRegex(@"\A[a-z0-9*-]{1,63}\z")]
    private static partial Regex AgentForm();

    [GeneratedRegex(@"\A[A-Za-z0-9.-]+\z")]
    private static partial Regex VersionForm();

    [GeneratedRegex(@"\A[A-Za-z0-9_-][A-Za-z0-9._-]*\z")]
    private static partial Regex FileForm();

    [GeneratedRegex(@"\ARYNXS_CREDENTIAL_[A-Z0-9_]+\z")]
    private static partial Regex EnvironmentForm();

    [GeneratedRegex(@"\A[A-Za-z0-9._-]+\z")]
    private static partial Regex KeyForm();

    [GeneratedRegex(@"\A[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\z")]
    private static partial Regex PathForm();

    [GeneratedRegex(@"\A[0-9]{1,6}(\.[0-9]{1,6})?\z")]
    private static partial Regex PriceForm();

    [GeneratedRegex(@"\A[0-9]{1,9}(\.[0-9]{1,9})?\z")]
    private static partial Regex MoneyForm();

    [GeneratedRegex(@"\A[0-9](\.[0-9]{1,3})?\z")]
    private static partial Regex TemperatureForm();

    [GeneratedRegex(@"\A[0-9a-f]{64}\z")]
    private static partial Regex DigestForm();
}
