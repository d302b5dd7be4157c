using System.CommandLine;
using System.Globalization;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Proofs;

/// <summary><c>rynxs ledger prove|verify-proof|consistency|verify-consistency</c>: proof files, made from tiles and verified without a ledger.</summary>
internal static class ProveCommand
{
    public static Command Prove(Screen screen)
    {
        Argument<string?> path = ProofArguments.Ledger();
        var seq = new Option<long>("--seq") { Description = "Sequence of the record.", HelpName = "SEQ", Required = true };
        Option<string> chain = ProofArguments.Chain();
        Option<string?> output = ProofArguments.Output();
        var command = new Command("prove", "Writes a proof (C2SP tlog-proof) that a record is under the chain's signed checkpoint.") { path, seq, chain, output };
        command.SetAction((parsed, cancellationToken) => ProofArguments.GuardAsync(async () =>
        {
            await using LedgerReader reader = ProofArguments.Reader(parsed, path);
            (ITreeStore tree, SignedNote note, TreeCheckpoint checkpoint) = await OpenAsync(reader, parsed, chain, cancellationToken);
            long index = parsed.GetValue(seq);
            if (index < 0 || index >= checkpoint.Size)
            {
                throw new CliException(string.Create(
                    CultureInfo.InvariantCulture, $"--seq: {index} is not under the last checkpoint, which covers records 0 to {checkpoint.Size - 1}."));
            }

            IReadOnlyList<TreeHash> hashes = await new TileReader(tree, checkpoint.Size).InclusionAsync(index, cancellationToken);
            ProofArguments.Write(screen, parsed.GetValue(output), new TreeProof(index, hashes, note).ToString());
            return ExitCodes.Ok;
        }));
        return command;
    }

