namespace Rynxs.Ledger.Events;

/// <summary>
/// What an agent's chain was at one moment, recorded on the control chain: whoever trusts the control chain can tell when the agent's was
/// cut, rolled back or written anew since.
/// </summary>
public sealed record ChainAnchored : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(ChainAnchored);

    /// <summary><c>agents/NAMESPACE/NAME</c>.</summary>
    public required string Chain { get; init; }

    /// <summary>Number of records: the head's sequence and one.</summary>
    public required long Size { get; init; }

    /// <summary><c>event_hash</c> of the last of them.</summary>
    public required string HeadHash { get; init; }

    /// <summary>Root of the Merkle tree over them, 64 lowercase hexadecimal digits.</summary>
    public required string TreeRoot { get; init; }
}

/// <summary>A side blob was erased: salt and content are gone, the commitment stays. Recorded on the chain that holds the commitment, before the erasing.</summary>
public sealed record BlobErased : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(BlobErased);

    /// <summary>The commitment whose content was erased.</summary>
    public required string Commitment { get; init; }

    /// <summary>Why, in the words of who asked for it: 1 to 500 characters. Not secret.</summary>
    public required string Reason { get; init; }
}
