using System.Collections.Frozen;
using System.Globalization;
using System.Text.Json;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference;
using Rynxs.Ledger.Canonical;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;
using Rynxs.Policy.Rules;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Server.Inference;

/// <summary>Turns an InferencePolicy object into what the gateway enforces. The object was validated when it was stored; what has no meaning here all the same is refused as a whole.</summary>
internal static class InferencePolicyCompiler
{
    /// <summary>SHA-256 over the canonical form of the spec, 64 lower case hexadecimal digits.</summary>
    public static string DigestOf(InferencePolicyResource policy) => CanonicalJson.Sha256Hex(ResourceJson.ToElement(policy).GetProperty("spec"));

    /// <exception cref="ArgumentException">A pattern cannot be compiled.</exception>
    public static InferencePolicyConfig Compile(InferencePolicyResource policy)
    {
        InferencePolicySpec spec = policy.Spec;
        string ns = policy.Metadata.Namespace;
        return new InferencePolicyConfig
        {
            Policy = new InferencePolicyModel
            {
                Name = policy.Id.ToString(),
                Digest = DigestOf(policy),
                Priority = spec.Priority,
                Agents = [.. spec.Agents.Select(agent => new Glob(agent))],
                Models = spec.Models.ToFrozenDictionary(model => model.Name, Model, StringComparer.Ordinal),
                Limits = new InferenceLimits
                {
                    MaxTokensPerRequest = spec.Limits.TokensPerRequest,
                    MaxNanoUsdPerRequest = NanoUsd(spec.Limits.UsdPerRequest),
                    MaxChoices = spec.Limits.Choices,
                    MaxTemperature = spec.Limits.Temperature is { } temperature ? double.Parse(temperature, CultureInfo.InvariantCulture) : null,
                    MaxTools = spec.Rules.MaxTools,
                },
                Budgets = [.. spec.Budgets.Select(budget => new BudgetLimit(Scope(budget.Scope), Period(budget.Period), budget.Tokens, NanoUsd(budget.Usd)))],
                ForbiddenTools = [.. spec.Rules.ForbiddenTools.Select(tool => new Glob(tool))],
            },
            Upstreams = spec.Upstreams.ToDictionary(upstream => upstream.Name, upstream => Upstream(ns, upstream), StringComparer.Ordinal),
            Detectors = [.. spec.Rules.Detectors.SelectMany(Detectors)],
            HoldCharacters = spec.Rules.HoldCharacters,
            Shield = spec.Rules.PromptShield is { } shield
                ? new PromptShieldConfig(
                    new Uri(shield.Url), Credential(ns, shield.Credential), TimeSpan.FromSeconds(shield.TimeoutSeconds), shield.ApplyTo is "input" or "both", shield.ApplyTo is "output" or "both")
                : null,
            RecordContent = spec.RecordContent,
            RequestsPerMinute = spec.Limits.RequestsPerMinute,
            MaxConcurrent = spec.Limits.Concurrent,
            MaxQueued = spec.Limits.Queued,
            MaxRequestBytes = spec.Limits.RequestBytes,
            MaxAnswerBytes = spec.Limits.AnswerBytes,
            MaxDuration = TimeSpan.FromSeconds(spec.Limits.Seconds),
        };
    }

    /// <summary>
    /// What an agent's own spec allows its own loop where no InferencePolicy is for it: one model at one address. Whoever wrote the Agent said both. Nothing
    /// in the agent's sandbox can use it.
    /// </summary>
    public static InferencePolicyConfig OfProvider(NamespacedName agent, ProviderSpec provider)
    {
        string model = provider.Model ?? "";
        return new InferencePolicyConfig
        {
            Policy = new InferencePolicyModel
            {
                Name = $"agent-spec:{agent}",
                Digest = CanonicalJson.Sha256Hex(JsonSerializer.SerializeToElement(new Dictionary<string, string> { ["baseUrl"] = provider.BaseUrl ?? "", ["model"] = model }, ServerJson.Default.DictionaryStringString)),
                Agents = [new Glob(agent.Name)],
                Models = new[]
                {
                    new ModelRule
                    {
                        Name = model,
                        Routes = [new ModelRoute("provider", model)],
                        Endpoints = new HashSet<InferenceEndpoint> { InferenceEndpoint.ChatCompletions },
                        MaxOutputTokens = null,
                    },
                }.ToFrozenDictionary(rule => rule.Name, StringComparer.Ordinal),
            },
            Upstreams = new Dictionary<string, UpstreamConfig>
            {
                ["provider"] = new UpstreamConfig
                {
                    Name = "provider",
                    Kind = UpstreamKind.OpenAi,
                    BaseUrl = new Uri(provider.BaseUrl ?? ""),
                    Credential = provider.ApiKeySecretRef is { } secret ? new CredentialRef.Secret(agent.Namespace, secret.Name, secret.Key) : null,
                    AnswerTimeout = TimeSpan.FromSeconds(provider.TimeoutSeconds),
                    IdleTimeout = TimeSpan.FromSeconds(provider.TimeoutSeconds),
                },
            },
            RequestsPerMinute = 60_000,
        };
    }

