namespace Rynxs.Ledger.Verifier;

/// <summary>What to verify beside the chain itself.</summary>
public sealed record VerificationOptions
{
    /// <summary>Recompute the commitment of every side blob that is present; true by default. Erased (absent) blobs are no failure.</summary>
    public bool CheckBlobs { get; init; } = true;

    /// <summary>Compute the Merkle tree of chains that have a checkpoint and compare it with the checkpoint, the tiles and the anchors; true by default.</summary>
    public bool CheckTree { get; init; } = true;

    /// <summary>Number of threads that hash and scan; all processors by default.</summary>
    public int Parallelism { get; init; } = Environment.ProcessorCount;

    /// <summary>
    /// Public keys of the log that are trusted. With any of them, the control chain must have a checkpoint that one of them signed. Without, the
    /// checkpoint that lies with a chain is compared with the records, but proves nothing about who wrote them.
    /// </summary>
    public IReadOnlyList<PinnedKey> Keys { get; init; } = [];

    /// <summary>Checkpoints of this ledger that were kept, or received from a witness or another verifier: the records must continue each.</summary>
    public IReadOnlyList<KeptCheckpoint> Checkpoints { get; init; } = [];

    /// <summary>Witnesses that must have cosigned the control chain's checkpoint; null asks for none. Its log lines count as <see cref="Keys"/>.</summary>
    public TrustPolicy? Policy { get; init; }
}

/// <summary>A checkpoint from outside the ledger.</summary>
/// <param name="Name">Where it came from, for messages.</param>
/// <param name="Checkpoint">The checkpoint.</param>
public sealed record KeptCheckpoint(string Name, SignedCheckpoint Checkpoint);
