using System.CommandLine;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Proofs;

/// <summary><c>rynxs ledger verify</c>: chains, blobs, trees, checkpoints, anchors, witnesses.</summary>
internal static class VerifyCommand
{
    public static Command Create(Screen screen)
    {
        (Argument<string?> Argument, Option<string?> Alias) path = LedgerCommand.PathArgument();
        var json = new Option<bool>("--json") { Description = "One JSON object." };
        Option<string[]> keys = ProofArguments.Keys();
        var checkpoints = new Option<string[]>("--checkpoint")
        {
            Description = "A checkpoint of this ledger that you kept, or got from a witness: the records must continue it. May be repeated.",
            HelpName = "FILE",
        };
        Option<string?> policy = ProofArguments.Policy();
        var command = new Command("verify", "Recomputes every hash. Exit code 2 and the first bad sequence, expected and actual, on damage.")
        {
            path.Argument, path.Alias, json, keys, checkpoints, policy,
        };
        command.SetAction((parsed, cancellationToken) => ProofArguments.GuardAsync(() =>
        {
            var options = new VerificationOptions
            {
                Keys = ProofArguments.PinnedKeys(parsed, keys),
                Checkpoints = [.. (parsed.GetValue(checkpoints) ?? []).Select(file => new KeptCheckpoint(file, ProofArguments.Checkpoint("--checkpoint", file)))],
                Policy = ProofArguments.PolicyOf(parsed, policy),
            };
            LedgerVerification found = LedgerCommand.VerifyPath(LedgerCommand.PathOf(parsed, path), options, cancellationToken);
            return Task.FromResult(VerificationReport.Show(found, parsed.GetValue(json), screen));
        }));
        return command;
    }
}
