using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Audit;
using Rynxs.Server.Transparency;

namespace Rynxs.Server.Health;

/// <summary>
/// The ledger in <c>/readyz</c>. A ledger that cannot be written makes the server not ready: it would refuse every governed action. Altered evidence and
/// witnesses that object do not: the server still records, and taking it out of service would help whoever altered them. They are told here and are alerts.
/// </summary>
internal sealed class LedgerHealth(LedgerWatch watch, CheckpointPublisher publisher)
{
    /// <summary>Whether appends succeed; null when nothing speaks against it.</summary>
    public ReadinessCheck? Writable() =>
        watch.IsFenced ? new ReadinessCheck("ledger", false, "Another writer has taken the ledger over.")
        : watch.HasFailedChain ? new ReadinessCheck("ledger", false, "A chain failed and takes no more records; start the server again when its disk is sound.")
        : null;

    /// <summary>What speaks against the evidence, in numbers: this endpoint is open, and names belong to auditors.</summary>
    public ReadinessCheck Evidence()
    {
        TransparencyStatus status = publisher.Log.Status;
        int refused = status.Witnesses.Count(witness => witness.Outcome is WitnessOutcome.Ahead or WitnessOutcome.Refused);
        List<string> troubles = [];
        if (status.Alarms.Count > 0)
        {
            troubles.Add($"{status.Alarms.Count} chains are not what was signed");
        }

        if (refused > 0)
        {
            troubles.Add($"{refused} witnesses do not accept the log");
        }

        if (!status.QuorumMet)
        {
            troubles.Add("too few witnesses cosigned");
        }

        if (publisher.State is { Problem: not null } or { SettingsProblem: not null })
        {
            troubles.Add("checkpoints or their settings fail");
        }

        return new ReadinessCheck("evidence", true, troubles.Count == 0 ? "no alarm" : "ALARM: " + string.Join(", ", troubles));
    }
}
