namespace Rynxs.Ledger.Verifier;

/// <summary>What a verification found: one report per chain. Lines and file positions count from 1, sequences from 0.</summary>
public sealed record LedgerVerification
{
    /// <summary>The chains, in the order in which they were verified (ordinal order of their names).</summary>
    public required IReadOnlyList<ChainReport> Chains { get; init; }

    /// <summary>True when every chain is valid. A torn tail does not make a chain invalid: see <see cref="ChainReport.TornTail"/>.</summary>
    public bool Valid => Chains.All(chain => chain.Valid);

    /// <summary>Anchors of agents' chains on the control chain; beyond 65,536 a part of them is compared, always the newest of each chain.</summary>
    public long AnchorsSeen { get; init; }

    /// <summary>Valid records of all chains together.</summary>
    public long Records => Chains.Sum(chain => chain.Records);

    /// <summary>The first failure, in the order of <see cref="Chains"/>; null when valid.</summary>
    public ChainFailure? Failure => Chains.Select(chain => chain.Failure).FirstOrDefault(failure => failure is not null);
}

/// <summary>What was found in one chain.</summary>
public sealed record ChainReport
{
    /// <summary><c>control</c>, <c>agents/NS/NAME</c>, or the file's name when a single file was verified.</summary>
    public required string Chain { get; init; }

    /// <summary>Number of records that verified, from the start up to the first failure.</summary>
    public required long Records { get; init; }

    /// <summary>Sequence of the last record that verified; -1 when there is none.</summary>
    public required long HeadSeq { get; init; }

    /// <summary>Hash of that record; 64 zeros when there is none. Compare it with a head you noted elsewhere to detect a cut-off tail.</summary>
    public required string HeadHash { get; init; }

    /// <summary>
    /// First sequence that was verified: 0, except for a lone later segment file, whose first <c>prev_hash</c> is then taken on trust.
    /// </summary>
    public required long FromSeq { get; init; }

    /// <summary>The first failure; null when valid.</summary>
    public ChainFailure? Failure { get; init; }

    /// <summary>A last line without its newline: a write that never finished, or one that is going on now. A warning.</summary>
    public TornTail? TornTail { get; init; }

    /// <summary>Side blobs whose commitment was recomputed; null when blobs were not checked.</summary>
    public long? BlobsVerified { get; init; }

    /// <summary>Commitments to side blobs in its records; null when blobs were not checked.</summary>
    public long? BlobsReferenced { get; init; }

    /// <summary>
    /// Contents that are not there for a commitment: withheld from this copy, or erased. Null when blobs were not checked. A blob that no
    /// record refers to (a crash left it) hides one of them.
    /// </summary>
    public long? BlobsWithheld => BlobsReferenced is { } referenced && BlobsVerified is { } verified ? Math.Max(0, referenced - verified) : null;

    /// <summary>Erasures that the chain records (<c>BlobErased</c>).</summary>
    public long BlobsErased { get; init; }

    /// <summary>Tiles and entry bundles of its Merkle tree that were compared with the records; 0 when it has none.</summary>
    public long TilesChecked { get; init; }

    /// <summary>The signed checkpoint that lies with it and agrees with it; null when it has none.</summary>
    public CheckpointReport? Checkpoint { get; init; }

    /// <summary>Anchors, or kept checkpoints, that it was compared with.</summary>
    public long MarksChecked { get; init; }

    /// <summary>True when no failure was found.</summary>
    public bool Valid => Failure is null;
}

/// <summary>A checkpoint that agrees with the records.</summary>
/// <param name="Origin">Name of the log.</param>
/// <param name="Size">Records under it.</param>
/// <param name="Root">Root of the tree, base64.</param>
/// <param name="SignedBy">Pinned keys (vkeys) that signed it; empty when none were pinned: the checkpoint then proves nothing by itself.</param>
/// <param name="CosignedBy">Witness keys (vkeys) of the policy that cosigned it.</param>
public sealed record CheckpointReport(string Origin, long Size, string Root, IReadOnlyList<string> SignedBy, IReadOnlyList<string> CosignedBy);

