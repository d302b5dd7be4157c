using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

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

    /// <summary>Whether another writer, not the role itself and not the one that asks, has claimed the chain in a record behind a sequence.</summary>
    public static async Task<bool> WasClaimedAfterAsync(IClaimableChain chain, long seq, string? writer, CancellationToken cancellationToken)
    {
        await foreach (LedgerRecord record in chain.ReadAsync(seq + 1, cancellationToken))
        {
            if (record.Type == nameof(LedgerOpened)
                && !(record.Meta.TryGetProperty("principal"u8, out JsonElement principal) && principal.ValueEquals(OwnPrincipal))
                && !(writer is not null && record.Meta.TryGetProperty("writer_id"u8, out JsonElement claimer) && claimer.ValueEquals(writer)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Records on the chain that a writer came too late: for forensics, which looks for what it did meanwhile. Once for each writer and epoch: one that asks
    /// again and again fills no log.
    /// </summary>
    /// <param name="chain">The chain that another writer has.</param>
    /// <param name="principal">Who was refused.</param>
    /// <param name="writer">Its name for itself, or null.</param>
    /// <param name="lastSeq">The last record that it knows; its epoch is the one that it was in.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public static async Task RecordFencedAsync(IClaimableChain chain, string principal, string? writer, long lastSeq, CancellationToken cancellationToken)
    {
        long epoch = 0, current = chain.Epoch;
        if (lastSeq >= 0)
        {
            await foreach (LedgerRecord record in chain.ReadAsync(lastSeq, cancellationToken))
            {
                epoch = record.Meta.TryGetProperty("epoch"u8, out JsonElement value) && value.TryGetInt64(out long stated) ? stated : 0;
                break;
            }
        }

        string name = writer is null ? principal : $"{principal}/{writer}";
        string key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..16];
        try
        {
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = new WriterFenced { Writer = name, Epoch = epoch, CurrentEpoch = current, Attempted = "append" },
                    AggregateId = chain.Id.AgentName is null ? "rynxs/control" : $"{chain.Id.AgentNamespace}/{chain.Id.AgentName}",
                    Principal = OwnPrincipal,
                    IdempotencyKey = string.Create(CultureInfo.InvariantCulture, $"fenced-{epoch}-{key}"),
                },
                cancellationToken);
        }
        catch (IdempotencyConflictException)
        {
            // It was recorded before, in an earlier epoch of the chain: once is enough.
        }
    }
}
