using Rynxs.Ledger.Stores.Sqlite;
using Rynxs.Ledger.Tests.Conformance;

namespace Rynxs.Ledger.Stores.Tests.Sqlite;

public sealed class SqliteConformanceTests : LedgerConformance
{
    protected override async Task<ILedger> OpenAsync(OpenHow how) => await SqliteLedger.OpenAsync(
        new SqliteLedgerOptions { Path = Scratch.At("ledger.db"), TakeOver = how.TakeOver, TimeProvider = how.Clock ?? TimeProvider.System },
        Cancelled);

    /// <summary>A write-ahead log whose last frame was cut short.</summary>
    protected override async Task TearAsync()
    {
        byte[] garbage = new byte[3000];
        new Random(7).NextBytes(garbage);
        await using FileStream log = new(Scratch.At("ledger.db-wal"), FileMode.Append);
        await log.WriteAsync(garbage, Cancelled);
    }
}
