namespace Rynxs.Ledger.Events;

/// <summary>The beginning of this chain was moved to an archive. Recorded before it is removed here.</summary>
public sealed record LedgerPruned : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(LedgerPruned);

    /// <summary>First sequence that stays.</summary>
    public required long BeforeSeq { get; init; }

    /// <summary>Hash of the last record that was moved: the <c>prev_hash</c> of the first that stays.</summary>
    public required string HeadHash { get; init; }

    /// <summary>First sequence that was moved by this pruning.</summary>
    public required long FromSeq { get; init; }

    /// <summary>Segments that were moved.</summary>
    public required int Segments { get; init; }

    /// <summary>Their bytes.</summary>
    public required long Bytes { get; init; }
}
