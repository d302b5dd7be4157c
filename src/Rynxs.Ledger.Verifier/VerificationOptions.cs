namespace Rynxs.Ledger.Verifier;

/// <summary>What to verify beside the chain itself.</summary>
public sealed record VerificationOptions
{
    /// <summary>Recompute the commitment of every side blob that is present; true by default. Erased (absent) blobs are no failure.</summary>
    public bool CheckBlobs { get; init; } = true;

    /// <summary>Number of threads that hash and scan; all processors by default.</summary>
    public int Parallelism { get; init; } = Environment.ProcessorCount;
}
