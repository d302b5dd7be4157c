using Microsoft.Extensions.Logging;
using Rynxs.Agents.Lifecycle;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Providers;

/// <summary>Makes the provider that a spec names.</summary>
internal static class ProviderFactory
{
    /// <exception cref="AgentStartException"><c>InvalidProvider</c>: names the field.</exception>
    public static IModelProvider Create(NamespacedName agent, ProviderSpec spec, AgentServices services) => spec.Kind switch
    {
        "scripted" => new ScriptedProvider(),
        "openai" or "local" => CreateOpenAi(agent, spec, services),
        _ => throw new AgentStartException("InvalidProvider", $"spec.provider.kind: '{spec.Kind}' is not one of scripted, openai, local."),
    };

    private static OpenAiProvider CreateOpenAi(NamespacedName agent, ProviderSpec spec, AgentServices services)
    {
        string baseUrl = spec.BaseUrl ?? (spec.Kind == "openai"
            ? "https://api.openai.com/v1"
            : throw new AgentStartException("InvalidProvider", "spec.provider.baseUrl: missing for kind 'local'."));
        if (!Uri.TryCreate(baseUrl, UriKind.Absolute, out Uri? url) || url.Scheme is not ("http" or "https") || url.UserInfo.Length > 0 || url.Query.Length > 0)
        {
            throw new AgentStartException("InvalidProvider", "spec.provider.baseUrl: must be an http or https address without user, password and query.");
        }

        if (string.IsNullOrWhiteSpace(spec.Model))
        {
            throw new AgentStartException("InvalidProvider", $"spec.provider.model: missing for kind '{spec.Kind}'.");
        }

        SecretKeyRef? secret = spec.ApiKeySecretRef;
        return new OpenAiProvider(
            new OpenAiOptions
            {
                BaseUrl = url,
                Model = spec.Model,
                Timeout = TimeSpan.FromSeconds(spec.TimeoutSeconds),
                MaxRetries = spec.MaxRetries,
            },
            secret is null || services.ModelTransport is not null ? null : token => services.Secrets.TryGetAsync(agent.Namespace, secret.Name, secret.Key, token),
            services.ModelTransport?.Invoke(agent, spec with { BaseUrl = baseUrl }),
            services.TimeProvider,
            services.LoggerFactory.CreateLogger<OpenAiProvider>());
    }
}
