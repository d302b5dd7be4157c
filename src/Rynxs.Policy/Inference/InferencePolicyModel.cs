using System.Collections.Frozen;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Rules;

namespace Rynxs.Policy.Inference;

/// <summary>What a call is for.</summary>
public enum InferenceEndpoint
{
    /// <summary>OpenAI <c>POST /v1/chat/completions</c>.</summary>
    ChatCompletions,

    /// <summary>OpenAI <c>POST /v1/responses</c>.</summary>
    Responses,

    /// <summary>OpenAI <c>POST /v1/embeddings</c>.</summary>
    Embeddings,

    /// <summary>Anthropic <c>POST /v1/messages</c>.</summary>
    Messages,
}

/// <summary>A model that callers may name.</summary>
public sealed record ModelRule
{
    /// <summary>The name that callers use; it may be an alias.</summary>
    public required string Name { get; init; }

    /// <summary>Where it is to be had, in the order of preference, at least one.</summary>
    public required IReadOnlyList<ModelRoute> Routes { get; init; }

    /// <summary>For what it may be used; none is none.</summary>
    public required IReadOnlySet<InferenceEndpoint> Endpoints { get; init; }

    /// <summary>Most output tokens of one answer; what callers get when they ask for no number. Null leaves it to the upstream, where no budget counts.</summary>
    public required long? MaxOutputTokens { get; init; }

    /// <summary>Its price; null when nobody counts money.</summary>
    public TokenPrice? Price { get; init; }

    /// <summary>Upper bound of the tokens of one image; null refuses images, whose cost a request does not show.</summary>
    public long? MaxImageTokens { get; init; }
}

/// <summary>One place where a model is to be had.</summary>
/// <param name="Upstream">Name of an upstream of the policy.</param>
/// <param name="Model">The model's name there.</param>
public sealed record ModelRoute(string Upstream, string Model);

/// <summary>Bounds on one request.</summary>
public sealed record InferenceLimits
{
    /// <summary>Most tokens of one request, input and output, by their upper bound; null for any number.</summary>
    public long? MaxTokensPerRequest { get; init; }

    /// <summary>Most nano-USD of one request, by its upper bound; null for any sum.</summary>
    public long? MaxNanoUsdPerRequest { get; init; }

    /// <summary>Most choices (<c>n</c>), 1 by default.</summary>
    public int MaxChoices { get; init; } = 1;

    /// <summary>Largest <c>temperature</c>; null for any that the upstream takes.</summary>
    public double? MaxTemperature { get; init; }

    /// <summary>Most tools offered to the model, 128 by default.</summary>
    public int MaxTools { get; init; } = 128;
}

/// <summary>A compiled InferencePolicy: immutable, safe to share.</summary>
public sealed record InferencePolicyModel
{
    /// <summary><c>NAMESPACE/NAME</c>.</summary>
    public required string Name { get; init; }

    /// <summary>SHA-256 of the canonical spec, 64 lower case hexadecimal digits: what is reported as enforced.</summary>
    public required string Digest { get; init; }

    /// <summary>Among the policies that name an agent the highest priority applies; a tie refuses.</summary>
    public int Priority { get; init; }

    /// <summary>Agents of the namespace that it is for.</summary>
    public required IReadOnlyList<Glob> Agents { get; init; }

    /// <summary>Models by the name that callers use. Every other name is refused (E6).</summary>
    public required FrozenDictionary<string, ModelRule> Models { get; init; }

    /// <summary>Bounds on one request.</summary>
    public InferenceLimits Limits { get; init; } = new();

    /// <summary>Shared budgets.</summary>
    public IReadOnlyList<BudgetLimit> Budgets { get; init; } = [];

    /// <summary>Tools that may not be offered to a model.</summary>
    public IReadOnlyList<Glob> ForbiddenTools { get; init; } = [];

    /// <summary>Whether the policy is for an agent.</summary>
    public bool IsFor(string agent)
    {
        foreach (Glob pattern in Agents)
        {
            if (pattern.IsMatch(agent))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>What a request says, as far as it matters for the decision.</summary>
public sealed record InferenceFacts
{
    /// <summary>What for.</summary>
    public required InferenceEndpoint Endpoint { get; init; }

    /// <summary>The model's name as the caller gave it.</summary>
    public required string Model { get; init; }

    /// <summary>Bytes of the request: an upper bound of its text tokens, since a token stands for at least one byte.</summary>
    public required long InputBytes { get; init; }

    /// <summary>Output tokens asked for; null for none named.</summary>
    public long? OutputTokens { get; init; }

    /// <summary>Choices asked for.</summary>
    public int Choices { get; init; } = 1;

    /// <summary>Temperature asked for.</summary>
    public double? Temperature { get; init; }

    /// <summary>Images in the input.</summary>
    public int Images { get; init; }

    /// <summary>Names of the tools that are offered to the model.</summary>
    public IReadOnlyList<string> Tools { get; init; } = [];
}

/// <summary>Why a call is refused.</summary>
public enum InferenceDenial
{
    /// <summary>No policy is for the caller: default deny.</summary>
    NoPolicy,

    /// <summary>Two policies of the same priority are for the caller, so nobody said which one holds.</summary>
    AmbiguousPolicy,

    /// <summary>The model is not on the list.</summary>
    Model,

    /// <summary>The model may not be used for this.</summary>
    Endpoint,

    /// <summary>A parameter is beyond its cap.</summary>
    Parameter,

    /// <summary>Too many tools, or a forbidden one.</summary>
    Tool,

    /// <summary>Images, whose cost nobody bounded.</summary>
    Image,

    /// <summary>The request alone is larger than a request may be.</summary>
    RequestBudget,
}

/// <summary>The decision on a call.</summary>
public abstract record InferenceVerdict
{
    private InferenceVerdict()
    {
    }

    /// <summary>It may go out.</summary>
    /// <param name="Model">The rule of the model.</param>
    /// <param name="OutputTokens">Bound on the output of each choice, to be written into the request; null for none.</param>
    /// <param name="InputBound">Upper bound of the input tokens.</param>
    /// <param name="Bound">Upper bound of what it uses, to be set aside.</param>
    public sealed record Allow(ModelRule Model, long? OutputTokens, long InputBound, Spend Bound) : InferenceVerdict;

    /// <summary>It may not.</summary>
    /// <param name="Reason">Why.</param>
    /// <param name="Detail">For the caller; names the field.</param>
    public sealed record Deny(InferenceDenial Reason, string Detail) : InferenceVerdict;
}
