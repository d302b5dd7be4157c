using Rynxs.Gateway.Credentials;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference;

/// <summary>What an upstream speaks.</summary>
public enum UpstreamKind
{
    /// <summary>An OpenAI-compatible API; the base URL ends before <c>/chat/completions</c>, as in <c>https://api.openai.com/v1</c>.</summary>
    OpenAi,

    /// <summary>Azure OpenAI; the base URL is the resource's, as in <c>https://NAME.openai.azure.com</c>, and models are deployments.</summary>
    AzureOpenAi,

    /// <summary>Anthropic; the base URL ends before <c>/v1/messages</c>.</summary>
    Anthropic,

    /// <summary>Ollama's OpenAI-compatible API; the base URL ends with <c>/v1</c>.</summary>
    Ollama,

    /// <summary>The server of llama.cpp; the base URL ends with <c>/v1</c>.</summary>
    LlamaCpp,
}

/// <summary>A server of models.</summary>
public sealed record UpstreamConfig
{
    /// <summary>Name within its policy.</summary>
    public required string Name { get; init; }

    /// <summary>What it speaks.</summary>
    public required UpstreamKind Kind { get; init; }

    /// <summary>Base URL, see <see cref="UpstreamKind"/>.</summary>
    public required Uri BaseUrl { get; init; }

    /// <summary>Azure's <c>api-version</c>, default <c>2024-10-21</c>.</summary>
    public string ApiVersion { get; init; } = "2024-10-21";

    /// <summary>Its key or token; null sends none.</summary>
    public CredentialRef? Credential { get; init; }

    /// <summary>Longest wait for the head of its answer. Default 60 s.</summary>
    public TimeSpan AnswerTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest silence within an answer. Default 60 s.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Requests at once. Default 64.</summary>
    public int MaxConcurrent { get; init; } = 64;
}

/// <summary>A service that says whether texts try to take a model over. It gets <c>{"direction","texts":[…]}</c> and answers <c>{"flagged":true|false}</c>.</summary>
/// <param name="Url">Its address.</param>
/// <param name="Credential">Bearer token; null sends none.</param>
/// <param name="Timeout">Longest wait; no answer refuses the call.</param>
/// <param name="Input">Whether requests are shown to it.</param>
/// <param name="Output">Whether answers are; streams are then held to their end.</param>
public sealed record PromptShieldConfig(Uri Url, CredentialRef? Credential, TimeSpan Timeout, bool Input, bool Output);

/// <summary>A policy with everything that is needed to carry it out. Immutable.</summary>
public sealed record InferencePolicyConfig
{
    /// <summary>What is allowed.</summary>
    public required InferencePolicyModel Policy { get; init; }

    /// <summary>Servers by name.</summary>
    public required IReadOnlyDictionary<string, UpstreamConfig> Upstreams { get; init; }

    /// <summary>Searches of requests and answers.</summary>
    public IReadOnlyList<Detector> Detectors { get; init; } = [];

    /// <summary>Characters of a stream that are held back while detectors search it. Default 256.</summary>
    public int HoldCharacters { get; init; } = 256;

    /// <summary>Null asks nobody.</summary>
    public PromptShieldConfig? Shield { get; init; }

    /// <summary>Requests and answers themselves go to the ledger. Default false: only their hashes.</summary>
    public bool RecordContent { get; init; }

    /// <summary>Requests a minute for each agent. Default 600.</summary>
    public int RequestsPerMinute { get; init; } = 600;

    /// <summary>Requests at once for each agent. Default 16.</summary>
    public int MaxConcurrent { get; init; } = 16;

    /// <summary>Requests of an agent that wait for a place; further ones answer 429. Default 64.</summary>
    public int MaxQueued { get; init; } = 64;

    /// <summary>Longest request. Default 4 MiB.</summary>
    public int MaxRequestBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Longest answer. Default 16 MiB.</summary>
    public int MaxAnswerBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Longest call from beginning to end. Default 10 minutes.</summary>
    public TimeSpan MaxDuration { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>All policies at one moment. Replaced as a whole; calls that run go on with the one they began with.</summary>
public sealed record InferenceModel
{
    /// <summary>Policies by namespace.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyList<InferencePolicyConfig>> ByNamespace { get; init; }

    /// <summary>None at all: everything is refused.</summary>
    public static InferenceModel Empty { get; } = new() { ByNamespace = new Dictionary<string, IReadOnlyList<InferencePolicyConfig>>() };

    /// <summary>The one policy for a caller.</summary>
    public (InferencePolicyConfig? Policy, InferenceDenial? Denial) Select(string callerNamespace, string? agent)
    {
        if (agent is null || !ByNamespace.TryGetValue(callerNamespace, out IReadOnlyList<InferencePolicyConfig>? policies))
        {
            return (null, InferenceDenial.NoPolicy);
        }

        (InferencePolicyModel? selected, InferenceDenial? denial) = InferencePolicy.Select([.. policies.Select(policy => policy.Policy)], agent);
        return (selected is null ? null : policies.First(policy => ReferenceEquals(policy.Policy, selected)), denial);
    }
}
