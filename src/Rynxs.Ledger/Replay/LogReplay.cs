using System.Runtime.InteropServices;

namespace Rynxs.Ledger.Replay;

/// <summary>How far to replay.</summary>
public abstract record ReplayEnd
{
    private ReplayEnd()
    {
    }

    /// <summary>To the last committed record.</summary>
    public sealed record Head : ReplayEnd;

    /// <summary>To a sequence, inclusive. A log that ends before is no failure: the result says where it ended.</summary>
    public sealed record Sequence(long Seq) : ReplayEnd;

    /// <summary>
    /// To the last record before the first that states a later time. Times are the writer's and may go backwards; this rule makes the end
    /// a prefix of the chain all the same, the same one everywhere.
    /// </summary>
    public sealed record Time(DateTimeOffset Moment) : ReplayEnd;

    /// <summary>Whether a record is still part of it.</summary>
    public bool Includes(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return this switch
        {
            Head => true,
            Sequence to => record.Seq <= to.Seq,
            Time to => record.Time is not { } time || time <= to.Moment,
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }
}

/// <summary>What a replay came to.</summary>
public sealed class ReplayResult
{
    private readonly Dictionary<string, long> _counts = new(StringComparer.Ordinal);
    private readonly ChainHead _start;
    private LogRecord? _last;

    internal ReplayResult(UniverseState universe, RynxsState? rynxs, ChainHead start)
    {
        Universe = universe;
        Rynxs = rynxs;
        _start = start;
    }

    /// <summary>State of the original's reducer.</summary>
    public UniverseState Universe { get; }

    /// <summary>Our state; null when the replay began at a checkpoint, which holds only the original's.</summary>
    public RynxsState? Rynxs { get; }

    /// <summary>The last record that was replayed.</summary>
    public ChainHead Last => _last is { } last ? new ChainHead(last.Seq, last.EventHash) : _start;

    /// <summary>Records replayed, by type; of those after the checkpoint when it began at one.</summary>
    public IReadOnlyDictionary<string, long> Counts => new SortedDictionary<string, long>(_counts, StringComparer.Ordinal);

    /// <summary>Records replayed.</summary>
    public long Records { get; private set; }

    /// <summary>Types that this version does not know, with their number. They are part of the chain and of no state.</summary>
    public IReadOnlyDictionary<string, long> UnknownTypes =>
        _counts.Where(pair => !Events.PayloadReading.KnownTypes.Contains(pair.Key)).ToDictionary(StringComparer.Ordinal);

    internal void Apply(LogRecord record)
    {
        Universe.Apply(record);
        Rynxs?.Apply(record);
        CollectionsMarshal.GetValueRefOrAddDefault(_counts, record.Type, out _)++;
        Records++;
        _last = record;
    }
}

/// <summary>Replays a control chain. Deterministic: the same records give the same result anywhere.</summary>
public static class LogReplay
{
    /// <summary>Replays from the first record.</summary>
    /// <param name="source">The chain.</param>
    /// <param name="end">How far.</param>
    /// <param name="observe">Told of each record after it was applied, with the result so far; null when nobody wants to know.</param>
    /// <param name="cancellationToken">Stops with an exception.</param>
    /// <exception cref="LedgerCorruptException">A record does not verify.</exception>
    public static ReplayResult Run(LogSource source, ReplayEnd end, Action<LogRecord, ReplayResult>? observe, CancellationToken cancellationToken) =>
        Run(LogWalk.Read(source, cancellationToken), end, new ReplayResult(new UniverseState(), new RynxsState(), new ChainHead(-1, Chains.ChainPosition.Genesis)), observe);

    /// <summary>Replays what follows a state that was checkpointed.</summary>
    /// <exception cref="LedgerCorruptException">As above, or the log is not the one that was checkpointed.</exception>
    public static ReplayResult RunFrom(LogSource source, UniverseState state, ChainHead start, ReplayEnd end, CancellationToken cancellationToken) =>
        Run(LogWalk.Read(source, start, cancellationToken), end, new ReplayResult(state, rynxs: null, start), observe: null);

    private static ReplayResult Run(IEnumerable<LogRecord> records, ReplayEnd end, ReplayResult result, Action<LogRecord, ReplayResult>? observe)
    {
        foreach (LogRecord record in records)
        {
            if (!end.Includes(record))
            {
                break;
            }

            result.Apply(record);
            observe?.Invoke(record, result);
        }

        return result;
    }
}
