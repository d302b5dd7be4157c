using Rynxs.Ledger;

namespace Rynxs.Server.LedgerRole;

/// <summary>The chains that the role writes, opened when they are first used and again after a failure that a new opening may cure.</summary>
internal sealed class RoleChains(ILedger ledger)
{
    /// <summary>Principal of the records with which the role itself opens a chain: they are no writer's claim.</summary>
    public const string OwnPrincipal = "system:ledger";

    public IReadOnlyList<ChainId> List() => ledger.ListChains();

    /// <summary>Another process has taken the store over: this one is of no use any more, and says so when it is asked whether it is ready.</summary>
    public bool IsDeposed { get; private set; }

    /// <summary>The chain; the same instance while it works.</summary>
    public async ValueTask<IClaimableChain> OpenAsync(ChainId id, CancellationToken cancellationToken)
    {
        try
        {
            return (IClaimableChain)await ledger.OpenAsync(id, new ChainOptions(), cancellationToken);
        }
        catch (LedgerFencedException)
        {
            IsDeposed = true;
            throw;
        }
    }

    /// <summary>Whether a writer, not the role itself, has claimed the chain in a record behind a sequence.</summary>
    public static async Task<bool> WasClaimedAfterAsync(IClaimableChain chain, long seq, CancellationToken cancellationToken)
    {
        await foreach (LedgerRecord record in chain.ReadAsync(seq + 1, cancellationToken))
        {
            if (record.Type == nameof(Ledger.Events.LedgerOpened)
                && !(record.Meta.TryGetProperty("principal"u8, out var principal) && principal.GetString() == OwnPrincipal))
            {
                return true;
            }
        }

        return false;
    }
}
