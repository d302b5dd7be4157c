using System.Text.Json.Nodes;
using Rynxs.Ledger;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary>What to report on.</summary>
/// <param name="End">Up to where.</param>
/// <param name="Proofs">All proofs of decisions, and they count for the verdict.</param>
/// <param name="CheckpointsDirectory">Where checkpoints are; null: none are looked at.</param>
/// <param name="PublicPem">Key that is trusted for them; null: signatures are not judged.</param>
internal sealed record AuditReportOptions(ReplayEnd End, bool Proofs, string? CheckpointsDirectory, string? PublicPem);

/// <summary>A report on one log, with the original's keys.</summary>
internal sealed class AuditReport
{
    private const int ProofsShown = 3;
    private const int MaxProofs = 10_000;

    private AuditReport(JsonObject full, bool holds, string? reason) => (Full, Holds, Reason) = (full, holds, reason);

    public JsonObject Full { get; }

    /// <summary>Chain and pointers verify, the checkpoint (if one was found) too, and with proofs asked for every decision has its results.</summary>
    public bool Holds { get; }

    private string? Reason { get; }

    public static AuditReport Make(LogSource source, AuditReportOptions options, CancellationToken cancellationToken)
    {
        PointerReport pointers = PointerCheck.Run(source, options.End, cancellationToken);
        var proofs = new DecisionProofs(options.Proofs ? MaxProofs : ProofsShown);
        var replay = new ReplayTotals();
        LedgerCorruptException? damage = null;
        ReplayResult? result = null;
        try
        {
            result = LogReplay.Run(source, options.End, (record, state) => Observe(record, state, replay, proofs), cancellationToken);
        }
        catch (LedgerCorruptException exception)
        {
            damage = exception;
        }

        (JsonObject checkpoint, string? checkpointError) = Checkpoint(source, options, result?.Last.Seq, cancellationToken);
        JsonArray proofList = proofs.ToJson();
        bool unproved = options.Proofs && proofs.Incomplete > 0;
        string? reason = damage is not null ? "hash_chain: " + damage.Message
            : !pointers.Valid ? "pointers: " + pointers.Failure?.Error
            : checkpointError is not null ? "checkpoint: " + checkpointError
            : unproved ? $"proofs: {proofs.Incomplete} decisions have actions without a result"
            : null;
        var full = new JsonObject
        {
            ["universe_id"] = "universe",
            ["hash_chain"] = Chain(damage, replay.Records),
            ["pointers"] = PointersCommand.ToJson(pointers),
            ["checkpoint"] = checkpoint,
            ["decisions"] = new JsonObject
            {
                ["actions_decided_count"] = replay.Decisions, ["action_type_counts"] = Counts(proofs.ActionTypes), ["actions_total"] = proofs.Actions, ["decision_proofs"] = proofList,
            },
            ["drift"] = Drift(result),
            ["log"] = new JsonObject
            {
                ["events_total"] = replay.Records, ["first_seq"] = replay.First, ["last_seq"] = replay.Last, ["applied_ok"] = replay.Applied, ["applied_failed"] = replay.Failed,
                ["unknown_types"] = Counts(result?.UnknownTypes ?? new Dictionary<string, long>()),
            },
            ["state_hash_final"] = result?.Universe.Hash(),
            ["rynxs_state_hash_final"] = result?.Rynxs?.Hash(),
        };
        return new AuditReport(full, reason is null, reason);
    }

    public JsonObject Summary()
    {
        JsonNode? At(string parent, string name) => Full[parent]?[name]?.DeepClone();
        return new JsonObject
        {
            ["universe_id"] = "universe",
            ["agents_count"] = At("drift", "agents_count"),
            ["events_total"] = At("log", "events_total"),
            ["actions_total"] = At("decisions", "actions_total"),
            ["applied_ok"] = At("log", "applied_ok"),
            ["applied_failed"] = At("log", "applied_failed"),
            ["first_seq"] = At("log", "first_seq"),
            ["last_seq"] = At("log", "last_seq"),
            ["state_hash_final"] = Full["state_hash_final"]?.DeepClone(),
            ["decision_proofs"] = (Full["decisions"]?["decision_proofs"] as JsonArray)?.Count ?? 0,
            ["integrity"] = Holds ? "ok" : "fail",
            ["integrity_reason"] = Reason,
        };
    }

