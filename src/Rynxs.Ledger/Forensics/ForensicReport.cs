namespace Rynxs.Ledger.Forensics;

/// <summary>What is known of one chain after it was read.</summary>
public sealed record ChainSummary
{
    public required string Chain { get; init; }
    public required long Records { get; init; }

    /// <summary>Sequence of the last record that verifies; -1 for none.</summary>
    public required long LastSeq { get; init; }

    public required string LastHash { get; init; }

    /// <summary>Earliest and latest time that a record states; null when none does.</summary>
    public DateTimeOffset? From { get; init; }

    /// <inheritdoc cref="From"/>
    public DateTimeOffset? To { get; init; }

    /// <summary>Openings for writing: epoch, record and time of each, the first 1,000.</summary>
    public required IReadOnlyList<EpochMark> Epochs { get; init; }

    /// <summary>Records per span of time, for the timeline.</summary>
    public required IReadOnlyList<ActivityBucket> Activity { get; init; }
}

/// <summary>A writer opened the chain.</summary>
public sealed record EpochMark(long Epoch, long Seq, DateTimeOffset? Time);

/// <summary>Number of records in a span of time.</summary>
public sealed record ActivityBucket(DateTimeOffset From, TimeSpan Length, long Records);

/// <summary>Everything that was found in a ledger.</summary>
public sealed record ForensicReport
{
    public required IReadOnlyList<ChainSummary> Chains { get; init; }

    /// <summary>By chain and sequence.</summary>
    public required IReadOnlyList<Finding> Findings { get; init; }

    /// <summary>Findings beyond the first 1,000 of a kind, which are counted and not listed.</summary>
    public required IReadOnlyDictionary<FindingKind, long> NotListed { get; init; }

    /// <summary>Number of findings of a severity, those that are not listed counted as their kind's first.</summary>
    public long Count(FindingSeverity severity) => Findings.LongCount(finding => finding.Severity == severity)
        + NotListed.Where(pair => Findings.FirstOrDefault(finding => finding.Kind == pair.Key)?.Severity == severity).Sum(pair => pair.Value);

    /// <summary>True when nothing of severity error was found.</summary>
    public bool Clean => Count(FindingSeverity.Error) == 0;
}

/// <summary>Collects findings with a bound per kind.</summary>
internal sealed class FindingSink
{
    private const int MaxPerKind = 1_000;

    private readonly List<Finding> _findings = [];
    private readonly Dictionary<FindingKind, long> _counts = [];

    public IReadOnlyDictionary<FindingKind, long> NotListed =>
        _counts.Where(pair => pair.Value > MaxPerKind).ToDictionary(pair => pair.Key, pair => pair.Value - MaxPerKind);

    public IReadOnlyList<Finding> Sorted() => [.. _findings.OrderBy(finding => finding.Chain, StringComparer.Ordinal).ThenBy(finding => finding.FirstSeq).ThenBy(finding => finding.Kind)];

    public void Add(Finding finding)
    {
        long count = _counts.GetValueOrDefault(finding.Kind) + 1;
        _counts[finding.Kind] = count;
        if (count <= MaxPerKind)
        {
            _findings.Add(finding);
        }
    }
}