/// <summary>The first thing that does not verify.</summary>
/// <param name="Chain">Name of the chain.</param>
/// <param name="File">Path of the file.</param>
/// <param name="Line">Line in that file, from 1; 0 when the failure is about the file as a whole.</param>
/// <param name="Seq">The sequence that was expected there; -1 for side blobs.</param>
/// <param name="Code">One of <see cref="FailureCodes"/>.</param>
/// <param name="Message">One sentence for people.</param>
/// <param name="Expected">What should have been there; null when that cannot be said.</param>
/// <param name="Actual">What is there; null when that cannot be said. Never longer than 128 characters.</param>
public sealed record ChainFailure(
    string Chain, string File, long Line, long Seq, string Code, string Message, string? Expected, string? Actual);

/// <summary>Bytes after the last newline of a chain.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Offset">Where they begin.</param>
/// <param name="Bytes">How many there are.</param>
public sealed record TornTail(string File, long Offset, long Bytes);

/// <summary>Stable codes of failures.</summary>
public static class FailureCodes
{
    /// <summary>The content of the record does not have the hash that the record states.</summary>
    public const string EventHashMismatch = "event_hash_mismatch";

    /// <summary>The record does not follow the one before it.</summary>
    public const string PrevHashMismatch = "prev_hash_mismatch";

    /// <summary>Records are missing before this one.</summary>
    public const string SeqGap = "seq_gap";

    /// <summary>The sequence was already used.</summary>
    public const string SeqRepeated = "seq_repeated";

    /// <summary>JSON, but not byte for byte the canonical form.</summary>
    public const string NonCanonical = "non_canonical";

    /// <summary>Not JSON.</summary>
    public const string InvalidJson = "invalid_json";

    /// <summary>A key is repeated in one object.</summary>
    public const string DuplicateKey = "duplicate_key";

    /// <summary>A field that the format does not have.</summary>
    public const string UnknownField = "unknown_field";

    /// <summary>A field that the format requires is not there.</summary>
    public const string MissingField = "missing_field";

    /// <summary>A field has the wrong type or form.</summary>
    public const string InvalidField = "invalid_field";

    /// <summary>Not UTF-8.</summary>
    public const string InvalidUtf8 = "invalid_utf8";

    /// <summary>The line is longer than 1 MiB.</summary>
    public const string TooLong = "too_long";

    /// <summary>Nested deeper than 64.</summary>
    public const string TooDeep = "too_deep";

    /// <summary>A segment that is not the last one ends without a newline.</summary>
    public const string SegmentCut = "segment_cut";

    /// <summary>A side blob is not what its commitment says.</summary>
    public const string BlobMismatch = "blob_mismatch";

    /// <summary>A line of a side-blob file is not a side blob.</summary>
    public const string BlobMalformed = "blob_malformed";

    /// <summary>The chain is shorter than its own signed checkpoint or its anchor on the control chain.</summary>
    public const string TailTruncated = "tail_truncated";

    /// <summary>The chain is shorter than a checkpoint that was kept elsewhere.</summary>
    public const string RolledBack = "rolled_back";

    /// <summary>The records under a checkpoint that was kept elsewhere are not those that it was made over: two histories were shown.</summary>
    public const string SplitView = "split_view";

    /// <summary>The records are not those under the chain's own signed checkpoint.</summary>
    public const string CheckpointMismatch = "checkpoint_mismatch";

    /// <summary>The records are not those under an anchor on the control chain.</summary>
    public const string AnchorMismatch = "anchor_mismatch";

    /// <summary>A chain that the control chain anchored is not there.</summary>
    public const string ChainMissing = "chain_missing";

    /// <summary>A checkpoint was expected and is not there.</summary>
    public const string CheckpointMissing = "checkpoint_missing";

    /// <summary>A checkpoint is not in the form of one.</summary>
    public const string CheckpointMalformed = "checkpoint_malformed";

    /// <summary>No pinned key signed the checkpoint, or a signature in its name is not its signature.</summary>
    public const string CheckpointUnsigned = "checkpoint_unsigned";

    /// <summary>Fewer witnesses cosigned than the policy requires.</summary>
    public const string QuorumNotMet = "quorum_not_met";

    /// <summary>A tile of the Merkle tree is not what the records give.</summary>
    public const string TileMismatch = "tile_mismatch";

    /// <summary>A tile of the Merkle tree is not there.</summary>
    public const string TileMissing = "tile_missing";

    /// <summary>A proof file has not the form of one.</summary>
    public const string ProofMalformed = "proof_malformed";

    /// <summary>A proof does not show what it says.</summary>
    public const string ProofInvalid = "proof_invalid";

    /// <summary>There is no chain at the path.</summary>
    public const string NotALedger = "not_a_ledger";
}