    private static ModelRule Model(InferenceModelEntry model) => new()
    {
        Name = model.Name,
        Routes = [.. model.Routes.Select(route => new ModelRoute(route.Upstream, route.Model))],
        Endpoints = model.Endpoints.Select(endpoint => endpoint switch
        {
            "responses" => InferenceEndpoint.Responses,
            "messages" => InferenceEndpoint.Messages,
            "embeddings" => InferenceEndpoint.Embeddings,
            _ => InferenceEndpoint.ChatCompletions,
        }).ToHashSet(),
        MaxOutputTokens = model.MaxOutputTokens,
        Price = model is { InputUsdPerMillion: { } input, OutputUsdPerMillion: { } output } ? new TokenPrice(NanoUsd(input) ?? 0, NanoUsd(output) ?? 0) : null,
        MaxImageTokens = model.MaxImageTokens,
    };

    private static UpstreamConfig Upstream(string ns, InferenceUpstream upstream) => new()
    {
        Name = upstream.Name,
        Kind = upstream.Kind switch
        {
            "azure-openai" => UpstreamKind.AzureOpenAi,
            "anthropic" => UpstreamKind.Anthropic,
            "ollama" => UpstreamKind.Ollama,
            "llama-cpp" => UpstreamKind.LlamaCpp,
            _ => UpstreamKind.OpenAi,
        },
        BaseUrl = new Uri(upstream.BaseUrl),
        ApiVersion = upstream.ApiVersion ?? "2024-10-21",
        Credential = Credential(ns, upstream.Credential),
        AnswerTimeout = TimeSpan.FromSeconds(upstream.TimeoutSeconds),
        IdleTimeout = TimeSpan.FromSeconds(upstream.TimeoutSeconds),
        MaxConcurrent = upstream.MaxConcurrent,
    };

    private static CredentialRef? Credential(string ns, CredentialSpec? credential) => credential switch
    {
        null => null,
        { SecretRef: { } secret } => new CredentialRef.Secret(ns, secret.Name, secret.Key),
        { File: { } file } => new CredentialRef.File(file),
        { Env: { } variable } => new CredentialRef.EnvironmentVariable(variable),
        { Vault: { } vault } => new CredentialRef.Vault(vault.Mount, vault.Path, vault.Key),
        { Oauth: { } oauth } => new CredentialRef.OAuth(
            new Uri(oauth.TokenUrl), oauth.ClientId, new CredentialRef.Secret(ns, oauth.ClientSecretRef.Name, oauth.ClientSecretRef.Key), oauth.Scope, oauth.Resource),
        _ => throw new ArgumentException("A credential names no source.", nameof(credential)),
    };

    private static IEnumerable<Detector> Detectors(InferenceDetector detector)
    {
        DetectorAction action = detector.Action == "deny" ? DetectorAction.Deny : DetectorAction.Redact;
        bool input = detector.ApplyTo is "input" or "both";
        bool output = detector.ApplyTo is "output" or "both";
        return (detector.Pattern is { } pattern ? [pattern] : Detector.SecretPatterns).Select(form => new Detector(detector.Name, form, action, input, output));
    }

    private static long? NanoUsd(string? usd) => usd is null ? null : (long)(decimal.Parse(usd, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture) * Spend.NanoPerUsd);

    private static BudgetScope Scope(string scope) => scope switch
    {
        "team" => BudgetScope.Team,
        "universe" => BudgetScope.Universe,
        "namespace" => BudgetScope.Namespace,
        _ => BudgetScope.Agent,
    };

    private static BudgetPeriod Period(string period) => period switch
    {
        "day" => BudgetPeriod.Day,
        "month" => BudgetPeriod.Month,
        _ => BudgetPeriod.Total,
    };
}
