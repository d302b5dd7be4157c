namespace Rynxs.Policy.Budgets;

/// <summary>
/// The books: for every account what was charged and what is set aside. Decisions are pure, events change the state, nothing else does; so replaying
/// the events that were written gives the same books.
/// </summary>
/// <remarks>
/// Invariant: charged + set aside never passes a limit that held at the moment of each reservation, unless an upstream reported more than it
/// was allowed to use; then the books hold the truth and nothing more is granted. Not safe for concurrent use: its owner holds a lock.
/// </remarks>
public sealed class BudgetBook
{
    private readonly Dictionary<BudgetAccount, Balance> _accounts = [];
    private readonly Dictionary<long, BudgetEvent.Reserved> _open = [];
    private long _lastId;

    /// <summary>Reservations that are neither settled nor expired.</summary>
    public int OpenReservations => _open.Count;

    /// <summary>What was charged to an account and what is set aside in it.</summary>
    public (Spend Spent, Spend Reserved) Of(BudgetAccount account) =>
        _accounts.TryGetValue(account, out Balance? balance) ? (balance.Spent, balance.Reserved) : default;

    /// <summary>Whether the reservation is open.</summary>
    public bool IsOpen(long id) => _open.ContainsKey(id);

    /// <summary>Decides whether an amount fits into all accounts at once; all or nothing.</summary>
    public BudgetVerdict Decide(IReadOnlyList<BudgetCharge> charges, Spend amount, DateTimeOffset expires)
    {
        ArgumentNullException.ThrowIfNull(charges);
        foreach (BudgetCharge charge in charges)
        {
            (Spend spent, Spend reserved) = Of(charge.Account);
            Spend used = spent + reserved;
            if (charge.Limit.Tokens is { } tokens && amount.Tokens > Math.Max(0, tokens - used.Tokens))
            {
                return new BudgetVerdict.Refused(charge.Account, Money: false, tokens, used.Tokens, MayPass: amount.Tokens <= tokens - spent.Tokens);
            }

            if (charge.Limit.NanoUsd is { } money && amount.NanoUsd > Math.Max(0, money - used.NanoUsd))
            {
                return new BudgetVerdict.Refused(charge.Account, Money: true, money, used.NanoUsd, MayPass: amount.NanoUsd <= money - spent.NanoUsd);
            }
        }

        return new BudgetVerdict.Granted(new BudgetEvent.Reserved(_lastId + 1, [.. charges.Select(charge => charge.Account).Distinct()], amount, expires));
    }

    /// <summary>Reservations that are to be charged in full now.</summary>
    public IReadOnlyList<BudgetEvent.Expired> Due(DateTimeOffset now) =>
        [.. _open.Values.Where(reservation => reservation.Expires <= now).Select(reservation => new BudgetEvent.Expired(reservation.Id))];

    /// <summary>Changes the state. A settlement of what is not open changes nothing: it was charged in full already.</summary>
    public void Apply(BudgetEvent budgetEvent)
    {
        switch (budgetEvent)
        {
            case BudgetEvent.Reserved reserved:
                _lastId = Math.Max(_lastId, reserved.Id);
                if (_open.TryAdd(reserved.Id, reserved))
                {
                    foreach (BudgetAccount account in reserved.Accounts)
                    {
                        Balance balance = Open(account);
                        balance.Reserved += reserved.Amount;
                    }
                }

                break;
            case BudgetEvent.Settled settled:
                Close(settled.Id, settled.Actual);
                break;
            case BudgetEvent.Expired expired:
                Close(expired.Id, null);
                break;
            case BudgetEvent.Carried carried:
                Open(carried.Account).Spent += carried.Spent;
                break;
            default:
                throw new ArgumentException("An event of another kind.", nameof(budgetEvent));
        }
    }

    /// <summary>The events that make these books: balances, then what is open. Accounts of periods that ended before <paramref name="now"/> with nothing set aside are left out.</summary>
    public IEnumerable<BudgetEvent> Snapshot(DateTimeOffset now)
    {
        foreach ((BudgetAccount account, Balance balance) in _accounts)
        {
            if (balance.Spent != Spend.Zero && (balance.Reserved != Spend.Zero || !IsOver(account, now)))
            {
                yield return new BudgetEvent.Carried(account, balance.Spent);
            }
        }

        foreach (BudgetEvent.Reserved reserved in _open.Values)
        {
            yield return reserved;
        }
    }

    /// <summary>Every account with something in it.</summary>
    public IReadOnlyList<(BudgetAccount Account, Spend Spent, Spend Reserved)> List() =>
        [.. _accounts.Select(pair => (pair.Key, pair.Value.Spent, pair.Value.Reserved))];

    private static bool IsOver(BudgetAccount account, DateTimeOffset now) =>
        account.Period != BudgetPeriod.Total && account.Window < BudgetAccount.At(account.Scope, account.Name, account.Period, now).Window;

    private void Close(long id, Spend? actual)
    {
        _lastId = Math.Max(_lastId, id);
        if (!_open.Remove(id, out BudgetEvent.Reserved? reserved))
        {
            return;
        }

        foreach (BudgetAccount account in reserved.Accounts)
        {
            Balance balance = Open(account);
            balance.Reserved -= reserved.Amount;
            balance.Spent += actual ?? reserved.Amount;
        }
    }

    private Balance Open(BudgetAccount account)
    {
        if (!_accounts.TryGetValue(account, out Balance? balance))
        {
            _accounts.Add(account, balance = new Balance());
        }

        return balance;
    }

    private sealed class Balance
    {
        public Spend Spent { get; set; }

        public Spend Reserved { get; set; }
    }
}
