using FsCheck;
using FsCheck.Fluent;
using Rynxs.Policy.Budgets;

namespace Rynxs.Gateway.Tests.Budgets;

/// <summary>The state machine of the books under random commands, beside a model that is as simple as can be.</summary>
public sealed class BudgetBookTests
{
    private static readonly BudgetLimit Limit = new(BudgetScope.Agent, BudgetPeriod.Total, 1000, 5000);
    private static readonly BudgetCharge[][] Charges =
    [
        [Charge("a")], [Charge("b")], [Charge("a"), Charge("team")], [Charge("b"), Charge("team")],
    ];

    [Fact]
    public void Nothing_is_lost_and_no_limit_passed_whatever_the_order_of_reserving_settling_and_expiring() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(byte Kind, byte Which, ushort Tokens, ushort Money)[]>(), steps =>
        {
            BudgetBook book = new();
            List<BudgetEvent> log = [];
            Dictionary<long, (BudgetCharge[] Charges, Spend Amount)> open = [];
            Dictionary<string, Spend> spent = [];
            DateTimeOffset now = DateTimeOffset.UnixEpoch;
            foreach ((byte kind, byte which, ushort tokens, ushort money) in steps)
            {
                now = now.AddSeconds(1);
                Spend amount = new(tokens % 400, money % 2000);
                switch (kind % 4)
                {
                    case 0 or 1:
                        BudgetCharge[] charges = Charges[which % Charges.Length];
                        if (book.Decide(charges, amount, now.AddSeconds(which)) is BudgetVerdict.Granted granted)
                        {
                            Apply(granted.Event);
                            open[granted.Event.Id] = (charges, amount);
                        }

                        break;
                    case 2 when open.Count > 0:
                        // Never more than was set aside, as an upstream that obeys.
                        long id = open.Keys.ElementAt(which % open.Count);
                        Close(id, new Spend(Math.Min(amount.Tokens, open[id].Amount.Tokens), Math.Min(amount.NanoUsd, open[id].Amount.NanoUsd)), new BudgetEvent.Settled(id, default));
                        break;
                    default:
                        foreach (BudgetEvent.Expired due in book.Due(now))
                        {
                            Close(due.Id, open[due.Id].Amount, due);
                        }

                        break;
                }

                foreach ((BudgetAccount account, Spend charged, Spend reserved) in book.List())
                {
                    if (charged != spent.GetValueOrDefault(account.Name)
                        || reserved.Tokens != open.Values.Where(entry => entry.Charges.Any(charge => charge.Account == account)).Sum(entry => entry.Amount.Tokens)
                        || charged.Tokens + reserved.Tokens > Limit.Tokens || charged.NanoUsd + reserved.NanoUsd > Limit.NanoUsd)
                    {
                        return false;
                    }
                }
            }

            // Replayed, and replayed from a snapshot, the books are the same.
            return Same(book, log) && Same(book, book.Snapshot(now));

            void Apply(BudgetEvent happened)
            {
                log.Add(happened);
                book.Apply(happened);
            }

            void Close(long id, Spend actual, BudgetEvent happened)
            {
                Apply(happened is BudgetEvent.Settled ? new BudgetEvent.Settled(id, actual) : happened);
                foreach (BudgetCharge charge in open[id].Charges)
                {
                    spent[charge.Account.Name] = spent.GetValueOrDefault(charge.Account.Name) + actual;
                }

                open.Remove(id);
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Amount_is_granted_up_to_the_limit_and_not_one_token_beyond()
    {
        BudgetBook book = new();

        book.Decide(Charges[0], new Spend(1000, 5000), DateTimeOffset.MaxValue).ShouldBeOfType<BudgetVerdict.Granted>();
        book.Decide(Charges[0], new Spend(1001, 0), DateTimeOffset.MaxValue).ShouldBeOfType<BudgetVerdict.Refused>().Money.ShouldBeFalse();
        book.Decide(Charges[0], new Spend(0, 5001), DateTimeOffset.MaxValue).ShouldBeOfType<BudgetVerdict.Refused>().Money.ShouldBeTrue();
    }

    [Fact]
    public void Late_settlement_of_what_expired_changes_nothing()
    {
        BudgetBook book = new();
        BudgetEvent.Reserved reserved = book.Decide(Charges[0], new Spend(10, 10), DateTimeOffset.UnixEpoch).ShouldBeOfType<BudgetVerdict.Granted>().Event;
        book.Apply(reserved);
        book.Apply(book.Due(DateTimeOffset.UnixEpoch).Single());

        book.Apply(new BudgetEvent.Settled(reserved.Id, Spend.Zero));

        book.Of(Charges[0][0].Account).ShouldBe((new Spend(10, 10), Spend.Zero));
    }

    [Fact]
    public void Upstream_that_reports_more_than_it_was_allowed_closes_the_budget_instead_of_wrapping_it()
    {
        BudgetBook book = new();
        BudgetEvent.Reserved reserved = book.Decide(Charges[0], new Spend(10, 10), DateTimeOffset.MaxValue).ShouldBeOfType<BudgetVerdict.Granted>().Event;
        book.Apply(reserved);
        book.Apply(new BudgetEvent.Settled(reserved.Id, new Spend(long.MaxValue, long.MaxValue)));

        book.Decide(Charges[0], new Spend(1, 0), DateTimeOffset.MaxValue).ShouldBeOfType<BudgetVerdict.Refused>();
    }

    [Theory]
    [InlineData(1, 0, 37_500_000, 38)] // 37.5 nano-USD are charged as 38.
    [InlineData(1_000_000, 0, 150_000_000, 150_000_000)]
    [InlineData(0, 0, 150_000_000, 0)]
    public void Price_is_never_rounded_down(long input, long output, long price, long cost) =>
        new TokenPrice(price, price).Of(input, output).NanoUsd.ShouldBe(cost);

    [Fact]
    public void Day_begins_anew_at_midnight_in_utc()
    {
        DateTimeOffset late = new(2026, 12, 31, 23, 59, 59, TimeSpan.Zero);

        BudgetAccount account = BudgetAccount.At(BudgetScope.Agent, "ns/a", BudgetPeriod.Day, late.ToOffset(TimeSpan.FromHours(5)));
        account.Window.ShouldBe(20261231);
        account.UntilNext(late).ShouldBe(TimeSpan.FromSeconds(1));
        BudgetAccount.At(BudgetScope.Agent, "ns/a", BudgetPeriod.Month, late.AddSeconds(1)).Window.ShouldBe(202701);
    }

    private static bool Same(BudgetBook book, IEnumerable<BudgetEvent> events)
    {
        BudgetBook other = new();
        foreach (BudgetEvent happened in events.ToArray())
        {
            other.Apply(happened);
        }

        return book.List().All(entry => other.Of(entry.Account) == (entry.Spent, entry.Reserved)) && other.OpenReservations == book.OpenReservations;
    }

    private static BudgetCharge Charge(string name) => new(new BudgetAccount(BudgetScope.Agent, name, BudgetPeriod.Total, 0), Limit);
}
