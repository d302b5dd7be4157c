namespace Rynxs.Ledger.Forensics;

/// <summary>How bad a finding is.</summary>
public enum FindingSeverity
{
    /// <summary>Worth knowing; nothing is wrong.</summary>
    Info,

    /// <summary>Somebody should look.</summary>
    Warning,

    /// <summary>The evidence is damaged, or something happened that the rules exclude. Exit code 2.</summary>
    Error,
}

/// <summary>Kinds of findings; their names are stable and stand in reports in snake case.</summary>
public enum FindingKind
{
    /// <summary>A record does not verify; nothing after it was looked at.</summary>
    ChainBroken,

    /// <summary>Two writers, or an older one after a newer: records of two epochs interleave, or one epoch has two writers.</summary>
    EpochOverlap,

    /// <summary>A writer with an older epoch was refused.</summary>
    WriterFenced,

    /// <summary>A record states an earlier time than the one before it.</summary>
    TimeBackwards,

    /// <summary>A long time between two records of one writer.</summary>
    TimeGap,

    /// <summary>Something was about to be done, and nothing says how it ended.</summary>
    IntentWithoutOutcome,

    /// <summary>Something ended that no record says was begun.</summary>
    OutcomeWithoutIntent,

    /// <summary>Something was decided, and for an action of it nothing says how it ended.</summary>
    DecisionWithoutResult,

    /// <summary>A decision does not name its trigger truly.</summary>
    DecisionPointer,

    /// <summary>A decision that its own decider would not make.</summary>
    DecisionNotReproducible,

    /// <summary>An effect whose result nobody knows: a crash came between it and its record.</summary>
    OutcomeUnknown,

    /// <summary>Many refusals in a short time.</summary>
    DeniedBurst,

    /// <summary>An agent's chain that the control chain never anchored.</summary>
    ChainWithoutAnchor,

    /// <summary>An agent's chain that is not what its anchor says: cut, rolled back or written anew.</summary>
    AnchorMismatch,

    /// <summary>An unfinished write was set aside at an opening.</summary>
    TornTail,

    /// <summary>A sandbox tried what a rule watches for.</summary>
    Violation,

    /// <summary>A type that this version does not know.</summary>
    UnknownType,

    /// <summary>A known type whose payload cannot be read.</summary>
    MalformedPayload,
}

/// <summary>Something that was found.</summary>
public sealed record Finding
{
    public required FindingKind Kind { get; init; }
    public required FindingSeverity Severity { get; init; }

    /// <summary>The chain that it is about.</summary>
    public required string Chain { get; init; }

    /// <summary>First record that shows it; -1 when it is about the chain as a whole.</summary>
    public required long FirstSeq { get; init; }

    /// <summary>Last record that shows it.</summary>
    public required long LastSeq { get; init; }

    /// <summary>Stated time of the first record; null when it states none.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>One sentence. May quote text of the log: untrusted.</summary>
    public required string Summary { get; init; }

    /// <summary>Name of the kind in reports, such as <c>epoch_overlap</c>.</summary>
    public string Code => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(Kind.ToString());
}

/// <summary>When something counts as found.</summary>
public sealed record ForensicOptions
{
    /// <summary>A longer silence of one writer is a gap. Default 1 h.</summary>
    public TimeSpan Gap { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Steps back up to this are the clock's own adjustment. Default 0: every step back shows.</summary>
    public TimeSpan BackwardsTolerance { get; init; } = TimeSpan.Zero;

    /// <summary>Intents and decisions without an end are errors when the chain went on this much longer, or a later writer opened it. Default 15 min.</summary>
    public TimeSpan OpenFor { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>So many refusals within <see cref="BurstWindow"/> are a burst. Default 20.</summary>
    public int BurstCount { get; init; } = 20;

    /// <summary>Default 1 min.</summary>
    public TimeSpan BurstWindow { get; init; } = TimeSpan.FromMinutes(1);
}
