namespace Rynxs.Policy.Budgets;

/// <summary>Who shares a budget.</summary>
public enum BudgetScope
{
    /// <summary>One agent.</summary>
    Agent,

    /// <summary>The agents of a team in a namespace.</summary>
    Team,

    /// <summary>The agents of a universe.</summary>
    Universe,

    /// <summary>Everybody in a namespace.</summary>
    Namespace,
}

/// <summary>After what time a budget begins anew.</summary>
public enum BudgetPeriod
{
    /// <summary>A day in UTC.</summary>
    Day,

    /// <summary>A calendar month in UTC.</summary>
    Month,

    /// <summary>Never.</summary>
    Total,
}

/// <summary>A limit of a policy: at most so much in a period.</summary>
/// <param name="Scope">Who shares it.</param>
/// <param name="Period">After what time it begins anew.</param>
/// <param name="Tokens">Most tokens; null for any number.</param>
/// <param name="NanoUsd">Most nano-USD; null for any sum.</param>
public sealed record BudgetLimit(BudgetScope Scope, BudgetPeriod Period, long? Tokens, long? NanoUsd);

/// <summary>One account in the books.</summary>
/// <param name="Scope">Who shares it.</param>
/// <param name="Name">Such as <c>NAMESPACE/NAME</c>.</param>
/// <param name="Period">Its period.</param>
/// <param name="Window">Which one: 20261122 for a day, 202611 for a month, 0 for a total.</param>
public readonly record struct BudgetAccount(BudgetScope Scope, string Name, BudgetPeriod Period, int Window)
{
    /// <summary>The account of a limit at a moment.</summary>
    public static BudgetAccount At(BudgetScope scope, string name, BudgetPeriod period, DateTimeOffset now)
    {
        DateTime utc = now.UtcDateTime;
        return new BudgetAccount(scope, name, period, period switch
        {
            BudgetPeriod.Day => (((utc.Year * 100) + utc.Month) * 100) + utc.Day,
            BudgetPeriod.Month => (utc.Year * 100) + utc.Month,
            _ => 0,
        });
    }

    /// <summary>How long until the period is over; null when it never is.</summary>
    public TimeSpan? UntilNext(DateTimeOffset now)
    {
        DateTime utc = now.UtcDateTime;
        return Period switch
        {
            BudgetPeriod.Day => utc.Date.AddDays(1) - utc,
            BudgetPeriod.Month => new DateTime(utc.Year, utc.Month, 1, 0, 0, 0, DateTimeKind.Utc).AddMonths(1) - utc,
            _ => null,
        };
    }
}

/// <summary>An account together with the limit that holds for it now.</summary>
/// <param name="Account">The account.</param>
/// <param name="Limit">What may be in it.</param>
public readonly record struct BudgetCharge(BudgetAccount Account, BudgetLimit Limit);