    private static void Observe(LogRecord record, ReplayResult state, ReplayTotals totals, DecisionProofs proofs)
    {
        totals.Records++;
        totals.First ??= record.Seq;
        totals.Last = record.Seq;
        totals.Decisions += record.Type == "ActionsDecided" ? 1 : 0;
        totals.Applied += record.Type == "ActionApplied" ? 1 : 0;
        totals.Failed += record.Type == "ActionFailed" ? 1 : 0;
        if (record.Type is "ActionsDecided" or "ActionApplied" or "ActionFailed")
        {
            proofs.Observe(record);
        }
    }

    private static JsonObject Chain(LedgerCorruptException? damage, long verified)
    {
        var chain = new JsonObject { ["valid"] = damage is null, ["checked"] = verified };
        if (damage is not null)
        {
            PointerFailure failure = PointerCheck.Of(damage);
            (chain["error"], chain["seq"], chain["expected"], chain["actual"]) = (failure.Error, failure.Seq, failure.Expected, failure.Actual);
        }

        return chain;
    }

    private static (JsonObject Report, string? Error) Checkpoint(LogSource source, AuditReportOptions options, long? last, CancellationToken cancellationToken)
    {
        string? path = options.CheckpointsDirectory is null ? null : new CheckpointDirectory(options.CheckpointsDirectory).FindAtOrBefore(last ?? long.MaxValue);
        if (path is null)
        {
            return (new JsonObject { ["present"] = false }, null);
        }

        RynxsCheckpoint checkpoint = CheckpointCommand.ReadCheckpoint(path);
        var report = new JsonObject
        {
            ["present"] = true, ["path"] = path, ["event_index"] = checkpoint.EventIndex, ["event_hash"] = checkpoint.EventHash, ["state_hash"] = checkpoint.StateHash,
            ["pubkey_id"] = checkpoint.PubkeyId, ["signature_valid"] = null,
        };
        if (options.PublicPem is null)
        {
            return (report, null); // Nobody said whom to trust: it is shown and not judged.
        }

        CheckpointReport verified = CheckpointCommand.VerifyIt(checkpoint, options.PublicPem, source, cancellationToken);
        (report["signature_valid"], report["event_hash_valid"], report["chain_valid"], report["replay_valid"]) =
            (verified.SignatureValid, verified.EventHashValid, verified.ChainValid, verified.ReplayValid);
        return (report, verified.Valid ? null : string.Join(' ', verified.Errors));
    }

    private static JsonObject Drift(ReplayResult? result)
    {
        if (result is null)
        {
            return new JsonObject { ["agents"] = new JsonArray(), ["agents_count"] = 0, ["drift_count"] = 0, ["drift"] = new JsonObject(), ["failure_codes"] = new JsonObject() };
        }

        IReadOnlyList<string> agents = result.Universe.ListAgents();
        var drifts = new JsonObject();
        var codes = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (string agent in agents)
        {
            if (result.Universe.Drift(agent) is { HasDrift: true } drift)
            {
                drifts[agent] = AuditReportCommand.DriftJson(drift);
            }

            foreach (ActionFailure failure in result.Universe.Failures(agent))
            {
                codes[failure.ErrorCode ?? "UNKNOWN"] = codes.GetValueOrDefault(failure.ErrorCode ?? "UNKNOWN") + 1;
            }
        }

        return new JsonObject
        {
            ["agents"] = new JsonArray([.. agents.Select(agent => (JsonNode)agent)]), ["agents_count"] = agents.Count, ["drift_count"] = drifts.Count, ["drift"] = drifts,
            ["failure_codes"] = Counts(codes), ["state_hash_final"] = result.Universe.Hash(),
        };
    }

    private static JsonObject Counts(IEnumerable<KeyValuePair<string, long>> counts) =>
        new(counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));

    private sealed class ReplayTotals
    {
        public long Records { get; set; }
        public long? First { get; set; }
        public long? Last { get; set; }
        public long Decisions { get; set; }
        public long Applied { get; set; }
        public long Failed { get; set; }
    }
}
