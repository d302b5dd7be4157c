using Rynxs.Agents.Inbox;
using Rynxs.Ledger.Blobs;

namespace Rynxs.Agents.Loop;

/// <summary>Reads a received message back from the chain's side blob: the inbox may have been truncated since.</summary>
internal static class MessageText
{
    /// <summary>Null when the blob was erased.</summary>
    public static async Task<InboxMessage?> LoadAsync(AuditTrail audit, ReceivedMessage received, CancellationToken cancellationToken)
    {
        SideBlob? blob = await audit.Chain.ReadBlobAsync(new Commitment(received.LineCommitment), cancellationToken);

        // The line was accepted once, so it is again; only a derived id depends on the place, which the record already fixed.
        return blob is not null && InboxLineParser.Parse(blob.Content, 0, 0) is InboxLine.Accepted { Message: var message }
            ? message with { Id = received.Id }
            : null;
    }
}
