using System.Text.Json.Nodes;

namespace Rynxs.Gateway.Inference.Wire;

/// <summary>Tokens as an upstream reports them; null for what it has not said.</summary>
internal readonly record struct Usage(long? Input, long? Output)
{
    /// <summary>Whether it is enough to charge by.</summary>
    public bool IsWhole => Input is not null && Output is not null;

    /// <summary>Reads <c>usage</c> of any of the APIs. Tokens that were written to or read from a cache count as input (E6).</summary>
    public static Usage Of(JsonNode? usage)
    {
        if (usage is not JsonObject)
        {
            return default;
        }

        if (usage.Has("prompt_tokens") || usage.Has("completion_tokens"))
        {
            long? prompt = NotNegative(usage.Long("prompt_tokens"));
            long? total = NotNegative(usage.Long("total_tokens"));
            long? completion = NotNegative(usage.Long("completion_tokens"));

            // Embeddings report no completion. Where the total is more than its parts, somebody hid tokens (some servers leave reasoning out): they count.
            return prompt is { } p && total is { } t && t >= p ? new Usage(p, Math.Max(completion ?? 0, t - p)) : new Usage(prompt, completion);
        }

        long? input = NotNegative(usage.Long("input_tokens"));
        if (input is not null)
        {
            input += (NotNegative(usage.Long("cache_creation_input_tokens")) ?? 0) + (NotNegative(usage.Long("cache_read_input_tokens")) ?? 0);
        }

        return new Usage(input, NotNegative(usage.Long("output_tokens")));
    }

    /// <summary>This with what another says newly.</summary>
    public Usage With(Usage later) => new(later.Input ?? Input, later.Output ?? Output);

    private static long? NotNegative(long? value) => value is >= 0 and < 1L << 50 ? value : null;
}
