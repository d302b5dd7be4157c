using Rynxs.Gateway.Spool;
using Rynxs.Policy.Budgets;

namespace Rynxs.Gateway.Budgets;

/// <summary>A sum that was set aside for one request. Its owner settles it; if it cannot, the time charges it in full.</summary>
internal sealed class Reservation(BudgetLedger ledger, long id, Spend amount)
{
    private int _settled;

    /// <summary>Id in the spool.</summary>
    public long Id { get; } = id;

    /// <summary>What was set aside.</summary>
    public Spend Amount { get; } = amount;

    /// <summary>Charges what was used; only the first call counts.</summary>
    /// <exception cref="SpoolUnavailableException">It cannot be written: the reservation stays and will be charged in full.</exception>
    public void Settle(Spend actual)
    {
        if (Interlocked.Exchange(ref _settled, 1) == 0)
        {
            ledger.Settle(Id, actual);
        }
    }
}

/// <summary>Answer to a wish to spend.</summary>
internal abstract record BudgetAnswer
{
    private BudgetAnswer()
    {
    }

    /// <summary>Set aside.</summary>
    public sealed record Granted(Reservation Reservation) : BudgetAnswer;

    /// <summary>Not enough is left.</summary>
    /// <param name="Verdict">Which account.</param>
    /// <param name="RetryAfter">When trying again can help.</param>
    public sealed record Refused(BudgetVerdict.Refused Verdict, TimeSpan RetryAfter) : BudgetAnswer;
}

/// <summary>
/// The books of this gateway over its spool. Events are decided, written and applied under one lock, so that a hundred requests at once never pass a
/// limit together; they are read back at the next start, where whatever was still set aside is charged in full.
/// </summary>
internal sealed class BudgetLedger(GatewaySpool spool, TimeProvider timeProvider)
{
    private readonly BudgetBook _book = new();
    private long _expired;

    /// <summary>Reservations that nobody settled and that were therefore charged in full, since the start.</summary>
    public long ExpiredReservations => Interlocked.Read(ref _expired);

    /// <summary>Takes a line that was read; whether it was one of ours.</summary>
    public bool TryRestore(string line)
    {
        if (BudgetLine.Read(line) is not { } read)
        {
            return false;
        }

        _book.Apply(read);
        return true;
    }

    /// <summary>After the last line: what an earlier process left open is charged in full. It is part of the first snapshot.</summary>
    public void FinishRestore()
    {
        foreach (BudgetEvent.Expired open in _book.Due(DateTimeOffset.MaxValue))
        {
            _book.Apply(open);
            _expired++;
        }
    }

    /// <summary>Lines that make the books; under the spool's lock.</summary>
    public IEnumerable<string> Snapshot_NeedsLock() => _book.Snapshot(timeProvider.GetUtcNow()).Select(BudgetLine.Write);

    /// <summary>Sets an amount aside in all accounts, or in none. The line is with the kernel when this returns; <see cref="GatewaySpool.WhenDurableAsync"/> tells when it is on the disk.</summary>
    /// <exception cref="SpoolUnavailableException">It cannot be written; nothing is set aside.</exception>
    public BudgetAnswer Reserve(IReadOnlyList<BudgetCharge> charges, Spend amount, TimeSpan lifetime)
    {
        lock (spool.Gate)
        {
            DateTimeOffset now = timeProvider.GetUtcNow();
            ExpireDue_NeedsLock(now);
            switch (_book.Decide(charges, amount, now + lifetime))
            {
                case BudgetVerdict.Granted granted:
                    spool.Append(BudgetLine.Write(granted.Event), urgent: true);
                    _book.Apply(granted.Event);
                    return new BudgetAnswer.Granted(new Reservation(this, granted.Event.Id, amount));
                case BudgetVerdict.Refused refused:
                    TimeSpan wait = refused.MayPass ? TimeSpan.FromSeconds(2) : refused.Account.UntilNext(now) ?? TimeSpan.FromDays(1);
                    return new BudgetAnswer.Refused(refused, wait);
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }
    }

    /// <summary>What is in every account.</summary>
    public IReadOnlyList<(BudgetAccount Account, Spend Spent, Spend Reserved)> List()
    {
        lock (spool.Gate)
        {
            ExpireDue_NeedsLock(timeProvider.GetUtcNow());
            return _book.List();
        }
    }

    internal void Settle(long id, Spend actual)
    {
        lock (spool.Gate)
        {
            if (!_book.IsOpen(id))
            {
                return; // Its time charged it already.
            }

            BudgetEvent.Settled settled = new(id, actual);
            spool.Append(BudgetLine.Write(settled), urgent: false);
            _book.Apply(settled);
        }
    }

    private void ExpireDue_NeedsLock(DateTimeOffset now)
    {
        foreach (BudgetEvent.Expired due in _book.Due(now))
        {
            spool.Append(BudgetLine.Write(due), urgent: false);
            _book.Apply(due);
            _expired++;
        }
    }
}
