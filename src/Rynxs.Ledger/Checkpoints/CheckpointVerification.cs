using System.Security.Cryptography;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Checkpoints;

/// <summary>What a verification of a checkpoint found. Null: not looked at, or not reached because something before it failed.</summary>
public sealed record CheckpointReport
{
    /// <summary>The key's id is the one that the checkpoint names, and its signature verifies.</summary>
    public required bool SignatureValid { get; init; }

    /// <summary>The state has the stated hash and is in the form that the reducer writes.</summary>
    public bool? StateHashValid { get; init; }

    /// <summary>The log's record at that index has the stated hash.</summary>
    public bool? EventHashValid { get; init; }

    /// <summary>Every record up to that index verifies and links.</summary>
    public bool? ChainValid { get; init; }

    /// <summary>Replaying the log gives the stated state.</summary>
    public bool? ReplayValid { get; init; }

    /// <summary>Everything that is wrong, in words; empty when it is valid.</summary>
    public required IReadOnlyList<string> Errors { get; init; }

    /// <summary>True when nothing that was looked at is wrong.</summary>
    public bool Valid => Errors.Count == 0;
}

/// <summary>Verifies checkpoints: the signature alone, or everything.</summary>
/// <remarks>
/// The original's <c>full</c> never compared <c>event_hash</c> with the log nor walked the chain, and reported both as valid. Here each
/// flag is true only when the thing was done.
/// </remarks>
public static class CheckpointVerification
{
    /// <summary>The signature, and that the state is the one that was signed.</summary>
    /// <param name="checkpoint">To verify.</param>
    /// <param name="publicPem">The key that the verifier trusts, as PEM text.</param>
    /// <exception cref="FormatException">The PEM is not one of an Ed25519 public key.</exception>
    public static CheckpointReport Signature(RynxsCheckpoint checkpoint, string publicPem)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        byte[] publicKey = SigningKey.PublicKeyFromPem(publicPem);
        var errors = new List<string>();
        // Two spellings of one key are one key: the id is of the PEM as the original's tools write it.
        bool id = checkpoint.PubkeyId == RynxsCheckpoint.PubkeyIdOf(publicPem)
            || checkpoint.PubkeyId == RynxsCheckpoint.PubkeyIdOf(SigningKey.PublicPemOf(publicKey));
        if (!id)
        {
            errors.Add("pubkey_id: the checkpoint was signed with another key.");
        }

        bool signed = id && Ed25519.Verify(publicKey, checkpoint.SignedBytes, checkpoint.Signature.Span);
        if (id && !signed)
        {
            errors.Add("signature: it does not verify with this key.");
        }

        bool state = Convert.ToHexStringLower(SHA256.HashData(checkpoint.StateBytes.Span)) == checkpoint.StateHash;
        if (!state)
        {
            errors.Add("state_bytes: they do not have the stated state_hash.");
        }

        return new CheckpointReport { SignatureValid = signed, StateHashValid = state, Errors = errors };
    }

    /// <summary>The signature, the state, the chain up to the record, its hash, and that a replay gives the state.</summary>
    /// <exception cref="FormatException">As above.</exception>
    /// <exception cref="IOException">The log cannot be read.</exception>
    public static CheckpointReport Full(RynxsCheckpoint checkpoint, string publicPem, LogSource log, CancellationToken cancellationToken)
    {
        CheckpointReport report = Signature(checkpoint, publicPem);
        var errors = new List<string>(report.Errors);
        ReplayResult replay;
        try
        {
            replay = LogReplay.Run(log, new ReplayEnd.Sequence(checkpoint.EventIndex), observe: null, cancellationToken);
        }
        catch (LedgerCorruptException exception)
        {
            errors.Add("chain: " + exception.Message);
            return report with { ChainValid = false, Errors = errors };
        }

        if (replay.Last.Seq != checkpoint.EventIndex)
        {
            errors.Add($"event_index: the log ends at {replay.Last.Seq}; its tail was cut off, or it is another log.");
            return report with { ChainValid = true, EventHashValid = false, Errors = errors };
        }

        bool eventHash = replay.Last.EventHash == checkpoint.EventHash;
        if (!eventHash)
        {
            errors.Add($"event_hash: the log has {replay.Last.EventHash} at {checkpoint.EventIndex}.");
        }

        bool replayed = replay.Universe.Hash() == checkpoint.StateHash;
        if (!replayed)
        {
            errors.Add("state_hash: replaying the log gives another state.");
        }

        return report with { ChainValid = true, EventHashValid = eventHash, ReplayValid = replayed, Errors = errors };
    }
}