    public static Command VerifyProof(Screen screen)
    {
        var proof = new Argument<string>("proof") { Description = "The proof file, or - for standard input." };
        Option<string[]> keys = ProofArguments.Keys();
        Option<string?> policy = ProofArguments.Policy();
        var record = new Option<string?>("--record") { Description = "File with the record's line, as it stands in the log.", HelpName = "FILE" };
        var hash = new Option<string?>("--event-hash") { Description = "The record's event_hash instead.", HelpName = "HEX" };
        var command = new Command("verify-proof", "Verifies that a record is in a log. Needs the proof, the record and a pinned key; no ledger.") { proof, keys, policy, record, hash };
        command.SetAction(parsed => ProofArguments.GuardAsync(() =>
        {
            (IReadOnlyList<PinnedKey> pinned, TrustPolicy? required) = Trust(parsed, keys, policy);
            byte[] content = ProofArguments.ReadFile("proof", parsed.GetRequiredValue(proof), ProofVerifier.MaxBytes);
            VerifiedProof verified = (parsed.GetValue(record), parsed.GetValue(hash)) switch
            {
                ({ } file, null) => ProofVerifier.VerifyRecord(content, ProofArguments.ReadFile("--record", file, LedgerLimits.MaxRecordBytes), pinned, required),
                (null, { } hex) => ProofVerifier.VerifyHash(content, hex, pinned, required),
                _ => throw new CliException("give --record FILE or --event-hash HEX.", ExitCodes.Usage),
            };
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"valid  record {verified.Index} is among the {verified.Size} records of {verified.Origin}"));
            ShowSigners(screen, verified);
            return Task.FromResult(ExitCodes.Ok);
        }));
        return command;
    }

    public static Command Consistency(Screen screen)
    {
        Argument<string?> path = ProofArguments.Ledger();
        var old = new Option<string>("--old") { Description = "The older checkpoint that was kept.", HelpName = "FILE", Required = true };
        Option<string> chain = ProofArguments.Chain();
        Option<string?> output = ProofArguments.Output();
        var command = new Command("consistency", "Writes a proof that the chain's checkpoint continues an older one.") { path, old, chain, output };
        command.SetAction((parsed, cancellationToken) => ProofArguments.GuardAsync(async () =>
        {
            SignedCheckpoint older = ProofArguments.Checkpoint("--old", parsed.GetRequiredValue(old));
            await using LedgerReader reader = ProofArguments.Reader(parsed, path);
            (ITreeStore tree, SignedNote note, TreeCheckpoint checkpoint) = await OpenAsync(reader, parsed, chain, cancellationToken);
            if (older.Origin != checkpoint.Origin || older.Size > checkpoint.Size)
            {
                throw new CliException(
                    older.Origin != checkpoint.Origin
                        ? $"--old: it is of the log {older.Origin}, not {checkpoint.Origin}."
                        : string.Create(CultureInfo.InvariantCulture, $"--old: it covers {older.Size} records, this ledger's checkpoint only {checkpoint.Size}: the ledger is an older state (rolled_back)."),
                    ExitCodes.VerificationFailed);
            }

            IReadOnlyList<TreeHash> hashes = await new TileReader(tree, checkpoint.Size).ConsistencyAsync(older.Size, cancellationToken);
            ProofArguments.Write(screen, parsed.GetValue(output), new ConsistencyProof(older.Size, hashes, note).ToString());
            return ExitCodes.Ok;
        }));
        return command;
    }

    public static Command VerifyConsistency(Screen screen)
    {
        var proof = new Argument<string>("proof") { Description = "The proof file, or - for standard input." };
        var old = new Option<string>("--old") { Description = "The older checkpoint that was kept.", HelpName = "FILE", Required = true };
        Option<string[]> keys = ProofArguments.Keys();
        Option<string?> policy = ProofArguments.Policy();
        var command = new Command("verify-consistency", "Verifies that a log continues a checkpoint that was kept. Exit code 2 on a split view.") { proof, old, keys, policy };
        command.SetAction(parsed => ProofArguments.GuardAsync(() =>
        {
            (IReadOnlyList<PinnedKey> pinned, TrustPolicy? required) = Trust(parsed, keys, policy);
            VerifiedProof verified = ProofVerifier.VerifyConsistency(
                ProofArguments.ReadFile("proof", parsed.GetRequiredValue(proof), ProofVerifier.MaxBytes),
                ProofArguments.Checkpoint("--old", parsed.GetRequiredValue(old)), pinned, required);
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"valid  {verified.Origin} went on from {verified.Index} to {verified.Size} records without a change"));
            ShowSigners(screen, verified);
            return Task.FromResult(ExitCodes.Ok);
        }));
        return command;
    }

    private static (IReadOnlyList<PinnedKey> Keys, TrustPolicy? Policy) Trust(ParseResult parsed, Option<string[]> keys, Option<string?> policy)
    {
        IReadOnlyList<PinnedKey> pinned = ProofArguments.PinnedKeys(parsed, keys);
        TrustPolicy? required = ProofArguments.PolicyOf(parsed, policy);
        return pinned.Count > 0 || required?.Logs.Count > 0
            ? (pinned, required)
            : throw new CliException("give a trusted key: --key VKEY, or a log line in --witness-policy.", ExitCodes.Usage);
    }

    private static void ShowSigners(Screen screen, VerifiedProof verified)
    {
        foreach (string key in verified.SignedBy)
        {
            screen.Line("  signed by    " + key);
        }

        foreach (string key in verified.CosignedBy)
        {
            screen.Line("  cosigned by  " + key);
        }
    }

    private static async Task<(ITreeStore Tree, SignedNote Note, TreeCheckpoint Checkpoint)> OpenAsync(
        LedgerReader reader, ParseResult parsed, Option<string> chain, CancellationToken cancellationToken)
    {
        ITreeStore tree = reader.OpenTree(ProofArguments.ChainOf(parsed, chain));
        byte[] bytes = await tree.TryReadAsync(TilePath.Checkpoint, SignedNote.MaxBytes, cancellationToken)
            ?? throw new CliException(
                $"the chain {parsed.GetRequiredValue(chain)} has no checkpoint yet.", hints: ["A running server publishes one by itself; otherwise: rynxs ledger publish"]);
        try
        {
            SignedNote note = SignedNote.Parse(bytes);
            return (tree, note, TreeCheckpoint.Parse(note.Text));
        }
        catch (FormatException exception)
        {
            throw new CliException($"the checkpoint of {parsed.GetRequiredValue(chain)} was damaged: {exception.Message}", ExitCodes.VerificationFailed);
        }
    }
}
