namespace Rynxs.Policy.Budgets;

/// <summary>Tokens and money. Money is counted in nano-USD (10^-9 USD): a token of 0.0375 USD per million costs 37.5 of them, and 64 bits hold 9.2 billion USD.</summary>
/// <param name="Tokens">Input and output together.</param>
/// <param name="NanoUsd">Never rounded down.</param>
public readonly record struct Spend(long Tokens, long NanoUsd)
{
    /// <summary>Nothing.</summary>
    public static Spend Zero => default;

    /// <summary>Nano-USD of one USD.</summary>
    public const long NanoPerUsd = 1_000_000_000;

    /// <summary>Sum; stays at the largest number instead of wrapping round, so that an absurd figure of an upstream can only close a budget.</summary>
    public static Spend operator +(Spend left, Spend right) => new(Add(left.Tokens, right.Tokens), Add(left.NanoUsd, right.NanoUsd));

    /// <summary>What is left of <paramref name="left"/>; never below zero.</summary>
    public static Spend operator -(Spend left, Spend right) => new(Math.Max(0, left.Tokens - right.Tokens), Math.Max(0, left.NanoUsd - right.NanoUsd));

    /// <inheritdoc cref="op_Addition"/>
    public static Spend Add(Spend left, Spend right) => left + right;

    /// <inheritdoc cref="op_Subtraction"/>
    public static Spend Subtract(Spend left, Spend right) => left - right;

    private static long Add(long left, long right) => left > long.MaxValue - right ? long.MaxValue : left + right;
}

/// <summary>What a model costs.</summary>
/// <param name="InputNanoUsdPerMillion">Nano-USD for a million input tokens: 0.15 USD is 150,000,000.</param>
/// <param name="OutputNanoUsdPerMillion">The same for output tokens.</param>
public readonly record struct TokenPrice(long InputNanoUsdPerMillion, long OutputNanoUsdPerMillion)
{
    private const long Million = 1_000_000;

    /// <summary>Cost of a request, rounded up to a whole nano-USD. Cached input counts as input: a discount is never assumed (E6).</summary>
    public Spend Of(long inputTokens, long outputTokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(inputTokens);
        ArgumentOutOfRangeException.ThrowIfNegative(outputTokens);
        Int128 product = ((Int128)inputTokens * InputNanoUsdPerMillion) + ((Int128)outputTokens * OutputNanoUsdPerMillion);
        Int128 cost = (product + Million - 1) / Million;
        Int128 tokens = (Int128)inputTokens + outputTokens;
        return new Spend(tokens > long.MaxValue ? long.MaxValue : (long)tokens, cost > long.MaxValue ? long.MaxValue : (long)cost);
    }
}
