namespace Rynxs.Ledger.Events;

/// <summary>A process became the one that may act: the first record that it appends under its new epoch.</summary>
public sealed record LeadershipAcquired : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(LeadershipAcquired);

    /// <summary>Name of the lease, <c>NAMESPACE/NAME</c> in a cluster.</summary>
    public required string Lease { get; init; }

    /// <summary>Identity that now holds it.</summary>
    public required string Holder { get; init; }

    /// <summary>Grows with each change of holder.</summary>
    public required long Epoch { get; init; }

    /// <summary>Who held it before; null when nobody did.</summary>
    public string? PreviousHolder { get; init; }
}

/// <summary>A process stopped being the one that may act.</summary>
public sealed record LeadershipLost : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(LeadershipLost);

    public required string Lease { get; init; }
    public required string Holder { get; init; }
    public required long Epoch { get; init; }

    /// <summary><c>released</c>, <c>expired</c>, <c>taken_over</c> or <c>renewal_failed</c>.</summary>
    public required string Reason { get; init; }
}

/// <summary>A writer with an older epoch tried to append or to act and was refused.</summary>
public sealed record WriterFenced : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(WriterFenced);

    /// <summary>Identity of the writer that was refused.</summary>
    public required string Writer { get; init; }

    /// <summary>The epoch that it showed.</summary>
    public required long Epoch { get; init; }

    /// <summary>The epoch that was current.</summary>
    public required long CurrentEpoch { get; init; }

    /// <summary><c>append</c>, or the action that it wanted to run.</summary>
    public required string Attempted { get; init; }
}
