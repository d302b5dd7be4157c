using System.Globalization;
using Rynxs.Policy.Budgets;

namespace Rynxs.Policy.Inference;

/// <summary>Decides about calls of models. Pure: the same model and facts give the same verdict.</summary>
public static class InferencePolicy
{
    /// <summary>
    /// Tokens that an upstream may add to what it is sent: templates of messages, and the instructions that Anthropic adds to requests with tools (at most 530
    /// by its documentation of 2025).
    /// </summary>
    private const long Overhead = 64;
    private const long OverheadWithTools = 1024;

    /// <summary>The one policy for an agent: the highest priority among those that name it, never a guess between two.</summary>
    public static (InferencePolicyModel? Policy, InferenceDenial? Denial) Select(IReadOnlyList<InferencePolicyModel> policies, string agent)
    {
        ArgumentNullException.ThrowIfNull(policies);
        InferencePolicyModel? best = null;
        bool tie = false;
        foreach (InferencePolicyModel policy in policies)
        {
            if ((best is null || policy.Priority >= best.Priority) && policy.IsFor(agent))
            {
                tie = best is not null && policy.Priority == best.Priority;
                best = policy;
            }
        }

        return best is null ? (null, InferenceDenial.NoPolicy) : tie ? (null, InferenceDenial.AmbiguousPolicy) : (best, null);
    }

    /// <summary>Decides about one call.</summary>
    public static InferenceVerdict Decide(InferencePolicyModel policy, InferenceFacts facts)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(facts);
        if (!policy.Models.TryGetValue(facts.Model, out ModelRule? model))
        {
            return new InferenceVerdict.Deny(InferenceDenial.Model, "model: not one that the policy allows; GET /v1/models lists them.");
        }

        if (!model.Endpoints.Contains(facts.Endpoint))
        {
            return new InferenceVerdict.Deny(InferenceDenial.Endpoint, "model: the policy does not allow it for this endpoint.");
        }

        if (Denied(policy, facts) is { } denied)
        {
            return denied;
        }

        long images = 0;
        if (facts.Images > 0)
        {
            if (model.MaxImageTokens is not { } each)
            {
                return new InferenceVerdict.Deny(InferenceDenial.Image, "The policy allows no images for this model: it does not say what one may cost.");
            }

            images = facts.Images * each;
        }

        long? output = (facts.OutputTokens, model.MaxOutputTokens) switch
        {
            _ when facts.Endpoint == InferenceEndpoint.Embeddings => null,
            ({ } asked, { } most) => Math.Min(asked, most),
            (var asked, var most) => asked ?? most,
        };
        long input = facts.InputBytes + images + (facts.Tools.Count > 0 ? OverheadWithTools : Overhead);
        Spend bound = (model.Price ?? default).Of(input, (output ?? 0) * facts.Choices);
        if (policy.Limits.MaxTokensPerRequest is { } tokens && bound.Tokens > tokens)
        {
            return new InferenceVerdict.Deny(InferenceDenial.RequestBudget, string.Create(
                CultureInfo.InvariantCulture, $"The request can use {bound.Tokens} tokens (input by its bytes, output by its limit); the policy allows {tokens}."));
        }

        if (policy.Limits.MaxNanoUsdPerRequest is { } money && bound.NanoUsd > money)
        {
            return new InferenceVerdict.Deny(InferenceDenial.RequestBudget, string.Create(
                CultureInfo.InvariantCulture, $"The request can cost {bound.NanoUsd / (decimal)Spend.NanoPerUsd} USD; the policy allows {money / (decimal)Spend.NanoPerUsd}."));
        }

        return new InferenceVerdict.Allow(model, output, input, bound);
    }

    private static InferenceVerdict.Deny? Denied(InferencePolicyModel policy, InferenceFacts facts)
    {
        InferenceLimits limits = policy.Limits;
        if (facts.OutputTokens is <= 0)
        {
            return new InferenceVerdict.Deny(InferenceDenial.Parameter, "max_tokens: must be at least 1.");
        }

        if (facts.Choices < 1 || facts.Choices > limits.MaxChoices)
        {
            return new InferenceVerdict.Deny(InferenceDenial.Parameter, string.Create(CultureInfo.InvariantCulture, $"n: must be 1 to {limits.MaxChoices}."));
        }

        if (facts.Temperature is { } temperature && limits.MaxTemperature is { } hottest && !(temperature <= hottest))
        {
            return new InferenceVerdict.Deny(InferenceDenial.Parameter, string.Create(CultureInfo.InvariantCulture, $"temperature: must be at most {hottest}."));
        }

        if (facts.Tools.Count > limits.MaxTools)
        {
            return new InferenceVerdict.Deny(InferenceDenial.Tool, string.Create(CultureInfo.InvariantCulture, $"tools: {facts.Tools.Count}; the policy allows {limits.MaxTools}."));
        }

        foreach (string tool in facts.Tools)
        {
            foreach (Rules.Glob forbidden in policy.ForbiddenTools)
            {
                if (forbidden.IsMatch(tool))
                {
                    return new InferenceVerdict.Deny(InferenceDenial.Tool, $"tools: the policy forbids the tool at index {IndexOf(facts.Tools, tool)}.");
                }
            }
        }

        return null;
    }

    private static int IndexOf(IReadOnlyList<string> tools, string tool)
    {
        int index = 0;
        while (index < tools.Count && tools[index] != tool)
        {
            index++;
        }

        return index;
    }
}
