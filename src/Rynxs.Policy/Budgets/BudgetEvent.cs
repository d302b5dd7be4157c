namespace Rynxs.Policy.Budgets;

/// <summary>What changes the books. A closed family; only <see cref="BudgetBook.Apply"/> turns one into state.</summary>
public abstract record BudgetEvent
{
    private BudgetEvent()
    {
    }

    /// <summary>Money was set aside before a request went out.</summary>
    /// <param name="Id">Of the reservation; never used twice.</param>
    /// <param name="Accounts">Every account that it counts in.</param>
    /// <param name="Amount">Upper bound of what the request can use.</param>
    /// <param name="Expires">When it is charged in full if nobody settled it.</param>
    public sealed record Reserved(long Id, IReadOnlyList<BudgetAccount> Accounts, Spend Amount, DateTimeOffset Expires) : BudgetEvent;

    /// <summary>A request is over and this is what it used, which may be more than was set aside when an upstream disobeys.</summary>
    /// <param name="Id">Of the reservation.</param>
    /// <param name="Actual">What is charged.</param>
    public sealed record Settled(long Id, Spend Actual) : BudgetEvent;

    /// <summary>Nobody settled it in time: all of it is charged.</summary>
    /// <param name="Id">Of the reservation.</param>
    public sealed record Expired(long Id) : BudgetEvent;

    /// <summary>Balance of an account carried over when the spool was written anew.</summary>
    /// <param name="Account">The account.</param>
    /// <param name="Spent">What was charged so far.</param>
    public sealed record Carried(BudgetAccount Account, Spend Spent) : BudgetEvent;
}

/// <summary>Answer to a wish to spend.</summary>
public abstract record BudgetVerdict
{
    private BudgetVerdict()
    {
    }

    /// <summary>It fits; the event makes it so.</summary>
    /// <param name="Event">To be written and applied.</param>
    public sealed record Granted(BudgetEvent.Reserved Event) : BudgetVerdict;

    /// <summary>It does not fit.</summary>
    /// <param name="Account">The account that is too full.</param>
    /// <param name="Money">Whether money was short; else tokens were.</param>
    /// <param name="Limit">What may be in it, in tokens or nano-USD.</param>
    /// <param name="Used">What is in it, settled and set aside.</param>
    /// <param name="MayPass">Something is set aside in it that may come back: waiting can help before the period ends.</param>
    public sealed record Refused(BudgetAccount Account, bool Money, long Limit, long Used, bool MayPass) : BudgetVerdict;
}
