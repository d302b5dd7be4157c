namespace Rynxs.Ledger.Verifier;

/// <summary>Reads the checkpoint that lies with a chain and checks who signed it.</summary>
internal static class StoredCheckpoint
{
    /// <summary>Its report and mark, or what is wrong with it. All null when there is none and none is required.</summary>
    public static async Task<(CheckpointReport? Report, Mark? Mark, ChainFailure? Failure)> ReadAsync(
        ChainSource chain, VerificationOptions options, bool isControl, CancellationToken cancellationToken)
    {
        PinnedKey[] keys = [.. options.Keys, .. options.Policy?.Logs ?? []];
        byte[]? note = await chain.TryReadTreeAsync("checkpoint", SignedCheckpoint.MaxBytes, cancellationToken);
        if (note is null)
        {
            // An agent's chain that was never published has none; its anchors, if any, are checked all the same.
            return isControl && (keys.Length > 0 || options.Policy is not null)
                ? (null, null, Failure(chain, FailureCodes.CheckpointMissing, "The ledger has no signed checkpoint."))
                : (null, null, null);
        }

        try
        {
            SignedCheckpoint checkpoint = SignedCheckpoint.Parse(note);
            var mark = new Mark(checkpoint.Size, checkpoint.RootHash, null, MarkKind.Stored, checkpoint.Origin);
            IReadOnlyList<PinnedKey> signers = checkpoint.SignedBy(keys.Where(key => !key.IsWitness && IsOrigin(checkpoint.Origin, key.Name, chain.Chain)));
            IReadOnlyList<PinnedKey> cosigners = options.Policy is { } policy ? checkpoint.SignedBy(policy.Witnesses.Select(witness => witness.Key)) : [];
            ChainFailure? failure = null;
            if (keys.Length > 0 && signers.Count == 0)
            {
                failure = Failure(chain, FailureCodes.CheckpointUnsigned, $"No pinned key signed the checkpoint of {Cut(checkpoint.Origin)}.");
            }
            else if (isControl && options.Policy is { } required && !required.IsMetBy(cosigners.Select(key => key.Text)))
            {
                failure = Failure(
                    chain, FailureCodes.QuorumNotMet, $"{cosigners.Count} witnesses of the policy cosigned the checkpoint; that is not its quorum.");
            }

            var report = new CheckpointReport(
                checkpoint.Origin, checkpoint.Size, checkpoint.Root, [.. signers.Select(key => key.Text)], [.. cosigners.Select(key => key.Text)]);
            return (report, mark, failure);
        }
        catch (FormatException exception)
        {
            return (null, null, Failure(chain, FailureCodes.CheckpointMalformed, exception.Message));
        }
        catch (ForgedSignatureException exception)
        {
            return (null, null, Failure(chain, FailureCodes.CheckpointUnsigned, exception.Message));
        }
    }

    /// <summary>The control chain's origin is the key's name; an agent's has the chain's name behind it. A lone chain may be either.</summary>
    private static bool IsOrigin(string origin, string keyName, string chain) =>
        origin == keyName || origin == $"{keyName}/{chain}" || (origin.StartsWith(keyName + "/agents/", StringComparison.Ordinal) && !chain.StartsWith("agents/", StringComparison.Ordinal) && chain != "control");

    private static string Cut(string text) => text.Length <= 100 ? text : text[..100] + "…";

    private static ChainFailure Failure(ChainSource chain, string code, string message) => new(
        chain.Chain, chain.Location, 0, -1, code, message, null, null);
}
