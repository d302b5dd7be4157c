using System.Diagnostics;
using System.Globalization;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;

namespace Rynxs.SecurityTests;

/// <summary>
/// A ledger that ends its own process with SIGKILL right before or right after the N-th append to agents' chains. Only in the child that a
/// test starts, and only when the environment names N.
/// </summary>
internal sealed class CrashingLedger(ILedger inner, int crashAt, bool after) : ILedger
{
    internal const string AtVariable = "RYNXS_TEST_CRASH_AT";
    internal const string AfterVariable = "RYNXS_TEST_CRASH_AFTER";

    private int _appends;

    /// <summary>Null when the environment asks for no crash.</summary>
    public static Func<ILedger, ILedger>? FromEnvironment() =>
        int.TryParse(Environment.GetEnvironmentVariable(AtVariable), NumberStyles.None, CultureInfo.InvariantCulture, out int at)
            ? inner => new CrashingLedger(inner, at, Environment.GetEnvironmentVariable(AfterVariable) == "1")
            : null;

    public async ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        ILedgerChain chain = await inner.OpenAsync(id, options, cancellationToken);
        return id.AgentName is null ? chain : new Chain(this, chain);
    }

    public IReadOnlyList<ChainId> ListChains() => inner.ListChains();

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private static async Task DieAsync()
    {
        using var self = Process.GetCurrentProcess();
        self.Kill();
        await Task.Delay(Timeout.Infinite, CancellationToken.None); // Should it live a moment longer, it does not go on.
    }

    private sealed class Chain(CrashingLedger ledger, ILedgerChain chain) : ILedgerChain
    {
        public ChainId Id => chain.Id;

        public ChainHead Head => chain.Head;

        public long Epoch => chain.Epoch;

        public async ValueTask<AppendedRecord> AppendAsync(LedgerEntry entry, CancellationToken cancellationToken)
        {
            bool here = Interlocked.Increment(ref ledger._appends) == ledger.CrashAt;
            if (here && !ledger.After)
            {
                await DieAsync();
            }

            AppendedRecord record = await chain.AppendAsync(entry, cancellationToken);
            if (here)
            {
                await DieAsync();
            }

            return record;
        }

        public IAsyncEnumerable<LedgerRecord> ReadAsync(long fromSeq, CancellationToken cancellationToken) => chain.ReadAsync(fromSeq, cancellationToken);

        public Task WaitForAppendAsync(long seq, CancellationToken cancellationToken) => chain.WaitForAppendAsync(seq, cancellationToken);

        public ValueTask<SideBlob?> ReadBlobAsync(Commitment commitment, CancellationToken cancellationToken) => chain.ReadBlobAsync(commitment, cancellationToken);
    }

    private int CrashAt => crashAt;

    private bool After => after;
}
