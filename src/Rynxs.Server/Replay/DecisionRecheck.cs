using Rynxs.Ledger.Replay;
using Rynxs.Operator.Control;

namespace Rynxs.Server.Replay;

/// <summary>A decision that its own decider would not make.</summary>
/// <param name="Seq">The decision's record.</param>
/// <param name="Logged">Hash of the logged actions.</param>
/// <param name="Recomputed">Hash of the actions that the decider gives; null when it decides nothing.</param>
public sealed record DecisionMismatch(long Seq, string Logged, string? Recomputed);

/// <summary>
/// Decides again what a log says was decided, with the deciders of this build. Here, because the deciders belong to the operator, which
/// the command line does not see.
/// </summary>
public sealed class DecisionRecheck
{
    private const int MaxMismatches = 1_000;

    private readonly DecisionCheck _check = new();
    private readonly List<DecisionMismatch> _mismatches = [];
    private readonly SortedDictionary<string, long> _unknown = new(StringComparer.Ordinal);

    /// <summary>Version of the decider that this build has.</summary>
    public static string KnownDecider => AgentDecider.Version;

    /// <summary>Decisions that were made again.</summary>
    public long Checked { get; private set; }

    /// <summary>Decisions whose decider is not known here, by its version; the empty name stands for none.</summary>
    public IReadOnlyDictionary<string, long> UnknownDeciders => _unknown;

    /// <summary>Those that differ, in order; the first 1,000.</summary>
    public IReadOnlyList<DecisionMismatch> Mismatches => _mismatches;

    /// <summary>How many differ.</summary>
    public long Different { get; private set; }

    /// <summary>Takes the next record of a control chain.</summary>
    /// <exception cref="Rynxs.Ledger.LedgerCorruptException">A payload of a known type cannot be read.</exception>
    public void Observe(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        if (record.Type is not ("AgentObserved" or "AgentDeletionObserved" or "ActionsDecided" or "ActionApplied"))
        {
            return;
        }

        switch (_check.Observe(record.ToRecord()))
        {
            case DecisionVerdict.Same:
                Checked++;
                break;
            case DecisionVerdict.Different different:
                Checked++;
                Different++;
                if (_mismatches.Count < MaxMismatches)
                {
                    _mismatches.Add(new DecisionMismatch(record.Seq, different.Logged, different.Recomputed));
                }

                break;
            case DecisionVerdict.Unknown unknown:
                string decider = unknown.Decider ?? "";
                string name = _unknown.Count < 16 || _unknown.ContainsKey(decider) ? decider : "others";
                _unknown[name] = _unknown.GetValueOrDefault(name) + 1;
                break;
        }
    }
}
