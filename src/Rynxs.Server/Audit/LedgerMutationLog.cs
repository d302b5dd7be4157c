using System.Diagnostics;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.Server.Audit;

/// <summary>
/// Records every mutation of an object on the control chain before it commits: who, what, which object, and a salted commitment to its
/// content. The content itself stays in the object store; no blob is kept, so that deleting an object deletes its text.
/// </summary>
internal sealed class LedgerMutationLog(ILedgerChain chain) : IMutationLog
{
    public async ValueTask RecordAsync(MutationRecord mutation, CancellationToken cancellationToken)
    {
        await chain.AppendAsync(
            new LedgerEntry
            {
                Payload = new ResourceMutated
                {
                    Verb = mutation.Verb,
                    Kind = mutation.Kind,
                    Namespace = mutation.Namespace.Length == 0 ? null : mutation.Namespace,
                    Name = mutation.Name,
                    Uid = mutation.Uid,
                    ResourceVersion = mutation.ResourceVersion,
                    Commitment = Commit(mutation.ObjectJson),
                },
                AggregateId = mutation.Namespace.Length == 0 ? mutation.Name : $"{mutation.Namespace}/{mutation.Name}",
                Principal = mutation.Principal,
                TraceId = Activity.Current?.TraceId.ToHexString(),
            },
            cancellationToken);
    }

    /// <summary>The highest version that any record names: it must not be given again (see ResourceStore.BurnVersionsThrough).</summary>
    public static async Task<long> HighestVersionAsync(ILedgerChain chain, CancellationToken cancellationToken)
    {
        long highest = 0;
        await foreach (LedgerRecord record in chain.ReadAsync(0, cancellationToken))
        {
            if (record.Type == nameof(ResourceMutated) && record.Payload.TryGetProperty("resource_version", out System.Text.Json.JsonElement version)
                && version.TryGetInt64(out long value))
            {
                highest = Math.Max(highest, value);
            }
        }

        return highest;
    }

    private static string Commit(ReadOnlyMemory<byte> content)
    {
        // Larger objects than a blob holds exist (3 MiB); the commitment to their digest is as binding.
        ReadOnlyMemory<byte> bound = content.Length <= LedgerLimits.MaxBlobBytes
            ? content
            : System.Security.Cryptography.SHA256.HashData(content.Span);
        return SideBlob.Create(bound).Commitment.Value;
    }
}
